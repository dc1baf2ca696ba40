// The strength slider, over trials that differ in nothing else, and beside it the choice among the others: each shows one
// trial at a time, with the pictures that it made, and its point in the curve.
"use strict";
{
  const places = new Map(); // of each choice, the trial a person left it at
  let held = null;

  const stopsOf = (play) => [...play.querySelectorAll(".stop")];

  function move(play, place) {
    const stops = stopsOf(play);
    const stop = stops[place];
    if (!stop) return;
    for (const one of stops) one.hidden = one !== stop;
    const control = play.querySelector("input[type=range], select");
    if (control) control.value = place;
    if (control?.type === "range") control.setAttribute("aria-valuetext", stop.dataset.label);
    mark(play.closest(".slider"));
  }

  function mark(slider) {
    const shown = new Set([...slider.querySelectorAll(".stop:not([hidden])")].map((stop) => `trial-${stop.dataset.number}`));
    for (const dot of slider.querySelectorAll(".dot")) dot.classList.toggle("current", shown.has(dot.dataset.stop));
  }

  function begin(play) {
    const stops = stopsOf(play);
    const left = places.get(play.dataset.play);
    const found = stops.findIndex((stop) => stop.dataset.number === left);
    move(play, found >= 0 ? found : stops.findIndex((stop) => !stop.hidden));
  }

  function choose(play, place) {
    move(play, place);
    places.set(play.dataset.play, play.querySelector(".stop:not([hidden])")?.dataset.number);
  }

  document.addEventListener("input", (event) => {
    const play = event.target.closest?.(".play");
    if (play) choose(play, Number(event.target.value));
  });
  document.addEventListener("click", (event) => {
    const dot = event.target.closest?.(".slider .dot");
    if (!dot) return;
    for (const play of dot.closest(".slider").querySelectorAll(".play")) {
      const place = stopsOf(play).findIndex((stop) => `trial-${stop.dataset.number}` === dot.dataset.stop);
      if (place >= 0) choose(play, place);
    }
  });

  // What a person holds is not taken out of the hand; the next look at the service brings the newer one.
  document.addEventListener("pointerdown", (event) => {
    held = event.target.type === "range" ? event.target.closest(".slider") : null;
  });
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { held = null; });
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    if (held && event.detail.target.contains(held)) event.detail.shouldSwap = false;
  });
  document.addEventListener("renewed", (event) => event.target.querySelectorAll(".play").forEach(begin));
  document.querySelectorAll(".play").forEach(begin);
}
