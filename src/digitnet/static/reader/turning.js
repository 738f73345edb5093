/** Pages that lie on their side or upside down: read turned, where that is clearly better. */

import { turning as C } from "./constants.js";
import { argmax } from "./rounding.js";

/**
 * Return `{writing, picture, quarter}`: the picture, turned if it says clearly that it lies.
 *
 * @param look returns (a promise of) the `Writing` of a grey picture as it is
 */
export async function upright(look, picture) {
  const asItIs = { writing: await look(picture), picture, quarter: 0 };
  const plain = asItIs.writing.reading();
  const enough = plain.reason === null ? C.WELL : C.VERY_WELL;
  if (!plain.lines.length || quality(plain) >= enough) return asItIs;
  const all = [];
  for (const quarter of [2, 1, 3]) {
    const lying = turned(picture, quarter);
    all.push({ writing: await look(lying), picture: lying, quarter });
  }
  const readings = all.map(({ writing }) => writing.reading());
  const chosen = argmax(readings.map(quality));
  const best = readings[chosen];
  const likelier = best.confidence >= C.LIKELIER * plain.confidence;
  const kept = digitsOf(best) >= Math.max(C.FEWEST, C.LEFT * digitsOf(plain));
  const better = quality(best) >= Math.max(C.WELL, quality(plain));
  return likelier && kept && better ? all[chosen] : asItIs;
}

/** Return a grey picture turned clockwise by so many quarters. */
export function turned({ data, width, height }, quarter) {
  const [across, down] = quarter === 2 ? [width, height] : [height, width];
  const out = new Uint8Array(data.length);
  for (let y = 0, at = 0; y < down; y++) {
    for (let x = 0; x < across; x++, at++) {
      if (quarter === 1) out[at] = data[(height - 1 - x) * width + y];
      else if (quarter === 2) out[at] = data[(height - 1 - y) * width + width - 1 - x];
      else out[at] = data[x * width + width - 1 - y];
    }
  }
  return { data: out, width: across, height: down, channels: 1 };
}

/** Return the reading of a turned picture with boxes in the picture before it was turned. */
export function turnedBack(reading, quarter, height, width) {
  if (!quarter) return reading;
  const back = ({ left, top, width: wide, height: tall }) =>
    ({
      1: { left: top, top: height - left - wide, width: tall, height: wide },
      2: { left: width - left - wide, top: height - top - tall, width: wide, height: tall },
      3: { left: width - top - tall, top: left, width: tall, height: wide },
    })[quarter];
  const lines = reading.lines.map((line) => ({
    ...line,
    digits: line.digits.map((one) => ({ ...one, box: one.box && back(one.box) })),
  }));
  return { ...reading, lines, turned: 90 * quarter };
}

function digitsOf(reading) {
  return reading.lines.flatMap((line) => line.digits).filter((one) => one.is_digit).length;
}

function quality(reading) {
  const signs = reading.lines.flatMap((line) => line.digits);
  const total = signs.reduce((sum, one) => sum + (one.is_digit ? one.confidence : 0), 0);
  return total / Math.max(1, signs.length);
}
