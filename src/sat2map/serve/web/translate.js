// The drop zone: one file to the server, its progress, and what came of it.

import { events, request, save } from "./api.js";

const byId = (id) => document.getElementById(id);
const NAMES = { colour: "Map", classes: "Classes", confidence: "Confidence", vectors: "Roads, buildings, water, green (GeoPackage)" };

export function startTranslate(facts) {
  new Dropped(facts);
}

class Dropped {
  constructor(facts) {
    this.facts = facts;
    this.leaving = null;
    byId("translate-model").replaceChildren(...facts.models.filter((model) => !model.ground).map((model) => new Option(model.title, model.id)));
    byId("translate-model").addEventListener("change", () => this.about());
    this.about();
    const drop = byId("drop");
    for (const name of ["dragenter", "dragover"]) {
      drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    }
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
    for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
    drop.addEventListener("drop", (event) => { if (event.dataTransfer.files.length) this.send(event.dataTransfer.files[0]); });
    byId("file").addEventListener("change", () => this.chosen());
    byId("work-cancel").addEventListener("click", () => this.cancel());
    const slider = byId("result-slider");
    slider.addEventListener("input", () => byId("compare").style.setProperty("--at", `${slider.value}%`));
    slider.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      slider.value = Number(slider.value) + steps[event.key];
      slider.dispatchEvent(new Event("input"));
    });
    this.chosen(); // before the page had heard from the server
  }

  chosen() {
    if (byId("file").files.length) this.send(byId("file").files[0]);
    byId("file").value = "";
  }

  about() {
    const model = this.facts.models.find((each) => each.id === byId("translate-model").value);
    const from = model.direction === "sat2map" ? `imagery at about ${model.metres_per_pixel} m per pixel` : "street maps in the colours of its training";
    byId("translate-about").textContent = `Made for ${from}.`;
  }

  tell(text, share = null) {
    byId("work").hidden = !text;
    byId("work-state").textContent = text;
    const bar = byId("work-progress");
    bar.hidden = share === null;
    if (share > 0) bar.value = share;
    else bar.removeAttribute("value");
    byId("work-cancel").hidden = share === null;
  }

  async cancel() {
    this.leaving?.abort();
    const job = this.job;
    this.job = null;
    this.tell("Cancelled.");
    if (job) await request(`jobs/${job.id}`, { method: "DELETE" }).catch(() => {});
  }

  async send(file) {
    await this.forget();
    const most = this.facts.largest_upload;
    if (file.size > most) {
      this.tell(`The file has ${(file.size / 2 ** 20).toFixed(0)} MiB; at most ${(most / 2 ** 20).toFixed(0)} MiB are taken.`);
      return;
    }
    const leaving = (this.leaving = new AbortController());
    try {
      this.tell("Sending …", 0);
      const model = encodeURIComponent(byId("translate-model").value);
      const sent = await request(`translate?model=${model}&wait=no`, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" }, signal: leaving.signal });
      this.job = await sent.json();
      let job = this.job;
      for await (job of events(`jobs/${this.job.id}/events`, leaving.signal)) this.progress(job);
      if (job.state === "failed") throw new Error(`${job.problem.detail}. ${job.problem.remedy}`);
      if (job.state !== "done") throw new Error("The server ended before it was done");
      await this.show(file, job);
      this.tell("");
    } catch (error) {
      if (error.name !== "AbortError") this.tell(error.message);
    }
  }

  progress(job) {
    const share = job.total > 0 ? job.done / job.total : 0;
    const words = { waiting: "Waiting for its turn …", running: job.total > 0 ? `${job.note === "drawing" ? "Drawing shapes" : "Translating"}: ${job.done} of ${job.total} …` : "Reading …" };
    if (words[job.state]) this.tell(words[job.state], share);
  }

  async show(file, job) {
    const blobs = {};
    const list = byId("downloads");
    list.replaceChildren();
    for (const [what, address] of Object.entries(job.results)) {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Download: ${NAMES[what] || what}`;
      button.addEventListener("click", async () => {
        try {
          const response = blobs[what] ? null : await request(address);
          const name = { vectors: "map.gpkg" }[what] || (job.results.classes ? `map_${what}.tif` : "map.png");
          save(blobs[what] || (await response.blob()), name);
        } catch (error) {
          this.tell(error.message);
        }
      });
      item.append(button);
      list.append(item);
    }
    byId("job-notes").replaceChildren(...job.notices.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    const isPicture = !job.results.classes && job.results.colour && !/\.tiff?$/i.test(file.name);
    byId("compare").hidden = !isPicture;
    if (isPicture) {
      blobs.colour = await (await request(job.results.colour)).blob();
      byId("result-before").src = URL.createObjectURL(file);
      byId("result-after").src = URL.createObjectURL(blobs.colour);
      await Promise.all([byId("result-before").decode(), byId("result-after").decode()]);
    }
    byId("result").hidden = false;
  }

  async forget() {
    byId("result").hidden = true;
    for (const id of ["result-before", "result-after"]) {
      if (byId(id).src.startsWith("blob:")) URL.revokeObjectURL(byId(id).src);
      byId(id).removeAttribute("src");
    }
    if (this.job) await this.cancel();
  }
}
