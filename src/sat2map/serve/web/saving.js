// The view as files: as it is on the screen, or made by the server at the resolution of the network.

import { events, request, save } from "./api.js";

const byId = (id) => document.getElementById(id);

// What is on the screen: the left layer up to the line, the right one from there on.
export async function savePicture(shown) {
  const draw = (map) => new Promise((resolve) => {
    map.once("render", () => {
      const canvas = map.getCanvas(), copy = document.createElement("canvas");
      copy.width = canvas.width;
      copy.height = canvas.height;
      copy.getContext("2d").drawImage(canvas, 0, 0);
      resolve(copy);
    });
    map.triggerRepaint();
  });
  const left = await draw(shown.maps.left), right = await draw(shown.maps.right);
  const cut = Math.round((left.width * shown.at) / 100);
  const context = left.getContext("2d");
  context.clearRect(cut, 0, left.width - cut, left.height);
  context.drawImage(right, cut, 0, right.width - cut, right.height, cut, 0, right.width - cut, right.height);
  left.toBlob((blob) => save(blob, "sat2map.png"));
}

// What the right layer is made of, at the network's own resolution: made by the server, part by part.
export async function saveFiles(shown, what) {
  const state = byId("extract-state"), buttons = [...document.querySelectorAll("button.extract")];
  const chosen = byId("right").value === "source" ? "colour" : byId("right").value;
  const product = what === "vectors" ? what : chosen;
  for (const button of buttons) button.disabled = true;
  let job = null;
  try {
    state.textContent = "Collecting …";
    const corners = shown.maps.right.getBounds().toArray().flat().map((degrees) => degrees.toFixed(7));
    const begun = await request(`extract/${encodeURIComponent(shown.layer(chosen).id)}?bbox=${corners}`, { method: "POST" });
    job = await begun.json();
    for await (job of events(`jobs/${job.id}/events`)) {
      if (job.total) state.textContent = `${job.note === "drawing" ? "Drawing shapes" : "Making the map"}: ${job.done} of ${job.total} …`;
    }
    if (job.state !== "done") throw new Error(job.problem ? `${job.problem.detail}. ${job.problem.remedy}` : "The server ended before it was done");
    if (!job.results[product]) throw new Error(job.notices[0] || "This model knows no classes, so there are no shapes.");
    const file = await (await request(job.results[product])).blob();
    save(file, what === "vectors" ? "map.gpkg" : `map_${product}.tif`);
    state.textContent = "";
  } catch (error) {
    state.textContent = error.message;
  } finally {
    for (const button of buttons) button.disabled = false;
    if (job) request(`jobs/${job.id}`, { method: "DELETE" }).catch(() => {});
  }
}
