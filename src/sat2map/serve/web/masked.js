// Tiles of a map from which some classes have been taken out: a protocol of the map library, on the client alone.

import { request } from "./api.js";

const SIDE = 256;

async function pixels(address, signal) {
  const response = await request(address, { signal });
  const image = await createImageBitmap(await response.blob(), { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return { canvas, context, data: context.getImageData(0, 0, SIDE, SIDE) };
}

// masked://?tile=ADDRESS&classes=ADDRESS&hidden=rrggbb,rrggbb
export async function masked(parameters, abort) {
  const words = new URLSearchParams(parameters.url.slice("masked://?".length));
  const hidden = new Set(words.get("hidden").split(",").map((colour) => parseInt(colour, 16)));
  const [tile, classes] = await Promise.all([
    pixels(words.get("tile"), abort.signal), pixels(words.get("classes"), abort.signal),
  ]);
  const of = classes.data.data, shown = tile.data.data;
  for (let at = 0; at < of.length; at += 4) {
    if (hidden.has((of[at] << 16) | (of[at + 1] << 8) | of[at + 2])) shown[at + 3] = 0;
  }
  tile.context.putImageData(tile.data, 0, 0);
  return { data: tile.canvas.transferToImageBitmap() };
}

export const hex = ([red, green, blue]) => ((red << 16) | (green << 8) | blue).toString(16).padStart(6, "0");

export function maskedTiles(tile, classes, hidden) {
  return `masked://?tile=${encodeURI(tile).replaceAll("&", "%26").replaceAll("%7B", "{").replaceAll("%7D", "}")}`
    + `&classes=${encodeURI(classes).replaceAll("&", "%26").replaceAll("%7B", "{").replaceAll("%7D", "}")}&hidden=${hidden.join(",")}`;
}
