/** Pages in uneven light, as they would look in even light: what `digitnet.reading.light` does. */

import { light as C } from "./constants.js";
import { f32 } from "./rounding.js";

/** Return a page, `{data, width, height}`, in even light; null if it is in even light. */
export function inEvenLight(page) {
  const half = reduced(page);
  const cells = reduced(half);
  const wide = closed(cells, C.WIDE);
  if (!isEven(wide, C.DARKEST) || isEven(wide) || isEven(negative(closed(negative(cells), C.WIDE)))) {
    return null;
  }
  const ground = closed(half, C.NARROW);
  const data = page.data.map((grey, at) => {
    const [x, y] = [at % page.width, Math.floor(at / page.width)];
    const paper = ground.data[(y >> 1) * ground.width + (x >> 1)];
    return f32(Math.min(f32(grey / Math.max(paper, 1)), f32(C.LIGHTEST)) * C.PAPER);
  });
  return { ...page, data };
}

function isEven({ data }, share = C.EVEN) {
  const [least, most] = [data.reduce((a, b) => Math.min(a, b)), data.reduce((a, b) => Math.max(a, b))];
  return least >= f32(f32(share) * most);
}

function negative(page) {
  return { ...page, data: page.data.map((value) => -value) };
}

function reduced({ data, width, height }) {
  const small = { width: (width + 1) >> 1, height: (height + 1) >> 1 };
  small.data = new Float32Array(small.width * small.height);
  for (let at = 0; at < small.data.length; at++) {
    const [x, y] = [2 * (at % small.width), 2 * Math.floor(at / small.width)];
    const [right, below] = [Math.min(x + 1, width - 1), Math.min(y + 1, height - 1) * width];
    const [upper, lower] = [data[y * width + x] + data[y * width + right], data[below + x] + data[below + right]];
    small.data[at] = (upper + lower) / 4;
  }
  return small;
}

function closed(page, side) {
  return negative(highest(negative(highest(page, side)), side));
}

function highest({ data, width, height }, side) {
  const reach = side >> 1;
  const along = (from, count, step, across, lines) => {
    const to = new Float32Array(from.length);
    for (let line = 0; line < lines; line++) {
      for (let at = 0; at < count; at++) {
        let most = -Infinity;
        const end = Math.min(at + reach, count - 1);
        for (let i = Math.max(at - reach, 0); i <= end; i++) {
          most = Math.max(most, from[line * across + i * step]);
        }
        to[line * across + at * step] = most;
      }
    }
    return to;
  };
  return { width, height, data: along(along(data, width, 1, width, height), height, width, 1, width) };
}
