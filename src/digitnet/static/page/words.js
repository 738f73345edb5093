/** What the page says: answers, verdicts and numbers as people read them. */

import { signsOf } from "../reader/readings.js";

/** Return a probability as people read it: never 100 % or 0 % of what is not certain. */
export function percent(share) {
  if (share >= 0.99995) return "> 99.99 %";
  if (share < 0.0005) return share <= 0 ? "0 %" : "< 0.1 %";
  return `${(100 * share).toFixed(share > 0.995 ? 2 : 1)} %`;
}

export const one = (digit) => `${digit === 8 ? "an" : "a"} ${digit}`;

export function likeliest({ probabilities }) {
  return [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 2);
}

function aboutSign(sign) {
  const [first, second] = likeliest(sign);
  const chance = (digit) => `${digit} (${percent(sign.probabilities[digit])})`;
  if (sign.reason === "not_a_digit") return `not a digit: it is unlike all of them. The nearest would be ${first}.`;
  if (sign.reason === "ambiguous") return `hard to tell: ${chance(first)}, or ${chance(second)}.`;
  return `${one(first)}, ${percent(sign.probabilities[first])} sure. Next comes ${chance(second)}.`;
}

export const inDoubt = (reading) => reading?.reason === "uncertain";

export function verdict(reading, chosen) {
  if (!reading) return "Blank: there is nothing to read yet.";
  if (reading.reason === "blank") return "There is nothing here that looks like a digit.";
  const signs = signsOf(reading);
  const parts = [];
  if (inDoubt(reading)) {
    parts.push("Unsure: this is more likely wrong than right.");
  } else if (signs.length > 1) {
    const what = signs.some((sign) => sign.is_digit) ? numbers(reading.lines) : "Several signs, and none is a digit";
    parts.push(`${what}, ${percent(reading.confidence)} sure of all of it.`);
  }
  if (reading.turned) parts.push(`The picture was turned by ${reading.turned}° to be read.`);
  const about = chosen ? aboutSign(chosen) : "";
  if (chosen) parts.push(signs.length > 1 ? `The marked one: ${about}` : about[0].toUpperCase() + about.slice(1));
  return parts.join(" ");
}

function numbers(lines) {
  const texts = lines.map((line) => line.text).join(", ");
  return lines.length > 1 ? `${lines.length} lines: ${texts}` : `The number ${texts}`;
}

/** Return what a layer is, and what to look for in it. */
export function aboutLayer({ kind, output, side, shape: [count, height, width] }) {
  if (kind === "pooling") {
    return `Of each two by two cells the brightest stays: ${count} maps of ${width} × ${height}. Where exactly a stroke lies matters less now.`;
  }
  if (kind === "weighing") {
    return "Each map times a number from 0 to 1: what matters less for this digit fades.";
  }
  if (output === "hidden") return `${count} cells, ${HIDDEN[kind]}`;
  const place = Math.min(2, Math.floor(Math.log2(28 / width)));
  const seen = [
    "Corners, ends and bends begin to stand out.",
    "Larger parts: loops, hooks, crossings.",
    "Whole shapes: few cells are bright, each for something that only some digits have.",
  ];
  const found = output === "maps_1" ? "Edges and strokes of one direction light up." : seen[place];
  return `${count} filters of ${side} × ${side}, maps of ${width} × ${height}. ${found}`;
}

const HIDDEN = {
  dense: "each a weighted sum of everything above. Digits that look alike light up the same cells.",
  mean: "each the mean of one map above: how much of its pattern there is, wherever it is.",
  "max-mean": "the brightest cell of each map above, then the mean of each.",
  flat: "those of all maps above, in a row.",
};

/** Return a sentence on the end of the path, with some filters off. */
export function aboutOutcome(before, after, off) {
  const first = (each) => likeliest({ probabilities: each })[0];
  const said = (each) => `${first(each)}, ${percent(each[first(each)])} sure`;
  if (!off) return `All filters on: ${said(before)}.`;
  const filters = off === 1 ? "One filter off" : `${off} filters off`;
  return `${filters}: ${said(after)}. With all on: ${said(before)}.`;
}
