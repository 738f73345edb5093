/** Small pictures on canvases: digits, maps, boxes and curves, in the colours of the page. */

import { largest } from "../reader/rounding.js";
import { make } from "./elements.js";

/** Return a colour of the page, as the light or dark mode has it. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Show 28 × 28 bytes, white ink on black, on a canvas of that size. */
export function showDigit(canvas, image) {
  const pixels = new ImageData(28, 28);
  for (let k = 0; k < 784; k++) pixels.data.set([image[k], image[k], image[k], 255], 4 * k);
  [canvas.width, canvas.height] = [28, 28];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

export function digitCanvas(image, label) {
  const canvas = make("canvas", { role: "img", "aria-label": label });
  showDigit(canvas, image);
  return canvas;
}

/**
 * Show maps side by side.
 *
 * @param maps `{data, dims: [1, count, height, width]}`; each is as bright as its largest of all
 * @param columns maps in a row
 * @param zoom pixels of the canvas to one cell
 */
export function showMaps(canvas, { data, dims }, columns, zoom, { off = [], marked = null } = {}) {
  const [, count, height, width] = dims;
  const rows = Math.ceil(count / columns);
  const [across, down] = [width * zoom + GAP, height * zoom + GAP];
  canvas.width = columns * across - GAP;
  canvas.height = rows * down - GAP;
  const context = canvas.getContext("2d");
  context.fillStyle = colour("line");
  context.fillRect(0, 0, canvas.width, canvas.height);
  const most = Math.max(largest(data), 1e-6);
  const pixels = context.createImageData(width * zoom, height * zoom);
  const bytes = new Uint32Array(pixels.data.buffer);
  for (let map = 0; map < count; map++) {
    const [left, top] = [(map % columns) * across, Math.floor(map / columns) * down];
    const start = map * height * width;
    for (let y = 0, at = 0; y < height * zoom; y++) {
      const row = start + Math.floor(y / zoom) * width;
      for (let x = 0; x < width * zoom; x++) {
        bytes[at++] = GLOW[Math.max(0, Math.min(255, Math.round((255 * data[row + Math.floor(x / zoom)]) / most)))];
      }
    }
    context.putImageData(pixels, left, top);
    if (off.includes(map)) strike(context, left, top, width * zoom, height * zoom);
  }
  if (marked) {
    Object.assign(context, MARK);
    const [left, top] = [(marked.map % columns) * across, Math.floor(marked.map / columns) * down];
    context.strokeRect(left + 1, top + 1, width * zoom - 2, height * zoom - 2);
    context.strokeRect(left + marked.x * zoom, top + marked.y * zoom, zoom, zoom);
  }
}

const GAP = 4;
const MARK = { strokeStyle: "#ff9a4d", lineWidth: 2 };

/** Return which cell of maps shown by `showMaps` a place on the canvas is in, or null. */
export function cellAt(canvas, event, { dims }, columns, zoom) {
  const [, count, height, width] = dims;
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) * canvas.width) / box.width;
  const y = ((event.clientY - box.top) * canvas.height) / box.height;
  const [across, down] = [width * zoom + GAP, height * zoom + GAP];
  const map = Math.floor(y / down) * columns + Math.floor(x / across);
  const cell = { map, x: Math.floor((x % across) / zoom), y: Math.floor((y % down) / zoom) };
  return map < count && cell.x < width && cell.y < height && cell.x >= 0 && cell.y >= 0 ? cell : null;
}

/** Colours from black over blue to white, as a canvas stores them. */
const GLOW = Uint32Array.from({ length: 256 }, (_, step) => {
  const [red, green, blue] = [1.5, 1.1, 0.7].map((power) => Math.round(255 * (step / 255) ** power));
  return (255 << 24) | (blue << 16) | (green << 8) | red;
});

function strike(context, left, top, width, height) {
  context.fillStyle = "#00000099";
  context.fillRect(left, top, width, height);
  Object.assign(context, MARK);
  context.stroke(new Path2D(`M${left} ${top}l${width} ${height}m0 ${-height}l${-width} ${height}`));
}

/** Prepare a chart's canvas and return its context and the area inside its axes. */
export function chart(canvas, xLabel, yLabel) {
  const context = canvas.getContext("2d");
  const { clientWidth: width, clientHeight: height } = canvas;
  [canvas.width, canvas.height] = [width, height].map((side) => side * devicePixelRatio);
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = colour("card");
  context.fillRect(0, 0, width, height);
  const area = { left: 54, top: 16, right: width - 16, bottom: height - 40 };
  context.strokeStyle = colour("line");
  context.lineWidth = 1.5;
  context.strokeRect(area.left, area.top, area.right - area.left, area.bottom - area.top);
  context.fillStyle = colour("soft");
  context.font = "15px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText(xLabel, (area.left + area.right) / 2, height - 10);
  context.save();
  context.translate(20, (area.top + area.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(yLabel, 0, 6);
  context.restore();
  return { context, area };
}

/** Draw a curve of shares, 0 to 1, across the area of a chart. */
export function curve(context, area, shares, stroke, { dashed = false } = {}) {
  context.strokeStyle = stroke;
  context.lineWidth = 3;
  context.setLineDash(dashed ? [8, 6] : []);
  context.beginPath();
  shares.forEach((share, k) => {
    const x = area.left + (k / (shares.length - 1)) * (area.right - area.left);
    context.lineTo(x, area.bottom - share * (area.bottom - area.top));
  });
  context.stroke();
  context.setLineDash([]);
}

/** Draw an upright line at a share of the area's width. */
export function upright(context, area, share, stroke, words = "") {
  const x = area.left + share * (area.right - area.left);
  context.strokeStyle = context.fillStyle = stroke;
  context.lineWidth = 2.5;
  context.stroke(new Path2D(`M${x} ${area.top}V${area.bottom}`));
  context.textAlign = share > 0.6 ? "right" : "left";
  context.fillText(words, x + (share > 0.6 ? -8 : 8), area.top + 20);
}
