// What every page does: tells of a lost connection, shows problems where they belong, and takes nothing from a person
// who is in the middle of something.
"use strict";
{
  const banner = () => document.getElementById("connection");
  const problem = () => document.getElementById("problem");
  let problemOf = "";

  const isOurs = (xhr) => xhr.getResponseHeader("HX-Reswap") !== null;
  const lost = (isLost) => { banner().hidden = !isLost; };

  document.addEventListener("htmx:sendError", () => lost(true));
  document.addEventListener("htmx:timeout", () => lost(true));

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, pathInfo, successful } = event.detail;
    if (!xhr || xhr.status === 0) return;
    lost(xhr.status >= 502 && xhr.status <= 504 && !isOurs(xhr));
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

  // A form in which something was typed is not replaced by a newer one.
  document.addEventListener("input", (event) => event.target.form?.setAttribute("data-touched", ""));
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    if (event.detail.target.querySelector("form[data-touched]")) event.detail.shouldSwap = false;
  });

  // Opened details stay open when what is around them is renewed.
  const opened = new Set();
  const nameOf = (details) => {
    const around = details.closest("[id]");
    return around && `${around.id} ${[...around.querySelectorAll("details")].indexOf(details)}`;
  };
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    event.detail.target.querySelectorAll("details").forEach((one) => {
      opened[one.open ? "add" : "delete"](nameOf(one));
    });
  });
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    const renewed = document.getElementById(event.detail.target.id);
    renewed?.querySelectorAll("details").forEach((one) => { one.open = one.open || opened.has(nameOf(one)); });
  });

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

  // On a narrow screen the navigation may be scrolled; where one is should be in sight.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  // A page from the browser's memory shows the past.
  window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
}
