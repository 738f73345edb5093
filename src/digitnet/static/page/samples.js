/** Ten digits as strokes, for whoever cannot or does not want to draw: points in a box of 80 × 120. */

import { button } from "./elements.js";
import { HEIGHT, WIDTH } from "./pad.js";
import { one } from "./words.js";

/** Each stroke is a row of points, as SVG writes them, that a smooth line goes through. */
const DIGITS = [
  ["42,2 14,22 6,62 18,108 44,118 70,96 74,50 60,12 40,3"],
  ["20,26 34,12 46,2 44,40 42,80 41,118"],
  ["10,28 22,6 46,2 66,18 60,48 36,82 8,116 40,113 74,116"],
  ["12,14 34,2 60,8 64,32 44,52 32,56 58,62 72,86 56,112 28,118 8,104"],
  ["48,4 30,40 8,78 40,80 76,78", "58,44 56,80 54,118"],
  ["20,6 16,34 14,52 42,46 66,60 70,90 50,114 24,116 8,104", "20,6 46,6 70,4"],
  ["60,2 32,24 12,64 12,100 36,118 64,104 66,76 44,62 20,74 12,90"],
  ["8,8 40,6 72,4 56,44 40,84 32,118"],
  ["62,18 40,2 16,16 22,42 48,58 68,84 56,112 30,118 10,98 24,66 52,48 64,26 60,14"],
  ["64,26 44,4 16,16 12,42 32,56 56,44 65,24 64,60 58,118"],
];
const SIZE = [80, 120];
const SCALE = 1.35;
const BETWEEN = 34;

/** Make a button for each digit; it writes its digit behind what is on the paper. */
export function offerSamples(place, pad) {
  const buttons = DIGITS.map((strokes, digit) => button(digit, () => write(pad, strokes), { "aria-label": `Draw ${one(digit)}` }));
  place.replaceChildren(...buttons);
}

function write(pad, strokes) {
  const right = Math.max(0, ...pad.strokes.flat().map(([x]) => x));
  const width = SIZE[0] * SCALE;
  const left = pad.strokes.length ? right + BETWEEN : BETWEEN;
  const fits = left + width <= WIDTH;
  const [x, y] = [fits ? left : BETWEEN, (HEIGHT - SIZE[1] * SCALE) / 2];
  const drawn = strokes.map((points) => smooth(points.split(" ").map((point) => point.split(",").map(Number))).map(([across, down]) => [x + across * SCALE, y + down * SCALE]));
  pad.draw(fits ? [...pad.strokes, ...drawn] : drawn);
}

function smooth(points) {
  const line = [];
  for (let k = 0; k + 1 < points.length; k++) {
    const [a, b, c, d] = [points[k - 1] ?? points[k], points[k], points[k + 1], points[k + 2] ?? points[k + 1]];
    for (let t = 0; t < 1; t += 0.1) line.push([0, 1].map((axis) => between(a[axis], b[axis], c[axis], d[axis], t)));
  }
  return [...line, points.at(-1)];
}

function between(a, b, c, d, t) {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}
