// The map: two views of the same place, one clipped by the line between them.

import * as maplibregl from "./vendor/maplibre-gl.mjs";
import { headers } from "./api.js";
import { hex, masked, maskedTiles } from "./masked.js";
import { saveFiles, savePicture } from "./saving.js";

const byId = (id) => document.getElementById(id);
const absolute = (address) => decodeURI(new URL(address, document.baseURI).href);
const MOST_RETRIES = 8;

export function startMap(facts, page) {
  if (!facts.layers.length) {
    page.complain("The server was started without a scene. Start it as: sat2map serve scene.tif");
    return;
  }
  maplibregl.setWorkerUrl(new URL("./vendor/maplibre-gl-worker.mjs", import.meta.url).href);
  maplibregl.addProtocol("masked", masked);
  new Comparison(facts, page);
}

class Comparison {
  constructor(facts, page) {
    this.facts = facts;
    this.page = page;
    this.hidden = new Set();
    this.retries = 0;
    this.fillChoices();
    let webgl = true;
    try {
      this.maps = { left: this.view("before"), right: this.view("after") };
    } catch (error) {
      webgl = false;
      page.complain(`This browser cannot draw the map: ${error.message}. It needs WebGL 2.`);
    }
    if (!webgl) return;
    window.sat2map = this; // for tests and for the curious
    this.follow(this.maps.left, this.maps.right);
    this.follow(this.maps.right, this.maps.left);
    this.maps.left.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), "bottom-left");
    this.maps.right.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-right");
    this.swipeTo(50);
    this.listen();
    Promise.all(Object.values(this.maps).map((map) => map.once("load"))).then(() => {
      this.fit(false);
      this.change();
    });
  }

  // -- choices ------------------------------------------------------------------------------------------------------

  fillChoices() {
    const unique = (name) => [...new Set(this.facts.layers.map((layer) => layer[name]))];
    const fill = (id, values) => byId(id).replaceChildren(...values.map(([value, text]) => new Option(text, value)));
    fill("scene", unique("scene").map((name) => [name, name]));
    const makers = unique("model").map((id) => this.facts.models.find((model) => model.id === id));
    fill("model", makers.map((model) => [model.id, model.title]));
    byId("scene-row").hidden = unique("scene").length < 2;
    this.fillProducts();
  }

  fillProducts() {
    const names = { source: "Satellite", colour: "Map", classes: "Classes", confidence: "Confidence" };
    const products = this.facts.layers.filter((layer) => layer.scene === byId("scene").value
      && (layer.product === "source" || layer.model === byId("model").value)).map((layer) => layer.product);
    for (const [id, first] of [["left", "source"], ["right", "colour"]]) {
      const before = byId(id).value || first;
      byId(id).replaceChildren(...products.map((product) => new Option(names[product], product)));
      byId(id).value = products.includes(before) ? before : first;
    }
    this.fillLegend();
  }

  fillLegend() {
    const model = this.facts.models.find((each) => each.id === byId("model").value);
    this.hidden.clear();
    byId("classes").replaceChildren(...model.classes.map(({ name, colour }) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      const swatch = document.createElement("span");
      box.type = "checkbox";
      box.checked = true;
      swatch.className = "swatch";
      swatch.style.background = `rgb(${colour})`;
      box.addEventListener("change", () => {
        if (box.checked) this.hidden.delete(hex(colour));
        else this.hidden.add(hex(colour));
        this.change();
      });
      label.append(box, swatch, name);
      return label;
    }));
    byId("notes").textContent = model.limits.slice(0, 2).join(" ");
  }

  layer(product) {
    return this.facts.layers.find((layer) => layer.scene === byId("scene").value && layer.product === product
      && (product === "source" || layer.model === byId("model").value));
  }

  // -- maps ---------------------------------------------------------------------------------------------------------

  view(id) {
    const map = new maplibregl.Map({
      container: id,
      style: { version: 8, sources: {}, layers: [] },
      attributionControl: false,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      renderWorldCopies: false,
      transformRequest: (url) => ({ url, headers: headers() }),
    });
    map.touchZoomRotate.disableRotation();
    map.getCanvas().setAttribute("aria-label", id === "before" ? "Left layer; arrow keys move, plus and minus zoom" : "Right layer; arrow keys move, plus and minus zoom");
    map.on("mousemove", (event) => this.tell(event.lngLat));
    map.on("move", () => this.tell(map.getCenter()));
    map.on("error", (event) => this.fail(event.error, event.sourceId));
    map.on("dataloading", () => this.busy());
    map.on("idle", () => this.busy());
    return map;
  }

  follow(map, other) {
    map.on("move", () => {
      if (this.following) return;
      this.following = true;
      other.jumpTo({ center: map.getCenter(), zoom: map.getZoom() });
      this.following = false;
    });
  }

  isShown() {
    return Object.values(this.maps || {}).every((map) => map.getSource("shown") && map.loaded() && map.areTilesLoaded());
  }

  busy() {
    this.page.say(this.isShown() ? "" : "Making the map …");
    if (this.isShown()) this.retries = 0;
  }

  fail(error, source) {
    const after = { 503: 3000, 502: 5000, 0: 5000 }[error.status ?? 0];
    if (error.status === 401) location.reload();
    if (after && this.retries < MOST_RETRIES) {
      const isFar = error.status === 502;
      this.page.complain(`${isFar ? "The source of the imagery fails" : "The server has too much to do"}; trying again in a moment.`);
      clearTimeout(this.again);
      this.again = setTimeout(() => {
        this.retries += 1;
        this.page.complain("");
        for (const map of Object.values(this.maps)) if (map.getSource("shown")) map.refreshTiles("shown");
      }, after);
      return;
    }
    this.page.complain(`A part of the map could not be made: ${error.message}`, () => {
      this.page.complain("");
      this.retries = 0;
      this.change();
    });
    void source;
  }

  tiles(layer) {
    const plain = absolute(layer.tiles);
    const classes = this.layer("classes");
    if (!this.hidden.size || layer.product === "source" || !classes) return plain;
    return maskedTiles(plain, absolute(classes.tiles), [...this.hidden]);
  }

  change() {
    for (const side of ["left", "right"]) {
      const map = this.maps[side], product = byId(side).value, layer = this.layer(product);
      const [west, south, east, north] = layer.extent;
      if (map.getLayer("shown")) map.removeLayer("shown");
      if (map.getSource("shown")) map.removeSource("shown");
      map.addSource("shown", {
        type: "raster", tiles: [this.tiles(layer)], tileSize: 256, minzoom: layer.minzoom, maxzoom: layer.maxzoom,
        bounds: east > 180 ? [-180, south, 180, north] : [west, south, east, north],
      });
      if (!map.getSource("outline")) {
        map.addSource("outline", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
        map.addLayer({ id: "outline", type: "line", source: "outline", paint: { "line-color": "#0f6b5c", "line-width": 1.5, "line-dasharray": [3, 2] } });
      }
      const ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
      map.getSource("outline").setData({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: ring } });
      map.addLayer({
        id: "shown", type: "raster", source: "shown",
        paint: {
          "raster-resampling": product === "classes" ? "nearest" : "linear", "raster-fade-duration": 0,
          "raster-opacity": side === "right" ? byId("opacity").value / 100 : 1,
        },
      }, "outline");
      byId(`${side}-name`).textContent = byId(side).selectedOptions[0].text;
    }
    byId("credit").textContent = this.layer("source").attribution;
    byId("credit").hidden = !byId("credit").textContent;
    const shown = [byId("left").value, byId("right").value];
    byId("percent").hidden = !shown.includes("confidence");
    byId("legend").hidden = !shown.some((product) => product !== "source") || !this.layer("classes");
  }

  fit(animate = true) {
    const [west, south, east, north] = this.layer(byId("left").value).extent;
    const narrow = window.innerWidth < 700;
    const padding = narrow ? { top: 20, bottom: 20, left: 20, right: 20 } : { top: 40, bottom: 40, left: 40, right: 320 };
    this.maps.left.fitBounds([[west, south], [east, north]], { padding, animate, maxZoom: 19 });
  }

  tell({ lng, lat }) {
    const zoom = this.maps.left.getZoom();
    const metres = 156543.034 * Math.cos((lat * Math.PI) / 180) / 2 ** (zoom + 1);
    byId("place").textContent = `${lat.toFixed(5)}, ${lng.toFixed(5)} · zoom ${zoom.toFixed(1)} · ${metres < 10 ? metres.toFixed(2) : metres.toFixed(0)} m/px`;
  }

  // -- the line -----------------------------------------------------------------------------------------------------

  swipeTo(percent) {
    this.at = Math.min(Math.max(percent, 0), 100);
    byId("maps").style.setProperty("--at", `${this.at}%`);
    byId("swipe").setAttribute("aria-valuenow", Math.round(this.at));
    byId("swipe").setAttribute("aria-valuetext", `${Math.round(this.at)} percent shows the left layer`);
  }

  listen() {
    const swipe = byId("swipe");
    const move = (event) => {
      const box = byId("maps").getBoundingClientRect();
      this.swipeTo(((event.clientX - box.left) / box.width) * 100);
    };
    swipe.addEventListener("pointerdown", (event) => {
      swipe.setPointerCapture(event.pointerId);
      swipe.addEventListener("pointermove", move);
      event.preventDefault();
      swipe.focus();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      swipe.addEventListener(end, () => swipe.removeEventListener("pointermove", move));
    }
    swipe.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.swipeTo(this.at + steps[event.key]);
    });
    for (const id of ["left", "right"]) byId(id).addEventListener("change", () => this.change());
    byId("scene").addEventListener("change", () => { this.fillProducts(); this.change(); this.fit(); });
    byId("model").addEventListener("change", () => { this.fillProducts(); this.change(); });
    byId("opacity").addEventListener("input", () => {
      this.maps.right.setPaintProperty("shown", "raster-opacity", byId("opacity").value / 100);
    });
    byId("fit").addEventListener("click", () => this.fit());
    byId("picture").addEventListener("click", () => savePicture(this));
    for (const button of document.querySelectorAll("button.extract")) {
      button.addEventListener("click", () => saveFiles(this, button.value));
    }
    byId("fold").addEventListener("click", () => {
      const open = byId("fold").getAttribute("aria-expanded") === "true";
      byId("fold").setAttribute("aria-expanded", !open);
      byId("options").hidden = open;
    });
    if (window.innerWidth < 700) byId("fold").click();
  }
}
