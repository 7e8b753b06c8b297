// Imagery to stand on, with a mark for where one stands and looks: a scene on a map, or a town in a picture.

import * as maplibregl from "./vendor/maplibre-gl.mjs";
import { headers, request } from "./api.js";

const METRES = 111195; // of a degree of latitude
const REACH = 60; // metres that the mark shows
const TOWN = 460.8; // metres that a picture of a town shows
const STYLES = ["grid", "organic", "radial", "coastal"];
const SVG = "http://www.w3.org/2000/svg";

// Corners of the field of view as metres to the east and north of the standing point.
function cone(heading, field) {
  const corners = field >= 360 ? [] : [[0, 0]];
  for (let n = 0; n <= 24; n += 1) {
    const angle = ((heading + (n / 24 - 0.5) * field) * Math.PI) / 180;
    corners.push([REACH * Math.sin(angle), REACH * Math.cos(angle)]);
  }
  return [...corners, corners[0]];
}

export class SceneGround {
  constructor(box, pick, page) {
    maplibregl.setWorkerUrl(new URL("./vendor/maplibre-gl-worker.mjs", import.meta.url).href);
    this.map = new maplibregl.Map({
      container: box, style: { version: 8, sources: {}, layers: [] }, attributionControl: false, maxPitch: 0,
      dragRotate: false, pitchWithRotate: false, touchPitch: false, renderWorldCopies: false,
      transformRequest: (url) => ({ url, headers: headers() }),
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.getCanvas().setAttribute("aria-label", "Imagery; press a point to stand there");
    this.map.on("click", (event) => pick(event.lngLat.lng, event.lngLat.lat));
    this.map.on("error", (event) => page.say(event.error.status === 503 ? "The server has much to do …" : ""));
    this.loaded = this.map.once("load");
  }

  async show(layer) {
    await this.loaded;
    const [west, south, east, north] = layer.extent, map = this.map;
    for (const name of ["mark", "edge", "imagery"]) if (map.getLayer(name)) map.removeLayer(name);
    for (const name of ["mark", "imagery"]) if (map.getSource(name)) map.removeSource(name);
    const tiles = [decodeURI(new URL(layer.tiles, document.baseURI).href)];
    map.addSource("imagery", { type: "raster", tiles, tileSize: 256, minzoom: layer.minzoom, maxzoom: layer.maxzoom });
    map.addSource("mark", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
    map.addLayer({ id: "imagery", type: "raster", source: "imagery", paint: { "raster-fade-duration": 0 } });
    map.addLayer({ id: "mark", type: "fill", source: "mark", paint: { "fill-color": "#ffd200", "fill-opacity": 0.3 } });
    map.addLayer({ id: "edge", type: "line", source: "mark", paint: { "line-color": "#ffd200", "line-width": 2 } });
    const middle = [(west + east) / 2, (south + north) / 2];
    map.jumpTo({ center: middle, zoom: Math.min(layer.maxzoom, 17) });
    return middle;
  }

  ahead(x, y, heading, metres) {
    const angle = (heading * Math.PI) / 180;
    return [x + (metres * Math.sin(angle)) / METRES / Math.cos((y * Math.PI) / 180), y + (metres * Math.cos(angle)) / METRES];
  }

  mark(x, y, heading, field, follow) {
    const wide = METRES * Math.cos((y * Math.PI) / 180);
    const ring = cone(heading, field).map(([east, north]) => [x + east / wide, y + north / METRES]);
    this.map.getSource("mark")?.setData({ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [ring] } });
    if (follow && !this.map.getBounds().contains([x, y])) this.map.panTo([x, y]);
  }
}

export class TownGround {
  constructor(box, pick) {
    this.image = document.createElement("img");
    this.image.alt = "Imagery of an invented town; press a point to stand there";
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", `${-TOWN / 2} ${-TOWN / 2} ${TOWN} ${TOWN}`);
    drawing.setAttribute("aria-hidden", "true");
    this.shape = document.createElementNS(SVG, "path");
    drawing.append(this.shape);
    box.replaceChildren(this.image, drawing);
    box.addEventListener("click", (event) => {
      const frame = box.getBoundingClientRect();
      const x = ((event.clientX - frame.left) / frame.width - 0.5) * TOWN, y = (0.5 - (event.clientY - frame.top) / frame.height) * TOWN;
      pick(Math.round(x * 10) / 10, Math.round(y * 10) / 10);
    });
  }

  async show() {
    const style = STYLES[Math.floor(Math.random() * STYLES.length)];
    this.town = `${style}/${Math.floor(Math.random() * 2 ** 31)}`;
    const blob = await (await request(`towns/${this.town}/imagery.png`)).blob(), former = this.image.src;
    this.image.src = URL.createObjectURL(blob);
    if (former) URL.revokeObjectURL(former);
    return [0, 0];
  }

  ahead(x, y, heading, metres) {
    const angle = (heading * Math.PI) / 180;
    return [x + metres * Math.sin(angle), y + metres * Math.cos(angle)];
  }

  mark(x, y, heading, field) {
    this.shape.setAttribute("d", `M${cone(heading, field).map(([east, north]) => `${x + east} ${-y - north}`).join("L")}Z`);
  }
}
