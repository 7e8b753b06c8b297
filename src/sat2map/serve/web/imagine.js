// Imagine: a map drawn or rolled, the picture that a model makes of it while one draws, and the map of that picture.

import { request, save } from "./api.js";
import { Sketch } from "./sketch.js";

const byId = (id) => document.getElementById(id);
const PAUSE = 250; // ms between a change and the picture of it

export function startImagine(facts) {
  const painter = facts.models.find((each) => each.direction === "map2sat");
  const mapper = facts.models.find((each) => each.direction === "sat2map");
  byId("imagine-missing").hidden = Boolean(painter);
  byId("imagine-how").hidden = byId("drawing").hidden = !painter;
  byId("back-row").hidden = !mapper;
  new Easel(facts, painter, mapper);
}

// The newest wish counts: one request at a time, then the next; what is out of date is cancelled if that is worth it.
class Latest {
  constructor(work, tell) {
    this.work = work;
    this.tell = tell;
  }

  // `isOver`: a stroke has ended, so the picture on its way is of a sheet that is no more.
  want(isOver) {
    this.isWanted = true;
    if (isOver) this.leaving?.abort();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), this.leaving || isOver ? 0 : PAUSE);
  }

  async run() {
    if (this.leaving || !this.isWanted) return;
    this.isWanted = false;
    this.leaving = new AbortController();
    let pause = 0;
    try {
      await this.work(this.leaving.signal);
    } catch (error) {
      if (error.name !== "AbortError") {
        this.tell(error.message);
        pause = (error.retryAfter || 0) * 1000;
        this.isWanted ||= pause > 0;
      }
    }
    this.leaving = null;
    if (this.isWanted) this.timer = setTimeout(() => this.run(), pause);
  }
}

class Easel {
  constructor(facts, painter, mapper) {
    Object.assign(this, { painter, mapper });
    this.sketch = new Sketch(byId("sketch"), byId("pen"), facts.paints, painter?.metres_per_pixel || 0.9);
    this.pictures = new Latest((signal) => this.imagine(signal), (text) => this.say("imagined", text));
    this.maps = new Latest((signal) => this.mapBack(signal), (text) => this.say("back", text));
    this.fillPaints();
    this.sketch.addEventListener("chosen", () => this.showChosen());
    this.sketch.choose(facts.paints.findIndex((paint) => paint.name === "road"));
    byId("pen").hidden = true;
    byId("roll").addEventListener("click", () => this.roll());
    byId("back-wanted").addEventListener("change", () => this.showBack());
    for (const [id, name] of [["keep-sketch", "map.png"], ["keep-imagined", "imagery.png"]]) {
      byId(id).addEventListener("click", () => this.keep(id, name));
    }
    if (painter) this.listen();
    else {
      byId("sketch").tabIndex = -1;
      byId("sketch").classList.add("still");
      this.say("imagined", "Roll a town to see one");
    }
  }

  say(which, text) {
    byId(`${which}-state`).textContent = text;
  }

  fillPaints() {
    const paints = this.sketch.paints;
    byId("paints").replaceChildren(...paints.map(({ name, colour }, number) => {
      const button = document.createElement("button");
      const swatch = document.createElement("span");
      button.type = "button";
      button.className = "paint";
      button.title = `${name} (key ${number + 1})`;
      button.setAttribute("role", "radio");
      swatch.className = "swatch";
      swatch.style.background = `rgb(${colour})`;
      button.append(swatch, name);
      button.addEventListener("click", () => this.sketch.choose(number));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        this.sketch.choose((number + step + paints.length) % paints.length);
        byId("paints").children[this.sketch.chosen].focus();
      });
      return button;
    }));
  }

  showChosen() {
    for (const [at, button] of [...byId("paints").children].entries()) {
      button.setAttribute("aria-checked", at === this.sketch.chosen);
      button.tabIndex = at === this.sketch.chosen ? 0 : -1;
    }
    byId("brush").value = this.sketch.size;
  }

  listen() {
    const sketch = this.sketch;
    sketch.addEventListener("change", (event) => {
      byId("sketch-name").textContent = "Your map";
      byId("undo").disabled = !sketch.before.length;
      byId("redo").disabled = !sketch.after.length;
      this.pictures.want(event.detail.isOver);
    });
    byId("brush").addEventListener("input", () => { sketch.size = Number(byId("brush").value); });
    for (const [id, name] of [["wipe", "clear"], ["undo", "undo"], ["redo", "redo"]]) {
      byId(id).addEventListener("click", () => sketch[name]());
    }
  }

  async translated(model, blob, signal) {
    const options = { method: "POST", body: blob, headers: { "Content-Type": "image/png" }, signal };
    return (await request(`translate?model=${encodeURIComponent(model.id)}`, options)).blob();
  }

  async imagine(signal) {
    byId("imagined").classList.add("old");
    this.say("imagined", "Making the picture …");
    const sheet = await new Promise((resolve) => { byId("sketch").toBlob(resolve); });
    this.put(await this.translated(this.painter, sheet, signal), `Made by ${this.painter.title}; no such place exists`);
  }

  put(blob, text) {
    this.imagery = blob;
    this.place("imagined", blob, text);
    byId("imagined").classList.remove("old");
    byId("keep-imagined").disabled = false;
    if (byId("back-wanted").checked) this.maps.want(true);
  }

  place(id, blob, text) {
    const image = byId(id), former = image.src;
    image.src = URL.createObjectURL(blob);
    if (former) URL.revokeObjectURL(former);
    this.say(id, text);
  }

  showBack() {
    const isWanted = byId("back-wanted").checked;
    byId("back-figure").hidden = !isWanted;
    if (isWanted && this.imagery) this.maps.want(true);
  }

  async mapBack(signal) {
    this.say("back", "Making the map …");
    const map = await this.translated(this.mapper, this.imagery, signal);
    this.place("back", map, `The map that ${this.mapper.title} makes of the picture`);
  }

  async roll() {
    const seed = Math.floor(Math.random() * 2 ** 31), style = byId("style").value, town = `towns/${style}/${seed}`;
    byId("roll").disabled = true;
    this.say("imagined", "Building a town …");
    try {
      const map = await createImageBitmap(await (await request(`${town}/map.png`)).blob());
      this.sketch.show(map);
      byId("sketch-name").textContent = `Town ${seed}, ${style}`;
      byId("keep-sketch").disabled = false;
      if (!this.painter) {
        const imagery = await (await request(`${town}/imagery.png`)).blob();
        this.put(imagery, "Painted by rules, not by a model; no such place exists");
      }
    } catch (error) {
      this.say("imagined", error.message);
    } finally {
      byId("roll").disabled = false;
    }
  }

  keep(id, name) {
    if (id === "keep-imagined") save(this.imagery, name);
    else byId("sketch").toBlob((blob) => save(blob, name));
  }
}

