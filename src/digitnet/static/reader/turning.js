/** Pages that lie on their side or upside down: read turned where that is clearly better. */

import { turning as C } from "./constants.js";
import { oriented } from "./pictures.js";
import { signsOf, withBoxes } from "./readings.js";
import { argmax, sum } from "./rounding.js";

/** What EXIF calls a picture turned clockwise by so many quarters. */
const ORIENTATIONS = [1, 6, 3, 8];

/** Return a picture to look at, with its `quarter`: turned if it says clearly that it lies. */
export async function upright(look, read, picture) {
  const turned = (quarter) => ({ ...look(oriented(picture, ORIENTATIONS[quarter])), quarter });
  const plainly = async ({ writing }) => (await writing(1)).reading();
  const asItIs = turned(0);
  const plain = await plainly(asItIs);
  const enough = plain.reason ? C.VERY_WELL : C.WELL;
  if (!plain.lines.length || quality(plain) >= enough) return asItIs;
  const all = [2, 1, 3].map(turned);
  const readings = [];
  for (const each of all) readings.push(await plainly(each));
  const chosen = argmax(readings.map(quality));
  const best = readings[chosen];
  const kept = digitsOf(best) >= Math.max(C.FEWEST, C.LEFT * digitsOf(plain));
  const better = quality(best) >= Math.max(C.WELL, quality(plain));
  if (!kept || !better) return asItIs;
  const text = await read(all[chosen]);
  if (digitsOf(text) < C.FEWEST) return asItIs;
  return oddsOf(text) >= C.LIKELIER * oddsOf(await read(asItIs)) ? all[chosen] : asItIs;
}

const oddsOf = ({ confidence }) => confidence / Math.max(1 - confidence, 1e-9);

/** Return a turned picture's reading with boxes in the picture as it was. */
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

const digitsOf = (reading) => signsOf(reading).filter((one) => one.is_digit).length;

function quality(reading) {
  const signs = signsOf(reading);
  return sum(signs.map((one) => one.is_digit * one.confidence)) / Math.max(1, signs.length);
}
