/** Pages without uneven light or a striped ground: what `digitnet.reading.light` does. */

import { light as C } from "./constants.js";
import { f32, mean, round, times } from "./rounding.js";
import { pictureOf } from "./views.js";

/** Return a page, `{data, width, height}`, in even light; null if it is in even light. */
export function inEvenLight(page) {
  const half = reduced(page);
  const cells = reduced(half);
  const wide = closed(cells, C.WIDE);
  if (!isEven(wide, C.DARKEST) || isEven(wide) || isEven(negative(closed(negative(cells), C.WIDE)))) {
    return null;
  }
  const ground = closed(half, C.NARROW);
  return changed(page, (grey, at) => {
    const [x, y] = [at % page.width, Math.floor(at / page.width)];
    const paper = ground.data[(y >> 1) * ground.width + (x >> 1)];
    return f32(Math.min(f32(grey / Math.max(paper, 1)), f32(C.LIGHTEST)) * C.PAPER);
  });
}

/** Return a picture light on black; null if it has no stripes. */
export function onOneGround({ data, width, height }) {
  for (const [size, step, far, down] of [[width, 1, (height - 1) * width], [height, width, width - 1, true]]) {
    const bands = bandsOf([0, far].map((start) => times(size, (k) => data[start + k * step])));
    const off = (x, y) => round(Math.abs(data[y * width + x] - bands[down ? y : x]));
    const found = bands && pictureOf(width, height, off);
    if (found?.data.filter((by) => by <= C.ROUGH).length >= C.GROUND * width * height) return found;
  }
  return null;
}

function bandsOf(edges) {
  const all = edges.flat();
  const middle = (Math.min(...all) + Math.max(...all)) / 2;
  const [low, high] = [false, true].map((light) => mean(all.filter((grey) => grey > middle === light)));
  const level = (grey) => (grey > middle ? high : low);
  const bands = edges[0].map((grey, k) => level((grey + edges[1][k]) / 2));
  const ends = [...bands.keys(), bands.length].filter((k) => bands[k] !== bands[k - 1]);
  const wide = ends.every((end, k) => !k || end - ends[k - 1] >= C.NARROWEST * bands.length);
  return ends.length > 2 && wide && high - low >= C.APART ? bands : null;
}

function isEven({ data }, share = C.EVEN) {
  return Math.min(...data) >= f32(f32(share) * Math.max(...data));
}

export function greysOfEdge({ data, width, height }) {
  const counts = times(256, () => 0);
  const side = (x) => times(height, (y) => data[y * width + x]);
  for (const grey of [...data.slice(0, width), ...data.slice(-width), ...side(0), ...side(width - 1)]) counts[grey]++;
  return counts;
}

export const changed = (page, make) => ({ ...page, data: Float32Array.from(page.data, make) });

export const negative = (page) => changed(page, (grey) => -grey);

function reduced({ data, width, height }) {
  const mean = (across, down) => {
    const [x, y] = [2 * across, 2 * down * width];
    const [right, below] = [Math.min(x + 1, width - 1), Math.min(2 * down + 1, height - 1) * width];
    return (data[y + x] + data[y + right] + (data[below + x] + data[below + right])) / 4;
  };
  return pictureOf((width + 1) >> 1, (height + 1) >> 1, mean, Float32Array);
}

export function closed(page, side) {
  return negative(highest(negative(highest(page, side)), side));
}

function highest(page, side) {
  const reach = side >> 1;
  // Along rows, which become columns, so twice.
  const along = ({ data, width, height }) => {
    const most = (row, at) => {
      let found = -Infinity;
      const end = Math.min(at + reach, width - 1);
      for (let i = Math.max(at - reach, 0); i <= end; i++) found = Math.max(found, data[row * width + i]);
      return found;
    };
    return pictureOf(height, width, most, Float32Array);
  };
  return along(along(page));
}
