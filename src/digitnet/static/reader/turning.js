/** Pages that lie on their side or upside down: read turned where that is clearly better. */

import { turning as C } from "./constants.js";
import { oriented } from "./pictures.js";
import { signsOf, withBoxes } from "./readings.js";
import { argmax, sum } from "./rounding.js";

/** What EXIF calls a picture turned clockwise by so many quarters. */
const ORIENTATIONS = [1, 6, 3, 8];

/** Return a picture to look at, with its `quarter`: turned if it says clearly that it lies. */
export async function upright(look, read, picture) {
  const turned = async (quarter) => {
    const looks = look(oriented(picture, ORIENTATIONS[quarter]));
    return { ...looks, quarter, plain: (await looks.writing(1)).reading() };
  };
  const asItIs = await turned(0);
  const { plain } = asItIs;
  const enough = plain.reason ? C.VERY_WELL : C.WELL;
  if (!plain.lines.length || quality(plain) >= enough || isPlain(plain)) return asItIs;
  const all = [];
  for (const quarter of [2, 1, 3]) {
    const one = await turned(quarter);
    // Digits do not lie on their sides one by one.
    if (quarter !== 2 && one.plain.lines.every(({ digits }) => digits.length < 2)) continue;
    all.push(one);
    if (isPlain(all.at(-1).plain)) break;
  }
  const best = all[argmax(all.map((each) => quality(each.plain)))];
  const kept = digitsOf(best.plain) >= Math.max(C.FEWEST, C.LEFT * digitsOf(plain));
  const better = quality(best.plain) >= Math.max(C.WELL, quality(plain));
  if (!kept || !better) return asItIs;
  const text = await read(best);
  if (digitsOf(text) < C.FEWEST) return asItIs;
  return oddsOf(text) >= C.LIKELIER * oddsOf(await read(asItIs)) ? best : asItIs;
}

const isPlain = (reading) => digitsOf(reading) >= C.MANY && quality(reading) >= C.MANY_WELL;

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
  return sum(signs.map((one) => one.is_digit * one.confidence)) / (signs.length || 1);
}
