/** The drawing paper: strokes of mouse, finger, pen or keyboard, as points in 640 × 400. */

import { strokes as C } from "../reader/constants.js";
import { clip } from "../reader/rounding.js";

export const WIDTH = 640;
export const HEIGHT = 400;
const STEP = 10;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  /** `onChange` is called after each change, with whether the pen is still moving. */
  constructor(canvas, onChange) {
    [this.canvas, this.onChange] = [canvas, onChange];
    this.context = canvas.getContext("2d");
    this.strokes = [];
    this.pen = 16;
    this.picture = null;
    this.active = null;
    this.cursor = { x: WIDTH / 2, y: HEIGHT / 2, down: false, shown: false };
    canvas.onpointerdown = (event) => this.begin(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = canvas.onpointercancel = (event) => this.end(event);
    canvas.onkeydown = (event) => this.key(event);
    canvas.onblur = () => this.lift();
    new ResizeObserver(() => this.fit()).observe(canvas);
  }

  get isEmpty() {
    return !this.strokes.length && !this.picture;
  }

  begin(event) {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.cursor.shown = false;
    this.lift();
    this.canvas.setPointerCapture(event.pointerId);
    this.picture = null;
    this.active = event.pointerId;
    this.strokes.push([this.point(event)]);
    this.changed(true);
  }

  move(event) {
    if (event.pointerId !== this.active) return;
    const stroke = this.strokes.at(-1);
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const point = this.point(each);
      const last = stroke.at(-1);
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 0.5) continue;
      stroke.push(point);
      paintStroke(this.context, [last, point], this.pen);
    }
    this.onChange(true);
  }

  end(event) {
    if (event.pointerId !== this.active) return;
    this.active = null;
    this.changed(false);
  }

  point({ clientX, clientY, pressure, pointerType }) {
    const box = this.canvas.getBoundingClientRect();
    const at = [((clientX - box.left) / box.width) * WIDTH, ((clientY - box.top) / box.height) * HEIGHT];
    return [...at.map((value) => Math.round(value * 100) / 100), pointerType === "pen" ? pressure || C.USUAL_PRESSURE : C.USUAL_PRESSURE];
  }

  key(event) {
    const cursor = this.cursor;
    const arrow = ARROWS[event.key];
    if (arrow) this.steer(arrow, event.shiftKey ? STEP / 5 : STEP);
    else if (event.key === " ") event.repeat || (cursor.down ? this.lift() : this.lower());
    else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) this.undo();
    else if (event.key === "Escape") this.clear();
    else return;
    event.preventDefault();
  }

  steer([across, down], step) {
    const cursor = this.cursor;
    cursor.x = clip(cursor.x + across * step, 0, WIDTH);
    cursor.y = clip(cursor.y + down * step, 0, HEIGHT);
    cursor.shown = true;
    if (cursor.down) this.strokes.at(-1).push([cursor.x, cursor.y, C.USUAL_PRESSURE]);
    cursor.down ? this.changed(true) : this.paint();
  }

  lower() {
    this.picture = null;
    Object.assign(this.cursor, { down: true, shown: true });
    this.strokes.push([[this.cursor.x, this.cursor.y, C.USUAL_PRESSURE]]);
    this.changed(true);
  }

  lift() {
    if (!this.cursor.down) return;
    this.cursor.down = false;
    this.changed(false);
  }

  undo() {
    if (this.picture) return this.draw(this.under);
    this.put();
    this.strokes.pop();
    this.changed(false);
  }

  clear() {
    this.put();
    this.picture = null;
    this.strokes = [];
    this.changed(false);
  }

  put() {
    this.cursor.down = false;
    this.active = null;
  }

  draw(strokes) {
    this.clear();
    this.strokes = strokes.map((stroke) => stroke.map(([x, y, pressure = C.USUAL_PRESSURE]) => [x, y, pressure]));
    this.changed(false);
  }

  show(bitmap) {
    this.put();
    if (!this.picture) this.under = this.strokes;
    this.strokes = [];
    this.picture = bitmap;
    this.paint();
  }

  changed(moving) {
    this.paint();
    this.onChange(moving);
  }

  /** Return how the picture lies on the paper: `{left, top, scale}`. */
  get placed() {
    const { width, height } = this.picture;
    const scale = Math.min(WIDTH / width, HEIGHT / height);
    return { scale, left: (WIDTH - width * scale) / 2, top: (HEIGHT - height * scale) / 2 };
  }

  fit() {
    const { canvas } = this;
    canvas.width = canvas.clientWidth * devicePixelRatio;
    canvas.height = canvas.clientHeight * devicePixelRatio;
    this.paint();
  }

  paint() {
    const { context, canvas } = this;
    context.lineCap = "round";
    context.setTransform(canvas.width / WIDTH, 0, 0, canvas.height / HEIGHT, 0, 0);
    context.clearRect(0, 0, WIDTH, HEIGHT);
    if (this.picture) {
      const { left, top, scale } = this.placed;
      context.drawImage(this.picture, left, top, this.picture.width * scale, this.picture.height * scale);
    }
    context.strokeStyle = context.fillStyle = "#15171c";
    for (const stroke of this.strokes) paintStroke(context, stroke, this.pen);
    if (this.cursor.shown) paintCursor(context, this.cursor);
  }
}

function paintStroke(context, stroke, pen) {
  const width = (pressure) => pen * (C.THINNEST + pressure);
  if (stroke.length === 1) {
    const [x, y, pressure] = stroke[0];
    context.beginPath();
    context.arc(x, y, width(pressure) / 2, 0, 2 * Math.PI);
    context.fill();
  }
  for (let k = 1; k < stroke.length; k++) {
    context.lineWidth = width((stroke[k - 1][2] + stroke[k][2]) / 2);
    const [[x, y], [x2, y2]] = [stroke[k - 1], stroke[k]];
    context.stroke(new Path2D(`M${x} ${y}L${x2} ${y2}`));
  }
}

function paintCursor(context, { x, y, down }) {
  context.strokeStyle = down ? "#b84a00" : "#1f4fd8";
  context.lineWidth = 2;
  context.stroke(new Path2D(`M${x - 12} ${y}h24m-12-12v24`));
}
