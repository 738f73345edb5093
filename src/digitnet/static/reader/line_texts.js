/** What a line may say by columns and by signs, as `digitnet.reading.line_texts`. */

import { lineTexts as C } from "./constants.js";
import { argmax, clip, mean, median, times } from "./rounding.js";

const NEVER = -Infinity;

/** Return the likeliest texts, likeliest first, and their logarithms, a Map. */
export function likeliestTexts(columns) {
  // Of each text so far: ending with a blank column, and with its last sign.
  let kept = new Map([["", [0, NEVER]]]);
  for (const column of columns) {
    const empty = column[C.BLANK];
    if (empty > C.EMPTY) {
      kept = new Map([...kept].map(([text, ways]) => [text, [sum(...ways) + empty, NEVER]]));
      continue;
    }
    const likely = [...C.SIGNS].flatMap((_, k) => (column[k] > C.LEAST ? [k] : []));
    const grown = new Map();
    const waysOf = (text) => grown.get(text) ?? [NEVER, NEVER];
    for (const [text, [afterBlank, afterSign]] of kept) {
      const all = sum(afterBlank, afterSign);
      const last = text ? C.SIGNS.indexOf(text.at(-1)) : -1;
      const [blank, sign] = waysOf(text);
      const stays = text ? afterSign + column[last] : NEVER;
      grown.set(text, [sum(blank, all + empty), sum(sign, stays)]);
      for (const k of likely) {
        const [longer, before] = [text + C.SIGNS[k], k === last ? afterBlank : all];
        const ways = waysOf(longer);
        grown.set(longer, [ways[0], sum(ways[1], before + column[k])]);
      }
    }
    const sorted = [...grown].sort(([, one], [, other]) => sum(...other) - sum(...one) || 0);
    kept = new Map(sorted.slice(0, C.BEAMS));
  }
  const found = [...kept].map(([text, ways]) => [text, sum(...ways)]);
  return new Map(found.filter(([, score]) => score > NEVER));
}

/** Return the logarithm of the probability of a text; minus infinity where it has no room. */
export function ofColumns(columns, text) {
  return walked(columns, text, sum).chances.slice(-2).reduce(sum);
}

function walked(columns, text, join) {
  // A blank, then each sign and a blank, which may be left out but between the same sign twice.
  const states = [C.BLANK, ...Array.from(text, (sign) => [C.SIGNS.indexOf(sign), C.BLANK]).flat()];
  const skips = states.map((state, at) => at > 2 && at % 2 && state !== states[at - 2]);
  let chances = states.map((state, at) => (at < 2 ? columns[0][state] : NEVER));
  const steps = columns.slice(1).map((column) => {
    const ways = chances.map((stay, at) => {
      return [stay, at ? chances[at - 1] : NEVER, skips[at] ? chances[at - 2] : NEVER];
    });
    chances = ways.map((each, at) => each.reduce(join) + column[states[at]]);
    return ways.map(argmax);
  });
  return { chances, steps };
}

function thereOf({ presence }) {
  return [...presence.keys()].filter((place) => presence[place] >= C.LIKELY);
}

export function boxesOf(line) {
  return thereOf(line).map((place) => line.boxes[place]);
}

/** Return what the signs of a line are, each by itself. */
export function textOf(line) {
  const signOf = (k) => (line.likeness[k] >= C.LIKELY ? C.SIGNS[argmax(line.classes[k])] : "?");
  return thereOf(line).map(signOf).join("");
}

/** Return how closely the signs of a line stand, from 0, apart, to 1, touching. */
export function closenessOf(line) {
  const boxes = boxesOf(line);
  if (boxes.length < 2) return 0;
  boxes.sort((one, other) => one[0] + one[2] - (other[0] + other[2]));
  const height = Math.max(median(boxes.map((box) => box[3] - box[1])), 1e-6);
  const gaps = boxes.slice(1).map((box, place) => (box[0] - boxes[place][2]) / height);
  return mean(gaps.map((gap) => clip((C.APART - gap) / (C.APART - C.TOUCHING), 0, 1)));
}

/** How likely texts are by the signs of a line; `missed` is how often, a logarithm, one is. */
export class SignChances {
  constructor({ presence, likeness, classes }, missed) {
    const floor = Math.exp(C.SUREST);
    const [there, digit] = [presence, likeness].map((all) => {
      return Array.from(all, (value) => clip(value, floor, 1 - floor));
    });
    this.options = there.map((is, k) => {
      const taken = classes[k].map((one) => Math.log(is * digit[k]) + Math.log(Math.max(one, floor)));
      return [...taken, Math.log(is * (1 - digit[k]))].map((one) => Math.max(one, C.SUREST));
    });
    this.leftOut = there.map((is) => Math.log(1 - is));
    this.missed = missed;
  }

  of(text) {
    return this.table(text).at(-1).at(-1);
  }

  aligned(text) {
    const table = this.table(text);
    const found = [];
    for (let row = this.options.length, place = text.length; place; ) {
      const here = table[row][place];
      if (!row || here - table[row][place - 1] - this.missed < C.EQUAL) {
        found.push(null);
        place--;
        continue;
      }
      row--;
      if (here - table[row][place] - this.leftOut[row] >= C.EQUAL) {
        found.push(row);
        place--;
      }
    }
    return found.reverse();
  }

  table(text) {
    const signs = Array.from(text, (sign) => C.SIGNS.indexOf(sign));
    const table = [times(signs.length + 1, (place) => this.missed * place)];
    this.options.forEach((option, number) => {
      const [last, none] = [table[number], this.leftOut[number]];
      const row = [last[0] + none];
      signs.forEach((sign, place) => {
        const taken = last[place] + option[sign];
        row.push(Math.max(taken, last[place + 1] + none, row[place] + this.missed));
      });
      table.push(row);
    });
    return table;
  }
}

/** Return where each sign of a text stands, in columns, in the likeliest way to write it. */
export function placesOf(columns, text) {
  const { chances, steps } = walked(columns, text, (one, other) => Math.max(one, other));
  let state = chances.length - 1;
  if (text && chances.at(-2) > chances.at(-1)) state--;
  const path = [state];
  for (const step of steps.reverse()) path.unshift((state -= step[state]));
  const columnsOf = (place) => [...path.keys()].filter((at) => path[at] === 2 * place + 1);
  return Array.from(text, (_, place) => mean(columnsOf(place)));
}

function sum(one, other) {
  if (one < other) [one, other] = [other, one];
  return other === NEVER ? one : one + Math.log1p(Math.exp(other - one));
}
