// What a page loads by itself (`data-loads` says what it is) and does not get is asked for again, later each time, by
// its trigger `again`; in the end a button asks. After page.js, which decides what an error replaces.
"use strict";
{
  const PAUSES_MS = [1000, 3000];
  const inVain = new WeakMap(); // how often, by part
  const pauses = new WeakMap();

  const isLoaded = (part) => part instanceof HTMLElement && "loads" in part.dataset;

  // Not told to what is around the part, which may be loaded itself.
  const ask = (part) => part.dispatchEvent(new Event("again"));

  function fail(part, pauseMs = 0) {
    const times = inVain.get(part) ?? 0;
    inVain.set(part, times + 1);
    if (times === PAUSES_MS.length) return tell(part);
    pauses.set(part, window.setTimeout(() => ask(part), Math.max(PAUSES_MS[times], pauseMs)));
    return undefined;
  }

  function tell(part) {
    inVain.delete(part);
    const note = document.createElement("div");
    note.className = "note failure";
    note.setAttribute("role", "alert");
    const what = document.createElement("strong");
    what.textContent = `${part.dataset.loads} could not be loaded.`;
    const told = document.createElement("p");
    told.append(what, " The connection is lost, or the service is away.");
    const again = document.createElement("button");
    again.type = "button";
    again.className = "small";
    again.textContent = "Try again";
    again.addEventListener("click", () => {
      show(part, "Loading …");
      part.tabIndex = -1;
      part.focus({ preventScroll: true });
      ask(part);
    });
    note.append(told, again);
    show(part, note);
  }

  function show(part, content) {
    if (part.tagName !== "UL") return part.replaceChildren(content);
    const line = document.createElement("li");
    line.className = "more";
    if (part.getAttribute("role") === "row") line.setAttribute("role", "gridcell");
    line.append(content);
    return part.replaceChildren(line);
  }

  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, ({ detail }) => { if (isLoaded(detail.elt)) fail(detail.elt); });
  }
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { xhr, requestConfig: { elt } } = detail;
    if (!isLoaded(elt) || (xhr.status < 500 && xhr.status !== 429)) return;
    detail.shouldSwap = false;
    fail(elt, 1000 * (Number(xhr.getResponseHeader("Retry-After")) || 0));
  });
  document.addEventListener("htmx:beforeRequest", ({ detail }) => window.clearTimeout(pauses.get(detail.elt)));
  document.addEventListener("htmx:afterRequest", ({ detail }) => { if (detail.successful) inVain.delete(detail.elt); });
}
