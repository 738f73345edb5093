/** What signs and line reader read together, as `digitnet.reading.line_reading`. */

import { lineReading as C } from "./constants.js";
import { boxOf, stripOf } from "./line_strips.js";
import { SignChances, boxesOf, closenessOf, likeliestTexts, ofColumns, placesOf, textOf } from "./line_texts.js";
import { clip, f32, median, round, sum } from "./rounding.js";
import { blank, pictureOf } from "./views.js";
import { OTHER_SIGN } from "./writing.js";

/** Return what is written in a picture, where `writing` was found. */
export async function readLines(writing, picture, columns, look) {
  const lines = [];
  for (const found of writing.foundLines()) lines.push(await lineOf(found, picture, columns));
  if (!lines.length) return writing.reading();
  const written = [];
  for (const line of lines) {
    const digits = await signsOf(writing, line, picture, look);
    written.push(writing.line(digits, Math.exp(-line.options[0].doubt)));
  }
  const confidence = Math.exp(-sum(lines.map((line) => line.options[0].doubt)));
  return writing.readingOf(written, confidence, Math.exp(Math.min(...lines.map(oddsOf))));
}

function oddsOf({ options: [{ share }, other] }) {
  return share - (other ? other.share : Math.log(-Math.expm1(share)));
}

async function lineOf(found, picture, columns) {
  const chances = new SignChances(found, C.MISSED);
  const strip = stripOf(picture, boxesOf(found));
  if (!strip) {
    const text = textOf(found);
    const share = chances.of(text);
    return { found, chances, strip, options: [{ text, share, doubt: -share }] };
  }
  const seen = await columns(strip);
  return { found, chances, strip, seen, options: optionsOf(found, seen, chances) };
}

/** Return what a line may say by its columns, `{text, share, doubt}`, likeliest first. */
export function optionsOf(found, seen, chances = new SignChances(found, C.MISSED)) {
  const byColumns = likeliestTexts(seen);
  byColumns.delete("");
  const text = textOf(found);
  if (!byColumns.has(text)) byColumns.set(text, ofColumns(seen, text));
  const bySigns = C.BY_SIGNS + C.WHERE_CLOSE * closenessOf(found);
  const options = Array.from(byColumns, ([each, score]) => {
    const [column, sign] = [Math.max(score, C.NEVER), chances.of(each)];
    return { text: each, column, sign, share: C.BY_COLUMNS * column + bySigns * sign };
  });
  const most = Math.max(...options.map(({ share }) => share));
  const all = most + Math.log(sum(options.map(({ share }) => Math.exp(share - most))));
  for (const each of options) {
    each.share -= all;
    const doubts = [-Math.expm1(each.share), -each.column, -each.sign, 1];
    each.doubt = sum(doubts.map((doubt, k) => doubt * C.DOUBTS[k]));
  }
  return options.sort((one, other) => other.share - one.share);
}

async function signsOf(writing, { found, chances, strip, seen, options }, picture, look) {
  const { text } = options[0];
  const places = chances.aligned(text);
  const picked = places.map((place, k) => place !== null && writing.asPicked(found.signs[place], pickOf(text[k])));
  if (!strip || !places.includes(null)) return picked.filter(Boolean);
  const signs = [];
  const parts = text[1] ? partsOf(seen, text) : [extentOf(strip, boxesOf(found))];
  for (const [k, part] of parts.entries()) {
    const box = boxOf(strip, part).map((at, k) => clip(at, 0, k % 2 ? picture.height : picture.width));
    const sign = picked[k] || writing.forced(await look(roughInk(picture, box)), pickOf(text[k]));
    signs.push({ ...sign, box: writing.inOriginal(box) });
  }
  return signs;
}

function extentOf({ left, right }, boxes) {
  const ends = [Math.min(...boxes.map((box) => box[0])), Math.max(...boxes.map((box) => box[2]))];
  return ends.map((at) => (at - left) / (right - left));
}

function partsOf(columns, text) {
  const middles = placesOf(columns, text).map((place) => (place + 0.5) / columns.length);
  const between = middles.slice(1).map((at, k) => (middles[k] + at) / 2);
  const [first, last] = [2 * middles[0] - between[0], 2 * middles.at(-1) - between.at(-1)];
  const ends = [Math.max(first, 0), ...between, Math.min(last, 1)];
  return middles.map((_, k) => [ends[k], ends[k + 1]]);
}

/** Return what stands out in a part of a picture, whatever it belongs to. */
export function roughInk({ data, width, height }, box) {
  const [left, right] = [box[0], box[2]].map((at) => clip(round(at), 0, width));
  const [top, bottom] = [box[1], box[3]].map((at) => clip(round(at), 0, height));
  const across = Math.min(Math.max(right, left + 1), width) - left;
  const down = Math.min(Math.max(bottom, top + 1), height) - top;
  if (!across || !down) return blank(1);
  const grid = (step) => {
    const grey = (x, y) => data[(top + y * step) * width + left + x * step];
    return pictureOf(Math.ceil(across / step), Math.ceil(down / step), grey, Float32Array);
  };
  const paper = median(grid(1).data);
  const ink = grid(Math.ceil(Math.max(across, down) / C.INK_SIDE));
  const off = ink.data.map((value) => Math.abs(value - paper));
  const most = Math.max(percentile(off, 98), 1);
  ink.data = off.map((by) => clip(f32(f32(by / most) - f32(C.PAPER)) / f32(1 - C.PAPER), 0, 1));
  return ink;
}

function percentile(values, percent) {
  const sorted = values.slice().sort();
  const at = (percent / 100) * (sorted.length - 1);
  const [low, high = low] = sorted.slice(Math.floor(at));
  const [step, share] = [f32(high - low), f32(at - Math.floor(at))];
  return f32(share < 0.5 ? low + f32(step * share) : high - f32(step * f32(1 - share)));
}

function pickOf(sign) {
  return sign === "?" ? OTHER_SIGN : Number(sign);
}
