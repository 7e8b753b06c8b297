"use strict";
// The page shows what the server knows; a decision counts when the server has answered that it is on disk.

const el = (id) => document.getElementById(id);
const grid = el("grid");
let photos = [], shown = [], cells = new Map();
let here = -1, anchor = -1, show = "undecided";
const selected = new Set();
let queue = Promise.resolve();

const matches = (photo) =>
  show === "all" || (show === "kept" && photo.keep === true) || (show === "rejected" && photo.keep === false) ||
  (show === "undecided" && photo.keep === null);

async function ask(path, body) {
  const options = body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const reply = await fetch(path, options);
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
}

function trouble(text) {
  el("trouble").textContent = text;
  el("trouble").hidden = !text;
}

function progress(now) {
  const done = now.kept + now.rejected;
  el("kept").style.width = `${100 * now.kept / Math.max(1, now.photos)}%`;
  el("rejected").style.width = `${100 * now.rejected / Math.max(1, now.photos)}%`;
  el("count").textContent = `${done} of ${now.photos} decided: ${now.kept} kept, ${now.rejected} rejected`;
  el("bar").setAttribute("aria-valuemax", now.photos);
  el("bar").setAttribute("aria-valuenow", done);
  el("undo").disabled = now.steps === 0;
}

function cellOf(number) {
  if (!cells.has(number)) {
    const cell = document.createElement("div"), image = document.createElement("img");
    cell.className = "photo";
    cell.id = `photo-${number}`;
    cell.dataset.number = number;
    cell.setAttribute("role", "option");
    image.loading = "lazy";
    image.alt = photos[number].title;
    image.src = `/preview/${number}`;
    cell.append(image);
    cells.set(number, cell);
  }
  return cells.get(number);
}

function paint(number) {
  const cell = cellOf(number), keep = photos[number].keep;
  cell.classList.toggle("yes", keep === true);
  cell.classList.toggle("no", keep === false);
  cell.classList.toggle("here", number === here);
  cell.classList.toggle("selected", selected.has(number));
  cell.setAttribute("aria-selected", selected.has(number));
}

function list() {
  shown = photos.map((_, number) => number).filter((number) => matches(photos[number]));
  for (const number of selected) if (!matches(photos[number])) selected.delete(number);
  grid.replaceChildren(...shown.map(cellOf));
  shown.forEach(paint);
  el("empty").hidden = shown.length > 0;
  for (const button of document.querySelectorAll("[data-show]"))
    button.setAttribute("aria-pressed", button.dataset.show === show);
  go(shown.includes(here) ? here : shown.length ? shown[0] : -1);
}

function go(number) {
  const before = here;
  here = number;
  if (before >= 0) paint(before);
  if (here < 0) {
    grid.removeAttribute("aria-activedescendant");
    el("facts").textContent = "";
    if (el("large").open) el("large").close();
    return;
  }
  paint(here);
  cellOf(here).scrollIntoView({ block: "nearest" });
  grid.setAttribute("aria-activedescendant", cellOf(here).id);
  const photo = photos[here];
  el("facts").textContent =
    [photo.title, photo.place, photo.taken, photo.author, photo.licence, photo.scene].filter(Boolean).join(" · ");
  if (el("large").open) enlarge();
}

function enlarge() {
  el("picture").src = `/photo/${here}`;
  const keep = photos[here].keep;
  el("caption").textContent = `${photos[here].title} · ${keep === null ? "undecided" : keep ? "kept" : "rejected"}`;
  if (!el("large").open) el("large").showModal();
}

function columns() {
  return getComputedStyle(grid).gridTemplateColumns.split(" ").length;
}

function move(step, extend) {
  const at = shown.indexOf(here), to = at + step;
  if (to < 0 || to >= shown.length) return;
  if (extend) {
    if (anchor < 0) anchor = here;
    range(anchor, shown[to]);
  } else anchor = -1;
  go(shown[to]);
}

function range(from, to) {
  const [low, high] = [shown.indexOf(from), shown.indexOf(to)].sort((a, b) => a - b);
  selected.clear();
  if (low >= 0) for (let i = low; i <= high; i++) selected.add(shown[i]);
  shown.forEach(paint);
}

function deselect() {
  selected.clear();
  anchor = -1;
  shown.forEach(paint);
}

function decide(keep) {
  const numbers = selected.size ? [...selected].sort((a, b) => a - b) : here >= 0 ? [here] : [];
  if (!numbers.length) return;
  const before = numbers.map((number) => photos[number].keep);
  const last = shown.indexOf(numbers[numbers.length - 1]);
  const rest = shown.filter((number, i) => i > last && !numbers.includes(number));
  const next = rest.length ? rest[0] : shown.filter((number) => !numbers.includes(number)).pop();
  numbers.forEach((number) => { photos[number].keep = keep; });
  deselect();
  if (next !== undefined) here = next;
  list();
  queue = queue.then(() => ask("/decide", { photos: numbers, keep })).then((answer) => {
    trouble("");
    progress(answer.progress);
  }).catch((error) => {
    numbers.forEach((number, i) => { photos[number].keep = before[i]; });
    trouble(`Not saved: ${error.message}. Is sat2map still running?`);
    list();
  });
}

function undo() {
  queue = queue.then(() => ask("/undo", {})).then((answer) => {
    trouble("");
    answer.photos.forEach(([number, keep]) => { photos[number].keep = keep; });
    progress(answer.progress);
    if (answer.photos.length) here = answer.photos[0][0];
    list();
  }).catch((error) => trouble(`Not undone: ${error.message}. Is sat2map still running?`));
}

function pressed(event) {
  if (event.altKey || event.metaKey || (event.ctrlKey && event.key.toLowerCase() !== "z")) return;
  if (el("keys").open) return;
  const actions = {
    ArrowRight: () => move(1, event.shiftKey), ArrowLeft: () => move(-1, event.shiftKey),
    ArrowDown: () => move(columns(), event.shiftKey), ArrowUp: () => move(-columns(), event.shiftKey),
    Home: () => shown.length && go(shown[0]), End: () => shown.length && go(shown[shown.length - 1]),
    k: () => decide(true), x: () => decide(false), c: () => decide(null), z: undo, u: undo,
    a: () => { shown.forEach((number) => selected.add(number)); shown.forEach(paint); },
    " ": () => { if (here >= 0) { selected.delete(here) || selected.add(here); anchor = here; paint(here); } },
    Escape: () => { if (el("large").open) el("large").close(); else deselect(); },
    Enter: () => { if (here >= 0) el("large").open ? el("large").close() : enlarge(); },
    "?": () => el("keys").showModal(),
  };
  const action = actions[event.key] || actions[event.key.toLowerCase()];
  if (!action || (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter"))) return;
  event.preventDefault();
  action();
}

function clicked(event) {
  const cell = event.target.closest(".photo");
  if (!cell) return;
  const number = Number(cell.dataset.number);
  if (event.shiftKey) range(anchor >= 0 ? anchor : here, number);
  else if (event.ctrlKey || event.metaKey) { selected.delete(number) || selected.add(number); anchor = number; }
  else { deselect(); anchor = number; }
  go(number);
  grid.focus();
}

document.addEventListener("keydown", pressed);
grid.addEventListener("click", clicked);
grid.addEventListener("dblclick", () => here >= 0 && enlarge());
el("keep").onclick = () => decide(true);
el("reject").onclick = () => decide(false);
el("clear").onclick = () => decide(null);
el("undo").onclick = undo;
el("help").onclick = () => el("keys").showModal();
for (const button of document.querySelectorAll("[data-show]"))
  button.onclick = () => { show = button.dataset.show; list(); grid.focus(); };

ask("/state").then((state) => {
  photos = state.photos;
  el("name").textContent = document.title = `Review of ${state.name}`;
  progress(state.progress);
  if (!photos.some((photo) => photo.keep === null)) show = "all";
  list();
  grid.focus();
}).catch((error) => trouble(`Cannot load: ${error.message}`));
