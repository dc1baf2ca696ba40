// What every page does: tells of a lost connection, shows problems where they belong, asks before it deletes.
"use strict";
{
  const banner = () => document.getElementById("connection");
  const problem = () => document.getElementById("problem");
  let problemOf = "";

  const isOurs = (xhr) => xhr.getResponseHeader("HX-Reswap") !== null;
  const lost = (isLost) => { banner().hidden = !isLost; };

  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (event.detail.requestConfig.verb === "get") lost(true); else tellUnsent(event.detail);
    });
  }

  // A form is not sent again by itself; sent again by hand it does its work once.
  function tellUnsent({ elt, pathInfo }) {
    const note = document.createElement("div");
    note.className = "note failure";
    const what = document.createElement("strong");
    what.textContent = "It could not be sent.";
    note.append(what, " The connection is lost, or the service is away. Nothing that you typed is gone: press again.");
    const place = elt.closest("dialog")?.querySelector("[role=alert]") ?? problem();
    place.replaceChildren(note);
    place.scrollIntoView({ block: "nearest" });
    problemOf = pathInfo.requestPath;
  }

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, pathInfo, successful, requestConfig } = event.detail;
    if (!xhr || xhr.status === 0) return;
    const isAway = xhr.status >= 502 && xhr.status <= 504 && !isOurs(xhr);
    if (isAway && requestConfig.verb !== "get") tellUnsent(event.detail); else lost(isAway);
    if (successful && problemOf === pathInfo.requestPath) problem().replaceChildren();
  });

  // An error that is not this service's own, such as a proxy's page while the service restarts, replaces nothing.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo } = event.detail;
    if (xhr.status < 400) return;
    event.detail.shouldSwap = isOurs(xhr);
    problemOf = pathInfo.requestPath;
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === problem()) markField(problem().querySelector("[data-field]"));
  });

  function markField(told) {
    document.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
    const name = told?.dataset.field;
    const field = name && [...document.querySelectorAll("[name]")].find((one) => one.name === name && one.type !== "hidden");
    if (!field) return;
    field.closest("details")?.setAttribute("open", "");
    field.setAttribute("aria-invalid", "true");
    field.focus();
  }

  // A browser keeps six connections to a service, over all its tabs: one that nobody looks at gives its stream back.
  const streams = new Set();
  htmx.createEventSource = (address) => {
    const stream = new EventSource(address);
    streams.add(stream);
    return stream;
  };
  document.addEventListener("visibilitychange", () => {
    const source = document.getElementById("source");
    if (document.hidden) {
      streams.forEach((stream) => stream.close());
      streams.clear();
    } else if (source && !streams.size) {
      const fresh = source.cloneNode(true);
      source.replaceWith(fresh);
      htmx.process(fresh);
    }
  });

  // What deletes asks first, and says what goes; a refusal is shown where it was asked.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-opens], [data-closes]");
    if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
    else if (button) button.closest("dialog").close();
  });

  // On a narrow screen the navigation may be scrolled; where one is should be in sight.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  // A page from the browser's memory shows the past.
  window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
}
