/** From a picture and boxes of signs to strips, as `digitnet.reading.line_strips`. */

import { lineStrips as C } from "./constants.js";
import { clip, f32, mean, median, round, times, total } from "./rounding.js";
import { resize } from "./resize.js";
import { pictureOf } from "./views.js";

/** Return the strip of a line, `{pixels, width, left, right, level, slope, high}`, or null. */
export function stripOf(picture, boxes) {
  const [lefts, tops, rights, bottoms] = [0, 1, 2, 3].map((side) => boxes.map((box) => box[side]));
  const x = lefts.map((at, k) => (at + rights[k]) / 2);
  const y = tops.map((at, k) => (at + bottoms[k]) / 2);
  const wide = lefts.map((at, k) => rights[k] - at);
  const tall = median(tops.map((at, k) => Math.max(bottoms[k] - at, C.FLAT * wide[k])));
  const [middle, height] = [mean(x), mean(y)];
  const away = x.map((at) => at - middle);
  const spread = total(away.map((by) => by * by)) + x.length * C.LEVEL * tall ** 2;
  const shared = total(away.map((by, k) => by * (y[k] - height)));
  const slope = clip(shared / Math.max(spread, 1e-9), -C.STEEPEST, C.STEEPEST);
  const top = Math.min(...tops.map((at, k) => at - slope * away[k]));
  const bottom = Math.max(...bottoms.map((at, k) => at - slope * away[k]));
  const high = Math.max(bottom - top, C.FLAT * Math.max(...wide), 2);
  const centre = (top + bottom) / 2;
  const scale = C.HEIGHT / (high * (1 + 2 * C.ABOVE));
  const left = Math.max(Math.min(...lefts) - C.BESIDE * high, 0);
  const right = Math.min(Math.max(...rights) + C.BESIDE * high, picture.width);
  const width = Math.max(round((right - left) * scale), C.LEAST_WIDTH);
  if (width > C.MOST_WIDTH) return null;
  const rise = times(width, (column) => {
    return slope * (left + ((column + 0.5) * (right - left)) / width - middle);
  });
  const half = C.HEIGHT / 2 / scale;
  const [low, lowEnd] = [centre + Math.min(...rise) - half, centre + Math.max(...rise) + half];
  const rows = Math.max(round((lowEnd - low) * scale), C.HEIGHT);
  const part = resized(picture, [left, low, right, lowEnd], width, rows);
  const across = Math.max(lowEnd - low, 1e-9);
  const start = rise.map((by) => ((centre + by - half - low) / across) * rows);
  const level = centre + slope * ((left + right) / 2 - middle);
  return { pixels: levelled(part, start), width, left, right, level, slope, high };
}

/** Return left, top, right and bottom in the picture of a part of a strip, from 0 to 1. */
export function boxOf(strip, [start, end]) {
  const [left, right] = [start, end].map((at) => strip.left + (strip.right - strip.left) * at);
  const by = (left + right) / 2 - (strip.left + strip.right) / 2;
  const middle = strip.level + strip.slope * by;
  return [left, middle - strip.high / 2, right, middle + strip.high / 2];
}

function resized(picture, [left, top, right, bottom], across, down) {
  const { data, width, height } = picture;
  const [above, below] = [-top, bottom - height].map((by) => Math.max(0, Math.ceil(by)));
  if (!above && !below) return resize(picture, across, down, "bilinear", [left, top, right, bottom]);
  const first = Math.min(Math.max(0, Math.trunc(top) - 2), height - 1);
  const last = Math.max(Math.min(height, Math.ceil(bottom) + 2), first + 1);
  const rows = above + last - first + below;
  const part = pictureOf(width, rows, (x, y) => data[clip(first + y - above, first, last - 1) * width + x]);
  const ends = [top + above - first, Math.min(bottom + above - first, rows)];
  return resize(part, across, down, "bilinear", [left, ends[0], right, ends[1]]);
}

function levelled({ data, width, height }, start) {
  const strip = pictureOf(width, C.HEIGHT, (column, line) => {
    const row = clip(start[column] + line, 0, height - 1);
    const whole = Math.floor(row);
    const share = f32(row - whole);
    const next = data[Math.min(whole + 1, height - 1) * width + column];
    const here = f32(data[whole * width + column] * f32(1 - share));
    return round(f32(here + f32(next * share)));
  });
  return strip.data;
}
