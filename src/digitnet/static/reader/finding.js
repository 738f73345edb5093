/** From a picture to the signs on it: the pages that the network sees of it. */

import { finding as C, modelFile } from "./constants.js";
import { cleaned } from "./cleaning.js";
import { greysOfEdge, inEvenLight, onOneGround } from "./light.js";
import { argmax, clip, f32, largest, median, round, sum, times } from "./rounding.js";
import { reduce, resize } from "./resize.js";
import { pictureOf } from "./views.js";

export const READER = ["probabilities", "ood_score", "image"];
const OUTPUTS = ["box", "presence", "digit_share", ...READER];

/** Return the signs on a picture, surest first unless a part was looked at again. */
export async function findSigns(model, picture, { zoom = 1, once = false } = {}) {
  const signs = await inFrame(model, picture, zoom, once);
  const clear = clearness(signs, model);
  const level = clear < C.UNCLEAR && onOneGround(picture);
  let others = level ? await inFrame(model, level, zoom, once) : [];
  if (clearness(others, model) >= C.CLEARLY) return others;
  if (clear >= C.DOUBTLESS || Math.max(picture.width, picture.height) > C.SMALL) return signs;
  const clean = cleaned(picture);
  others = clean ? await inFrame(model, clean, zoom, once) : [];
  return clearness(others, model) > clear ? others : signs;
}

async function inFrame(model, picture, zoom, once) {
  const { width, height } = picture;
  const counts = greysOfEdge(picture);
  const total = sum(counts);
  const longest = Math.max(width, height);
  const drawn = longest <= C.SMALL && Math.max(...counts) >= C.EVEN * total;
  const margin = drawn ? Math.max(1, round(C.ROOM * longest)) : 0;
  const signs = await found(model, margin ? padded(picture, margin, argmax(counts)) : picture, zoom, once);
  for (const sign of signs) {
    sign.box = sign.box.map((at, axis) => clip(f32(at - margin), 0, axis % 2 ? height : width));
  }
  return signs;
}

function padded({ data, width, height }, margin, ground) {
  return pictureOf(width + 2 * margin, height + 2 * margin, (right, below) => {
    const [x, y] = [right - margin, below - margin];
    return x < 0 || y < 0 || x >= width || y >= height ? ground : data[y * width + x];
  });
}

async function found(model, picture, zoom, once) {
  const { width, height } = picture;
  const whole = [0, 0, width, height];
  let scale = pageScale(height, width) * zoom;
  let signs = await look(model, picture, whole, scale);
  if (once) return signs;
  let closer = Math.min(scale * C.CLOSER, C.ENLARGED, largestScale(height, width));
  if (surest(signs) < C.UNSURE && closer > scale) {
    const larger = await look(model, picture, whole, closer);
    const again = larger.filter((sign) => sideOf(sign) < C.TINY / scale);
    if (surest(again) > surest(signs)) [signs, scale] = [again, closer];
  }
  for (let looks = 0, parts = 1; looks < C.LOOKS && signs.length; looks++) {
    const side = median(signs.map(sideOf));
    const crowded = signs.length >= C.CROWD * parts;
    if (side * scale >= C.TINY && !crowded) break;
    const region = crowded ? whole : around(signs, side, whole);
    const area = (region[2] - region[0]) * (region[3] - region[1]);
    const most = Math.sqrt((C.MOST_PARTS * C.PAGE_AREA) / area);
    closer = Math.min(C.CLEAR / side, most, C.ENLARGED);
    if (closer <= C.CLOSER_BY * scale) break;
    [signs, parts] = await lookInParts(model, picture, region, closer);
    scale = closer;
  }
  return signs;
}

const surest = (signs) => largest(signs.map((sign) => sign.presence));
export const sideOf = ({ box }) => Math.max(0, f32(box[2] - box[0]), f32(box[3] - box[1]));

/** Return how many pixels of the page one pixel of a picture becomes. */
export function pageScale(height, width) {
  const longest = Math.max(C.LONGEST / Math.max(height, width), modelFile.LEAST_PAGE / Math.min(height, width) / 2);
  return Math.min(C.ENLARGED, Math.sqrt(C.PAGE_AREA / (height * width)), longest, largestScale(height, width));
}

const largestScale = (height, width) => C.MOST_AREA / modelFile.LEAST_PAGE / Math.max(height, width);

const sidesOf = ([left, top, right, bottom]) => [right - left, bottom - top];

/** Return a part of a picture as a page, float32, grey, 0 to 255. */
export function pageOf(picture, region, scale) {
  const [width, height] = sidesOf(region).map((side) => Math.max(1, round(side * scale)));
  const filter = scale < C.SMALLER ? "box" : "bilinear";
  const factor = Math.max(1, Math.trunc(1 / (C.GAP * scale)));
  const whole = factor > 1 ? reduce(picture, factor) : picture;
  const small = resize(whole, width, height, filter, region.map((at) => at / factor));
  const sides = [width, height].map((side) => Math.max(side, modelFile.LEAST_PAGE));
  const grey = (x, y) => small.data[Math.min(y, height - 1) * width + Math.min(x, width - 1)];
  return pictureOf(...sides, grey, Float32Array);
}

async function look(model, picture, region, scale) {
  const page = pageOf(picture, region, scale);
  let signs = await signsOn(model, page);
  const evened = inEvenLight(page);
  if (evened) {
    const others = await signsOn(model, evened);
    if (clearness(others, model) > clearness(signs, model)) signs = others;
  }
  const steps = sidesOf(region).map((side) => side / Math.max(1, round(side * scale)));
  for (const sign of signs) {
    sign.box = sign.box.map((at, axis) => f32(at * steps[axis % 2] + region[axis % 2]));
  }
  // A sign of which next to no ink is left has no box.
  return signs.filter(({ box }) => box[2] > box[0] && box[3] > box[1]);
}

async function signsOn(model, page) {
  const answers = await model.ofPage(OUTPUTS, page);
  return answers.presence.map((presence, row) => ({
    box: Array.from(answers.box[row]),
    presence: presence[0],
    digitShare: answers.digit_share[row][0],
    probabilities: answers.probabilities[row],
    oodScore: answers.ood_score[row][0],
    image: answers.image[row],
  }));
}

/** Return how many clear digits there are, each as clear as it is there and not strange. */
function clearness(signs, { threshold }) {
  const clear = ({ presence, oodScore }) => presence * clip(threshold - oodScore, 0, C.CLEAREST);
  return signs.reduce((sum, sign) => sum + clear(sign), 0);
}

/** Return the signs in a part, and on how many pages, which overlap. */
async function lookInParts(model, picture, region, scale) {
  const [reach, beyond] = [(C.REACH * C.CLEAR) / scale, (C.BEYOND * C.CLEAR) / scale];
  const all = [];
  let pages = 0;
  for (const rows of cut(region[1], region[3], scale)) {
    for (const columns of cut(region[0], region[2], scale)) {
      const seen = [
        ...[columns, rows].map(([start], axis) => Math.max(region[axis], Math.floor(start - reach))),
        ...[columns, rows].map(([, end], axis) => Math.min(region[axis + 2], Math.ceil(end + reach))),
      ];
      const signs = await look(model, picture, seen, scale);
      const counts = ([x, y]) => isWithin(x, columns, beyond) && isWithin(y, rows, beyond);
      all.push(...signs.filter((sign) => counts(middleOf(sign))));
      pages++;
    }
  }
  return [unrepeated(all), pages];
}

const isWithin = (at, [start, end], beyond) => f32(start - beyond) <= at && at < f32(end + beyond);
const middleOf = ({ box }) => [f32(f32(box[0] + box[2]) / 2), f32(f32(box[1] + box[3]) / 2)];

function unrepeated(signs) {
  const sorted = [...signs].sort((one, other) => other.presence - one.presence);
  const middles = sorted.map(middleOf);
  const sides = sorted.map(sideOf);
  const repeats = (later, earlier) => {
    const [across, down] = [0, 1].map((axis) =>
      Math.abs(f32(middles[later][axis] - middles[earlier][axis])),
    );
    return Math.max(across, down) < C.ONE_SIGN * Math.max(sides[later], sides[earlier]);
  };
  return sorted.filter((_, later) => !sorted.slice(0, later).some((__, at) => repeats(later, at)));
}

function cut(start, end, scale) {
  const count = Math.max(1, round(((end - start) * scale) / Math.sqrt(C.PAGE_AREA)));
  const step = (end - start) / count;
  return times(count, (part) => [
    start + part * step,
    part === count - 1 ? end + 1 : start + (part + 1) * step,
  ]);
}

function around(signs, side, whole) {
  const room = f32(C.MARGIN * side);
  const first = (axis) => Math.min(...signs.map(({ box }) => box[axis]));
  const last = (axis) => Math.max(...signs.map(({ box }) => box[axis]));
  return [
    ...[0, 1].map((axis) => Math.max(0, Math.floor(f32(first(axis) - room)))),
    ...[2, 3].map((axis) => Math.min(whole[axis], Math.ceil(f32(last(axis) + room)))),
  ];
}
