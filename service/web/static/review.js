// Looking through images: arrows move, K keeps, R rejects, U takes it back. Decisions are shown at once and stored one
// request at a time; what could not be stored waits and is told.
"use strict";
{
  const review = document.getElementById("review");
  const cells = document.getElementById("cells");
  const detail = document.getElementById("detail");
  const mayWrite = review.dataset.mayWrite === "true";
  const WORDS = { keep: "kept", reject: "rejected", "": "undecided" };
  const LOOK_AFTER_MS = 120;
  const AGAIN_AFTER_MS = 4000;
  let current = null;
  let looking = 0;

  const all = () => [...cells.querySelectorAll(".cell")];

  // ------------------------------------------------------------------------------------------------ moving

  function choose(cell, { focus = true } = {}) {
    if (!cell) return;
    for (const one of cells.querySelectorAll(".cell[tabindex='0'], .cell.current")) {
      one.tabIndex = -1;
      one.classList.remove("current");
      one.parentElement.removeAttribute("aria-selected");
    }
    current = cell;
    cell.tabIndex = 0;
    cell.classList.add("current");
    cell.parentElement.setAttribute("aria-selected", "true");
    if (focus) cell.focus({ preventScroll: false });
    window.clearTimeout(looking);
    looking = window.setTimeout(() => look(cell), LOOK_AFTER_MS);
  }

  function look(cell) {
    detail.classList.add("open");
    htmx.ajax("GET", cell.dataset.detail, { source: detail, target: detail, swap: "innerHTML" });
  }

  function beside(cell, rows) {
    return step(cell, rows * window.getComputedStyle(cells).gridTemplateColumns.split(" ").length);
  }

  function step(cell, by) {
    const list = all();
    return list[list.indexOf(cell) + by];
  }

  // ------------------------------------------------------------------------------------------------ deciding

  const waiting = new Map(); // what is not stored yet, by image
  let sending = false;
  let again = 0;

  function decide(cell, decision) {
    if (!mayWrite || !cell) return;
    mark(cell, decision);
    waiting.set(`${cell.dataset.class}/${cell.dataset.number}`, {
      class_name: cell.dataset.class, number: Number(cell.dataset.number), decision: decision || null,
    });
    document.getElementById("said").textContent = `${cell.dataset.class} ${cell.dataset.number} ${WORDS[decision]}`;
    store();
  }

  function mark(cell, decision) {
    cell.classList.remove("keep", "reject");
    if (decision) cell.classList.add(decision);
    cell.dataset.decision = decision;
    cell.querySelector(".mark").textContent = decision ? WORDS[decision] : "";
  }

  async function store() {
    window.clearTimeout(again);
    if (sending || !waiting.size) return;
    sending = true;
    const batch = new Map([...waiting].slice(0, 500));
    const failure = await put([...batch.values()]);
    sending = false;
    if (failure === null) {
      for (const [name, one] of batch) if (waiting.get(name) === one) waiting.delete(name);
    } else {
      again = window.setTimeout(store, AGAIN_AFTER_MS);
    }
    tell(failure);
    if (failure === null && waiting.size) store();
  }

  async function put(decisions) {
    try {
      const answer = await fetch(review.dataset.decisions, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ decisions }),
        keepalive: true,
      });
      if (answer.ok) {
        count((await answer.json()).decisions);
        return null;
      }
      if (answer.status === 401) return "you are signed out; sign in again in another tab.";
      const problem = await answer.json().catch(() => ({ detail: "the service is away for a moment." }));
      return `${problem.detail} ${problem.remedy ?? ""}`;
    } catch {
      return "the connection is lost; it is tried again.";
    }
  }

  function count(decisions) {
    for (const told of document.querySelectorAll("[data-counts]")) {
      const counts = decisions[told.dataset.counts];
      for (const [name, kind] of counts ? [["kept", "keep"], ["rejected", "reject"]] : []) {
        const part = told.querySelector(`.${name}`);
        part.hidden = !counts[kind];
        part.firstElementChild.textContent = counts[kind];
      }
    }
  }

  function tell(failure) {
    const unsaved = document.getElementById("unsaved");
    unsaved.hidden = failure === null;
    const number = `${waiting.size} decision${waiting.size === 1 ? "" : "s"}`;
    document.getElementById("unsaved-sum").textContent = failure === null ? "" : `${number}: ${failure}`;
  }

  // ------------------------------------------------------------------------------------------------ what a person does

  const MOVES = {
    ArrowRight: (cell) => step(cell, 1),
    ArrowLeft: (cell) => step(cell, -1),
    ArrowDown: (cell) => beside(cell, 1),
    ArrowUp: (cell) => beside(cell, -1),
    Home: () => all()[0],
    End: () => all().at(-1),
  };
  const DECISIONS = { k: "keep", r: "reject", u: "" };

  review.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const cell = current ?? all()[0];
    if (!cell) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in MOVES) {
      event.preventDefault();
      choose(MOVES[key](cell));
    } else if (key in DECISIONS) {
      event.preventDefault();
      decide(cell, DECISIONS[key]);
      if (key === "u") choose(cell); else choose(step(cell, 1) ?? cell);
    } else if (key === "Escape") {
      detail.classList.remove("open");
    }
  });
  review.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    const button = event.target.closest("[data-decide]");
    if (cell) choose(cell);
    else if (button) decide(current, button.dataset.decide);
    else if (event.target.id === "save-again") store();
    else if (event.target.id === "close-detail") {
      detail.classList.remove("open");
      current?.focus();
    }
  });
  detail.addEventListener("again", () => look(current));
  document.getElementById("beside").addEventListener("change", (event) => {
    cells.classList.toggle("beside", event.target.checked);
  });
  // The first image can be reached by Tab as soon as there is one.
  cells.addEventListener("htmx:afterSettle", () => {
    if (!cells.querySelector(".cell[tabindex='0']")) {
      current = null;
      all()[0]?.setAttribute("tabindex", "0");
    }
  });
  // New images do not take a person away from the one that is looked at.
  const fresh = document.getElementById("fresh");
  document.body.addEventListener("published", () => {
    if (current) fresh.hidden = false; else htmx.trigger(cells, "refresh");
  });
  fresh.addEventListener("click", () => { fresh.hidden = true; htmx.trigger(cells, "refresh"); });
  window.addEventListener("beforeunload", (event) => { if (waiting.size) event.preventDefault(); });
}
