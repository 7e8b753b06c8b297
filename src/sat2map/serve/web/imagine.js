// A sheet to draw a map on; the picture of it is made anew whenever the pen rests.

import { request } from "./api.js";

const byId = (id) => document.getElementById(id);
const REST = 350; // ms
const KEPT = 20; // states to go back to

export function startImagine(facts) {
  const model = facts.models.find((each) => each.direction === "map2sat");
  byId("imagine-missing").hidden = Boolean(model);
  byId("imagine-how").hidden = byId("drawing").hidden = !model;
  new Easel(model, facts);
}

class Easel {
  constructor(model, facts) {
    this.model = model;
    this.canvas = byId("sketch");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.context.lineCap = this.context.lineJoin = "round";
    this.before = [];
    this.pen = { x: 256, y: 256 };
    this.paints = facts.paints;
    this.choose(facts.paints.findIndex((paint) => paint.name === "road"), this.fillPaints());
    this.empty();
    byId("roll").addEventListener("click", () => this.roll());
    if (model) this.listen();
    else byId("imagined-state").textContent = "Roll a town to see one";
  }

  fillPaints() {
    byId("paints").replaceChildren(...this.paints.map(({ name, colour }, number) => {
      const button = document.createElement("button");
      const swatch = document.createElement("span");
      button.type = "button";
      button.className = "paint";
      button.setAttribute("role", "radio");
      swatch.className = "swatch";
      swatch.style.background = `rgb(${colour})`;
      button.append(swatch, name);
      button.addEventListener("click", () => this.choose(number));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        this.choose((number + step + this.paints.length) % this.paints.length);
        byId("paints").children[this.chosen].focus();
      });
      return button;
    }));
  }

  choose(number) {
    this.chosen = Math.max(number, 0);
    for (const [at, button] of [...byId("paints").children].entries()) {
      button.setAttribute("aria-checked", at === this.chosen);
      button.tabIndex = at === this.chosen ? 0 : -1;
    }
  }

  get colour() {
    return `rgb(${this.paints[this.chosen].colour})`;
  }

  remember() {
    this.before.push(this.context.getImageData(0, 0, 512, 512));
    if (this.before.length > KEPT) this.before.shift();
  }

  empty() {
    this.context.fillStyle = `rgb(${this.paints.find((paint) => paint.name === "land").colour})`;
    this.context.fillRect(0, 0, 512, 512);
  }

  stroke(from, to) {
    const size = Number(byId("brush").value);
    if (this.paints[this.chosen].name === "building") {
      this.context.fillStyle = this.colour;
      this.context.fillRect(Math.round(to.x - size / 2), Math.round(to.y - size / 2), size, size);
      return;
    }
    this.context.strokeStyle = this.colour;
    this.context.lineWidth = size;
    this.context.beginPath();
    this.context.moveTo(from.x, from.y);
    this.context.lineTo(to.x, to.y);
    this.context.stroke();
  }

  listen() {
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: ((event.clientX - box.left) / box.width) * 512, y: ((event.clientY - box.top) / box.height) * 512 };
    };
    let last = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.remember();
      this.canvas.setPointerCapture(event.pointerId);
      last = place(event);
      this.stroke(last, last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const now = place(event);
      this.stroke(last, now);
      last = now;
      this.rest();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(end, () => { if (last) this.rest(); last = null; });
    }
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    byId("wipe").addEventListener("click", () => { this.remember(); this.empty(); this.rest(); });
    byId("undo").addEventListener("click", () => {
      if (this.before.length) this.context.putImageData(this.before.pop(), 0, 0);
      this.rest();
    });
  }

  key(event) {
    const step = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
    const number = Number(event.key);
    if (number >= 1 && number <= this.paints.length) this.choose(number - 1);
    else if (step) {
      const to = { x: Math.min(Math.max(this.pen.x + step[0], 0), 512), y: Math.min(Math.max(this.pen.y + step[1], 0), 512) };
      if (this.drawing) this.stroke(this.pen, to);
      this.pen = to;
    } else if (event.key === " ") {
      this.drawing = !this.drawing;
      if (this.drawing) { this.remember(); this.stroke(this.pen, this.pen); }
    } else return;
    event.preventDefault();
    const pen = byId("pen"), scale = this.canvas.clientWidth / 512, size = Number(byId("brush").value) * scale;
    Object.assign(pen.style, { left: `${this.pen.x * scale}px`, top: `${this.pen.y * scale}px`, width: `${size}px`, height: `${size}px` });
    if (this.drawing) this.rest();
  }

  rest() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.imagine(), REST);
  }

  async imagine() {
    this.leaving?.abort();
    const leaving = (this.leaving = new AbortController());
    const state = byId("imagined-state");
    state.textContent = "Making the picture …";
    try {
      const sketch = await new Promise((resolve) => { this.canvas.toBlob(resolve); });
      const answer = await request(`translate?model=${encodeURIComponent(this.model.id)}`, { method: "POST", body: sketch, headers: { "Content-Type": "image/png" }, signal: leaving.signal });
      this.put(await answer.blob(), `Made by ${this.model.title}; no such place exists`);
    } catch (error) {
      if (error.name === "AbortError") return;
      state.textContent = error.message;
      if (error.retryAfter) this.timer = setTimeout(() => this.imagine(), error.retryAfter * 1000);
    }
  }

  put(blob, text) {
    const image = byId("imagined"), former = image.src;
    image.src = URL.createObjectURL(blob);
    if (former) URL.revokeObjectURL(former);
    byId("imagined-state").textContent = text;
  }

  async roll() {
    const state = byId("imagined-state"), seed = Math.floor(Math.random() * 2 ** 31);
    const town = `towns/${byId("style").value}/${seed}`;
    byId("roll").disabled = true;
    state.textContent = "Building a town …";
    try {
      const map = await createImageBitmap(await (await request(`${town}/map.png`)).blob());
      this.remember();
      this.context.drawImage(map, 0, 0, 512, 512);
      byId("sketch-name").textContent = `Town ${seed}, ${byId("style").value}`;
      if (this.model) this.rest();
      else this.put(await (await request(`${town}/imagery.png`)).blob(), "Painted by rules, not by a model; no such place exists");
    } catch (error) {
      state.textContent = error.message;
    } finally {
      byId("roll").disabled = false;
    }
  }
}
