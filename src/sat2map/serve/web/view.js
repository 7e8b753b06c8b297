// The view from the ground: a place on imagery, a heading, and the picture that the model draws of it.

import { request } from "./api.js";
import { SceneGround, TownGround } from "./standing.js";

const byId = (id) => document.getElementById(id);
const REST = 120; // ms
const TURN = 15; // degrees
const WALK = 5; // metres

export function startView(facts, page) {
  const model = facts.models.find((each) => each.ground);
  byId("view-ready").hidden = !model;
  byId("view-missing").hidden = Boolean(model);
  if (model) window.sat2mapView = new Standing(model, facts, page); // for tests and for the curious
}

class Standing {
  constructor(model, facts, page) {
    this.model = model;
    this.heading = 0;
    const sources = facts.layers.filter((layer) => layer.product === "source");
    this.inTown = !sources.length;
    const pick = (x, y) => this.stand(x, y);
    this.ground = this.inTown ? new TownGround(byId("view-ground"), pick) : new SceneGround(byId("view-ground"), pick, page);
    byId("view-scene").replaceChildren(...sources.map((layer) => new Option(layer.scene, layer.id)));
    byId("view-scene-row").hidden = sources.length < 2;
    byId("view-town-row").hidden = !this.inTown;
    byId("view-x-name").textContent = this.inTown ? "Metres east" : "Longitude";
    byId("view-y-name").textContent = this.inTown ? "Metres north" : "Latitude";
    const image = byId("view-picture");
    image.width = 2 * model.ground.width;
    image.height = 2 * model.ground.height;
    this.listen(sources);
    this.open(sources);
  }

  // Stand in the middle of the scene that is chosen, or of a new town.
  async open(sources) {
    const layer = sources.find((each) => each.id === byId("view-scene").value);
    this.scene = layer?.scene ?? "";
    try {
      const [x, y] = await this.ground.show(layer);
      this.stand(x, y);
    } catch (error) {
      byId("view-state").textContent = error.message;
    }
  }

  listen(sources) {
    const number = (id) => Number(byId(id).value);
    for (const id of ["view-x", "view-y"]) {
      byId(id).addEventListener("change", () => this.stand(number("view-x"), number("view-y"), true));
    }
    byId("view-heading").addEventListener("input", () => this.turn(number("view-heading")));
    byId("view-scene").addEventListener("change", () => this.open(sources));
    byId("view-roll").addEventListener("click", () => this.open(sources));
    byId("view-picture").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -TURN, ArrowRight: TURN }[event.key], walk = { ArrowUp: WALK, ArrowDown: -WALK }[event.key];
      if (!step && !walk) return;
      event.preventDefault();
      if (step) this.turn(this.heading + step);
      else this.stand(...this.ground.ahead(this.x, this.y, this.heading, walk), true);
    });
  }

  stand(x, y, follow = false) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    [this.x, this.y] = [x, y];
    const digits = this.inTown ? 1 : 6;
    byId("view-x").value = x.toFixed(digits);
    byId("view-y").value = y.toFixed(digits);
    this.changed(follow);
  }

  turn(degrees) {
    this.heading = ((degrees % 360) + 360) % 360;
    byId("view-heading").value = this.heading;
    this.changed();
  }

  changed(follow = false) {
    const names = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];
    const name = names[Math.round(this.heading / 45) % 8];
    byId("view-degrees").textContent = `${this.heading}° ${name}`;
    byId("view-heading").setAttribute("aria-valuetext", `${this.heading} degrees, ${name}`);
    this.ground.mark(this.x, this.y, this.heading, this.model.ground.field, follow);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), REST);
  }

  get address() {
    const rest = `heading=${this.heading}&model=${encodeURIComponent(this.model.id)}`;
    return this.inTown
      ? `towns/${this.ground.town}/view.png?x=${this.x}&y=${this.y}&${rest}`
      : `view?lon=${this.x}&lat=${this.y}&scene=${encodeURIComponent(this.scene)}&${rest}`;
  }

  async look() {
    this.leaving?.abort();
    const leaving = (this.leaving = new AbortController()), state = byId("view-state"), image = byId("view-picture");
    state.textContent = "Drawing …";
    try {
      const blob = await (await request(this.address, { signal: leaving.signal })).blob();
      const former = image.src;
      image.src = URL.createObjectURL(blob);
      if (former.startsWith("blob:")) URL.revokeObjectURL(former);
      image.alt = `What the model draws of the view towards ${byId("view-degrees").textContent}`;
      image.hidden = false;
      state.textContent = `Invented by ${this.model.title}: what could be there, not what is`;
      this.drawn = this.address;
    } catch (error) {
      if (error.name === "AbortError") return;
      image.hidden = error.status === 404 || image.hidden;
      state.textContent = error.message;
      if (error.retryAfter) this.timer = setTimeout(() => this.look(), error.retryAfter * 1000);
    }
  }
}
