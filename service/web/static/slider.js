// The strength slider: one place a trial of the search, with the pictures that it made and its point in the curve.
"use strict";
{
  const places = new Map(); // of each slider, the trial a person left it at
  let held = null;

  function move(slider, place) {
    const stops = [...slider.querySelectorAll(".stop")];
    const stop = stops[place];
    if (!stop) return;
    for (const one of stops) one.hidden = one !== stop;
    const range = slider.querySelector("input[type=range]");
    if (range) {
      range.value = place;
      range.setAttribute("aria-valuetext", stop.dataset.label);
    }
    for (const dot of slider.querySelectorAll(".dot")) {
      dot.classList.toggle("current", dot.dataset.stop === `trial-${stop.dataset.number}`);
    }
  }

  function begin(slider) {
    const stops = [...slider.querySelectorAll(".stop")];
    const left = places.get(slider.dataset.slider);
    const found = stops.findIndex((stop) => stop.dataset.number === left);
    move(slider, found >= 0 ? found : stops.findIndex((stop) => !stop.hidden));
  }

  function choose(slider, place) {
    move(slider, place);
    places.set(slider.dataset.slider, slider.querySelector(".stop:not([hidden])")?.dataset.number);
  }

  document.addEventListener("input", (event) => {
    const slider = event.target.closest?.(".slider");
    if (slider && event.target.type === "range") choose(slider, Number(event.target.value));
  });
  document.addEventListener("click", (event) => {
    const dot = event.target.closest?.(".slider .dot");
    if (!dot) return;
    const slider = dot.closest(".slider");
    const stops = [...slider.querySelectorAll(".stop")];
    choose(slider, stops.findIndex((stop) => `trial-${stop.dataset.number}` === dot.dataset.stop));
  });

  // What a person holds is not taken out of the hand; the next look at the service brings the newer one.
  document.addEventListener("pointerdown", (event) => { held = event.target.closest?.(".slider") ?? null; });
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { held = null; });
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    if (held && event.detail.target.contains(held)) event.detail.shouldSwap = false;
  });
  document.addEventListener("renewed", (event) => event.target.querySelectorAll(".slider").forEach(begin));
  document.querySelectorAll(".slider").forEach(begin);
}
