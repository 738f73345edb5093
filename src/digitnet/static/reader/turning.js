/** Pages that lie on their side or upside down: read turned, where that is clearly better. */

import { turning as C } from "./constants.js";
import { oriented } from "./pictures.js";
import { signsOf, withBoxes } from "./readings.js";
import { argmax, sum } from "./rounding.js";

/** What EXIF calls a picture that is turned clockwise by so many quarters. */
const ORIENTATIONS = { 1: 6, 2: 3, 3: 8 };

/** Return `{writing, picture, quarter}`: the picture, turned if it says clearly that it lies. */
export async function upright(look, picture) {
  const asItIs = { writing: await look(picture), picture, quarter: 0 };
  const plain = asItIs.writing.reading();
  const enough = plain.reason === null ? C.WELL : C.VERY_WELL;
  if (!plain.lines.length || quality(plain) >= enough) return asItIs;
  const all = [];
  for (const quarter of [2, 1, 3]) {
    const lying = oriented(picture, ORIENTATIONS[quarter]);
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

/** Return the reading of a turned picture with boxes in the picture before it was turned. */
export function turnedBack(reading, quarter, height, width) {
  if (!quarter) return reading;
  const back = ({ left, top, width: wide, height: tall }) =>
    ({
      1: { left: top, top: height - left - wide, width: tall, height: wide },
      2: { left: width - left - wide, top: height - top - tall, width: wide, height: tall },
      3: { left: width - top - tall, top: left, width: tall, height: wide },
    })[quarter];
  return { ...withBoxes(reading, back), turned: 90 * quarter };
}

function digitsOf(reading) {
  return signsOf(reading).filter((one) => one.is_digit).length;
}

function quality(reading) {
  const signs = signsOf(reading);
  return sum(signs.map((one) => (one.is_digit ? one.confidence : 0))) / Math.max(1, signs.length);
}
