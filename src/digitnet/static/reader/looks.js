/** Several looks at one picture, and what they agree on: `digitnet.reading.looks`. */

import { lineTexts, looks as C } from "./constants.js";
import { resize } from "./resize.js";
import { round } from "./rounding.js";

/** Return what is read in a picture, at the first look or, if it is in doubt, at several. */
export async function agreed(first, look) {
  const count = first.lines.length;
  if (first.confidence >= C.DOUBTED || count < 1 || count > C.MOST_LINES) return first;
  const readings = [first];
  for (const each of C.LOOKS) readings.push(await look(...each));
  const given = new Map();
  for (const one of readings) given.set(one.text, (given.get(one.text) ?? 0) + one.confidence);
  const [text, total] = [...given].reduce((best, one) => (one[1] > best[1] ? one : best));
  const same = readings.filter((one) => one.text === text);
  const surest = same.reduce((best, one) => (one.confidence > best.confidence ? one : best));
  return believed(surest, Math.min(1, total / C.ALL));
}

/** Return a picture so many times as wide. */
export function stretched(picture, stretch) {
  const { width, height } = picture;
  return resize(picture, Math.max(1, round(width * stretch)), height, "bilinear", [0, 0, width, height]);
}

function believed({ lines, reason, ...reading }, confidence) {
  if (lines.length === 1) lines = [{ ...lines[0], confidence }];
  if (!reason || reason === "uncertain") reason = confidence >= lineTexts.LIKELY ? null : "uncertain";
  return { ...reading, lines, confidence, reason };
}
