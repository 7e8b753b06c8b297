// A sheet to draw a map on: brushes, boxes for buildings, undo and redo, mouse, finger and keys.

export const SIDE = 512; // px of the sheet
const KEPT = 30; // states to go back to
const STEP = 8; // px that an arrow key moves the pen
// Metres on the ground that a brush is wide at first, by the name of its class.
const WIDE = { highway: 22, road: 11, building: 16, water: 34, green: 48, land: 30, other: 30 };

export class Sketch extends EventTarget {
  // `paints`: {name, colour} in order; `metres` per pixel of the sheet.
  constructor(canvas, pen, paints, metres) {
    super();
    this.canvas = canvas;
    this.pen = pen;
    this.paints = paints;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.context.lineCap = this.context.lineJoin = "round";
    this.sizes = paints.map(({ name }) => Math.round(Math.min(Math.max((WIDE[name] || 30) / metres, 5), 80)));
    this.chosen = 0;
    this.at = { x: SIDE / 2, y: SIDE / 2 };
    this.before = [];
    this.after = [];
    this.wipe();
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.finish());
    canvas.addEventListener("pointerleave", () => { pen.hidden = document.activeElement !== canvas; });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  get paint() {
    return this.paints[this.chosen];
  }

  get size() {
    return this.sizes[this.chosen];
  }

  set size(px) {
    this.sizes[this.chosen] = px;
    this.showPen();
  }

  choose(number) {
    this.chosen = number;
    this.showPen();
    this.dispatchEvent(new Event("chosen"));
  }

  // -- what there is on the sheet -------------------------------------------------------------------------------------

  state() {
    return this.context.getImageData(0, 0, SIDE, SIDE);
  }

  remember() {
    this.before.push(this.state());
    if (this.before.length > KEPT) this.before.shift();
    this.after = [];
  }

  changed(isOver) {
    this.dispatchEvent(new CustomEvent("change", { detail: { isOver } }));
  }

  wipe() {
    this.context.fillStyle = `rgb(${this.paints.find((paint) => paint.name === "land").colour})`;
    this.context.fillRect(0, 0, SIDE, SIDE);
  }

  clear() {
    this.remember();
    this.wipe();
    this.changed(true);
  }

  show(picture) {
    this.remember();
    this.context.drawImage(picture, 0, 0, SIDE, SIDE);
    this.changed(true);
  }

  travel(from, to) {
    if (!from.length) return;
    to.push(this.state());
    this.context.putImageData(from.pop(), 0, 0);
    this.changed(true);
  }

  undo() {
    this.travel(this.before, this.after);
  }

  redo() {
    this.travel(this.after, this.before);
  }

  // -- strokes --------------------------------------------------------------------------------------------------------

  // A line of the brush; of buildings a box between the corners, at least as large as the brush.
  stroke(from, to) {
    const size = this.size;
    if (this.paint.name === "building") {
      const left = Math.min(from.x, to.x), top = Math.min(from.y, to.y);
      const wide = Math.max(Math.abs(to.x - from.x), size), high = Math.max(Math.abs(to.y - from.y), size);
      this.context.fillStyle = `rgb(${this.paint.colour})`;
      this.context.fillRect(Math.round(left), Math.round(top), Math.round(wide), Math.round(high));
      return;
    }
    this.context.strokeStyle = `rgb(${this.paint.colour})`;
    this.context.lineWidth = size;
    this.context.beginPath();
    this.context.moveTo(from.x, from.y);
    this.context.lineTo(to.x, to.y);
    this.context.stroke();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  begin(event) {
    if (event.button > 0) return;
    this.remember();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.first = this.at = this.place(event);
    this.stroke(this.last, this.last);
    this.showPen();
  }

  move(event) {
    this.at = this.place(event);
    this.showPen();
    if (!this.last) return;
    if (this.paint.name === "building") {
      this.context.putImageData(this.before[this.before.length - 1], 0, 0);
      this.stroke(this.first, this.at);
    } else {
      this.stroke(this.last, this.at);
    }
    this.last = this.at;
    this.changed(false);
  }

  finish() {
    if (!this.last) return;
    this.last = null;
    this.changed(true);
  }

  key(event) {
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    const number = Number(event.key), isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key.toLowerCase() === "z") this[event.shiftKey ? "redo" : "undo"]();
    else if (isCommand || event.altKey) return;
    else if (number >= 1 && number <= this.paints.length) this.choose(number - 1);
    else if (step) this.walk(step);
    else if (event.key === " ") this.lower();
    else return;
    event.preventDefault();
    this.showPen();
  }

  walk([right, down]) {
    const inside = (value) => Math.min(Math.max(value, 0), SIDE), from = this.at;
    this.at = { x: inside(from.x + right), y: inside(from.y + down) };
    if (!this.isDown) return;
    this.stroke(from, this.at);
    this.changed(true);
  }

  lower() {
    this.isDown = !this.isDown;
    if (!this.isDown) return;
    this.remember();
    this.stroke(this.at, this.at);
    this.changed(true);
  }

  showPen() {
    const scale = this.canvas.clientWidth / SIDE, size = `${this.size * scale}px`;
    this.pen.hidden = false;
    this.pen.classList.toggle("square", this.paint.name === "building");
    Object.assign(this.pen.style, { left: `${this.at.x * scale}px`, top: `${this.at.y * scale}px`, width: size, height: size });
  }
}
