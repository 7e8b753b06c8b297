"use strict";
const compare = document.getElementById("compare");
const slider = document.getElementById("slider");
const shown = document.getElementById("shown");
const move = () => {
  compare.style.setProperty("--at", slider.value + "%");
  slider.setAttribute("aria-valuetext", Math.round(slider.value) + " percent");
};
slider.addEventListener("input", move);
slider.addEventListener("keydown", (event) => { // "any" steps are too fine for keys
  const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
  if (event.key in steps) {
    slider.value = Number(slider.value) + steps[event.key];
    event.preventDefault();
    move();
  }
});
for (const radio of document.querySelectorAll("input[name=layer]")) {
  radio.addEventListener("change", () => {
    for (const image of document.querySelectorAll(".over img")) image.hidden = image.id !== radio.value;
    shown.textContent = radio.parentElement.textContent.trim();
  });
}
const first = document.querySelector("input[name=layer]");
if (first) first.checked = true; // browsers restore the choice of the last visit
slider.value = 50;
move();
