/**
 * From the strokes of a pen, lists of points, to ink or to a picture: the same pixels, to the last
 * bit, as of `digitnet.reading.strokes`.
 */

import { finding, pictures, strokes as C } from "./constants.js";
import { InputError } from "./errors.js";
import { signsOf, withBoxes } from "./readings.js";
import { clip, sum, times } from "./rounding.js";
import { blank, pictureOf } from "./views.js";
import { familiar, loneDigit, ofOne, wholeBox } from "./writing.js";

/** Return the ink of a drawing of one digit, `{data, width, height}` in float32, 0 to 1. */
export function fromStrokes(strokes) {
  const lines = checked(strokes);
  if (!lines.length) return blank(1);
  const { low, scale } = fitted(lines, C.SIDE);
  const radius = C.PEN / 2;
  const ink = drawn(lines, low, scale, radius, widest(lines, radius) + C.MARGIN);
  return { ...ink, data: Float32Array.from(ink.data) };
}

/**
 * Return a drawing of any number of signs as a picture: `{picture, scale, left, top}`, black on
 * white, `scale` pixels to one unit of the strokes, beginning at `left` and `top` in that unit.
 */
export function asPicture(strokes, pen = null, share = 1) {
  const lines = checked(strokes);
  if (pen !== null && !(Number.isFinite(pen) && pen > 0)) {
    throw new InputError(`The pen's width is ${pen}; it must be a positive number.`);
  }
  if (!lines.length) {
    return { picture: pictureOf(1, 1, () => 255), scale: 1, left: 0, top: 0 };
  }
  const { low, extent, scale: unit } = fitted(lines, 1);
  const size = extent.map((side) => side * unit);
  const sign = signOf(lines, size, unit);
  const usual = C.PEN_OF_SIGN * sign;
  const width = pen === null ? usual : Math.min(usual, Math.max(pen * unit, 1e-6));
  const paper = C.PAPER * sign + widest(lines, width / 2);
  const [across, down] = size.map((side) => side + 2 * paper);
  const longer = Math.max(across, down);
  const page = Math.min(Math.sqrt(finding.PAGE_AREA / (across * down)), finding.LONGEST / longer);
  const scale = share * Math.min(Math.max(page, C.LEAST_SIGN / sign), pictures.MAX_SIDE / longer);
  const radius = clip(width * scale, C.FINEST, C.BROADEST) / 2;
  const ink = drawn(lines, low, scale * unit, radius, paper * scale);
  const [left, top] = low.map((half) => half * 2 - (unit > 0 ? paper / unit : 0));
  const data = new Uint8Array(ink.data.map((cover) => 255 - Math.trunc(cover * 255 + 0.5)));
  return { picture: { ...ink, data, channels: 1 }, scale: unit * scale || 1, left, top };
}

/** Return a reading of a drawing's picture with boxes in whole units of its strokes. */
export function placed(reading, { scale, left, top }) {
  // Beyond the largest numbers is infinity, which is no whole number.
  const finite = (at) => clip(at, -Number.MAX_VALUE, Number.MAX_VALUE);
  return withBoxes(reading, (box) => {
    const [right, bottom] = [box.left + box.width, box.top + box.height];
    const edges = [box.left / scale + left, box.top / scale + top, right / scale + left, bottom / scale + top];
    return wholeBox(edges.map(finite));
  });
}

function checked(strokes) {
  if (!Array.isArray(strokes)) {
    throw new InputError(`Expected a list of strokes, each a list of points, got ${strokes}.`);
  }
  return strokes.map(pointsOf).filter((line) => line.length);
}

function pointsOf(stroke, index) {
  const name = `Stroke ${index}`;
  const sizes = Array.isArray(stroke) ? new Set(stroke.map((point) => point?.length)) : new Set([0]);
  if (sizes.size > 1 || [...sizes].some((size) => size !== 2 && size !== 3)) {
    throw new InputError(`${name} must be a list of points [x, y] or [x, y, pressure].`);
  }
  if (!stroke.every((point) => Array.from(point).every(Number.isFinite))) {
    throw new InputError(`${name} holds what is no finite number; every x and y must be one.`);
  }
  if (stroke.some(([, , pressure = C.USUAL_PRESSURE]) => pressure < 0 || pressure > 1)) {
    throw new InputError(`${name} has a pressure beyond 0 to 1, the third number of a point.`);
  }
  return stroke.map(([x, y, pressure = C.USUAL_PRESSURE]) => [x, y, pressure]);
}

function fitted(lines, side) {
  const axes = [0, 1].map((axis) => rangeOf(lines.flat(), axis));
  const low = axes.map(([least]) => least / 2);
  // Halves, so that the difference of the largest numbers does not overflow.
  const half = axes.map(([least, most]) => most / 2 - least / 2);
  const longest = Math.max(...half) * 2;
  const scale = longest > C.SMALLEST && longest < Infinity ? side / longest : 0;
  return { low, extent: half.map((each) => (longest < Infinity ? each * 2 : 0)), scale };
}

function rangeOf(points, axis) {
  let [least, most] = [Infinity, -Infinity];
  for (const point of points) {
    least = Math.min(least, point[axis]);
    most = Math.max(most, point[axis]);
  }
  return [least, most];
}

function signOf(lines, size, unit) {
  // Halves, as in `fitted`.
  const extents = lines.map((line) =>
    Math.max(...[0, 1].map((axis) => rangeOf(line, axis)).map(([least, most]) => (most / 2 - least / 2) * 2)),
  );
  const sizes = Float64Array.from(extents, (extent) => extent * unit).sort();
  const large = sizes[Math.ceil(C.MOST_STROKES * sizes.length) - 1];
  return size.some((each) => each !== 0) ? Math.max(Math.min(large, size[1]), C.FLAT) : 1;
}

function widest(lines, radius) {
  return radius * (C.THINNEST + rangeOf(lines.flat(), 2)[1]);
}

function drawn(lines, low, scale, radius, before) {
  const moved = lines.map((line) =>
    line.map(([x, y, pressure]) => [
      (x / 2 - low[0]) * (2 * scale) + before,
      (y / 2 - low[1]) * (2 * scale) + before,
      radius * (C.THINNEST + pressure),
    ]),
  );
  const [width, height] = [0, 1].map((axis) =>
    Math.max(1, Math.ceil(rangeOf(moved.flat(), axis)[1] + before)),
  );
  const way = moved.flatMap((line) => line.slice(1).map((end, place) => lengthOf(line[place], end)));
  const total = sum(way);
  if (total > C.LONGEST_WAY) {
    throw new InputError(
      `The strokes go to and fro for ${Math.round(total)} pixels over a drawing of ${width} × ${height}; ` +
        `at most ${C.LONGEST_WAY} are drawn. Send fewer points.`,
    );
  }
  const ink = { data: new Float64Array(width * height), width, height };
  for (const line of moved) for (const [from, to] of piecesOf(line)) cover(ink, from, to);
  return ink;
}

function lengthOf([x, y], [x2, y2]) {
  return Math.sqrt((x2 - x) * (x2 - x) + (y2 - y) * (y2 - y));
}

function piecesOf(line) {
  if (line.length === 1) return [[line[0], line[0]]];
  return line.slice(1).flatMap((end, place) => {
    const start = line[place];
    const step = end.map((value, axis) => value - start[axis]);
    const count = Math.max(1, Math.ceil(lengthOf(start, end) / C.STEP));
    const at = (number) => start.map((value, axis) => value + step[axis] * (number / count));
    return times(count, (number) => [at(number), at(number + 1)]);
  });
}

function cover({ data, width, height }, [x, y, r], [x2, y2, r2]) {
  const reach = Math.max(r, r2) + 1;
  const [dx, dy, dr] = [x2 - x, y2 - y, r2 - r];
  const square = Math.max(dx * dx + dy * dy, 1e-12);
  const [left, right] = [Math.min(x, x2) - reach, Math.max(x, x2) + reach];
  const [top, bottom] = [Math.min(y, y2) - reach, Math.max(y, y2) + reach];
  for (let row = Math.max(0, Math.floor(top)); row < Math.min(height, bottom); row++) {
    const fromY = row + 0.5 - y;
    for (let column = Math.max(0, Math.floor(left)); column < Math.min(width, right); column++) {
      const at = row * width + column;
      if (data[at] === 1) continue;
      const fromX = column + 0.5 - x;
      const along = clip((fromX * dx + fromY * dy) / square, 0, 1);
      const offX = fromX - along * dx;
      const offY = fromY - along * dy;
      const ink = clip(r + along * dr + 0.5 - Math.sqrt(offX * offX + offY * offY), 0, 1);
      if (ink > data[at]) data[at] = ink;
    }
  }
}

/** Return the reading of a drawing, corrected by what all of its strokes are as one ink. */
export function judged(reading, whole, threshold) {
  if (loneDigit(reading)) return familiar(reading, threshold, whole.ood_score);
  const signs = signsOf(reading);
  if (!signs.some((sign) => sign.is_digit) || reading.confidence < C.UNSURE) {
    if (whole.is_digit && whole.ood_score - threshold < -C.PLAINLY_ONE) {
      const box = around(signs.map((sign) => sign.box).filter(Boolean));
      return ofOne(reading, { ...whole, box }, whole.confidence, null);
    }
  }
  return reading;
}

function around(boxes) {
  if (!boxes.length) return null;
  const edges = boxes.map(({ left, top, width, height }) => [-left, -top, left + width, top + height]);
  const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => Math.max(...edges.map((each) => each[side])));
  return wholeBox([-left, -top, right, bottom]);
}
