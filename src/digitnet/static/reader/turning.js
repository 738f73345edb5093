/**
 * Pages that lie on their side or upside down: read turned, where that is clearly better.
 *
 * The rules are those of `digitnet.reading.turning`. Boxes are always those of the picture as given.
 */

import { turning as C } from "./constants.js";

/**
 * Return what is written in a grey picture, a reading, turned if it says clearly that it lies.
 *
 * @param look returns (a promise of) the `Writing` of a grey picture as it is
 * @param scale how many pixels of the original one pixel of the picture spans
 */
export async function readUpright(look, picture, scale) {
  const plain = (await look(picture)).reading();
  const enough = plain.reason === null ? C.WELL : C.VERY_WELL;
  if (!plain.lines.length || quality(plain) >= enough) return plain;
  const readings = [];
  for (const quarter of [2, 1, 3]) {
    readings.push([quarter, (await look(turned(picture, quarter))).reading()]);
  }
  const [quarter, best] = readings.reduce((one, other) =>
    quality(other[1]) > quality(one[1]) ? other : one,
  );
  const likelier = best.confidence >= C.LIKELIER * plain.confidence;
  const kept = digitsOf(best) >= Math.max(C.FEWEST, C.LEFT * digitsOf(plain));
  const better = quality(best) >= Math.max(C.WELL, quality(plain));
  if (!(likelier && kept && better)) return plain;
  const [height, width] = [picture.height, picture.width].map((side) => Math.round(side * scale));
  return turnedBack(best, quarter, height, width);
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
function turnedBack(reading, quarter, height, width) {
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

/** Return the mean confidence of the signs; what is no digit counts nothing. */
function quality(reading) {
  const signs = reading.lines.flatMap((line) => line.digits);
  const total = signs.reduce((sum, one) => sum + (one.is_digit ? one.confidence : 0), 0);
  return total / Math.max(1, signs.length);
}
