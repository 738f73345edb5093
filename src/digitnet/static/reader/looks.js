/** Several looks at one picture, and what they agree on: `digitnet.reading.looks`. */

import { lineTexts, looks as C } from "./constants.js";

/** Return what is read in a picture, at the first look or, if it is in doubt, at several. */
export async function agreedText(read) {
  const first = await read(1);
  const count = first.lines.length;
  if (first.confidence >= C.DOUBTED || count < 1 || count > C.MOST_LINES) return first;
  const readings = await looked(first, read);
  const [text, given] = most(readings.map((one) => [one.text, one.confidence]));
  if (!given) return first;
  const same = readings.filter((one) => one.text === text);
  const surest = same.reduce((best, one) => (one.confidence > best.confidence ? one : best));
  return believed(surest, Math.min(1, given / C.ALL));
}

/** Return what the sign of a picture is, by the first look or, if it is in doubt, by several. */
export async function agreedSign(judge, threshold) {
  const first = await judge(1);
  const familiar = first.ood_score <= threshold - C.FAMILIAR;
  const plain = first.reason === null && first.confidence >= C.PLAIN && familiar;
  if (plain || first.reason === "blank" || first.reason === "several") return first;
  const looks = await looked(first, judge);
  looks.sort((one, other) => other.is_digit - one.is_digit || one.ood_score - other.ood_score);
  const { is_digit, ood_score, reason } = looks[C.ENOUGH - 1];
  const voters = looks.filter((one) => one.digit !== null && (one.is_digit || !is_digit));
  const [digit] = most(voters.map((one) => [one.digit, (one.is_digit ? 1 : C.REFUSED) * one.confidence]));
  const surest = voters.find((one) => one.digit === digit);
  const refused = reason === "several" ? reason : "not_a_digit";
  return { ...surest, is_digit, ood_score, reason: is_digit ? surest.reason : refused };
}

async function looked(first, look) {
  const all = [first];
  for (const zoom of C.LOOKS) all.push(await look(zoom));
  return all;
}

function most(given) {
  const totals = new Map();
  for (const [key, amount] of given) totals.set(key, (totals.get(key) ?? 0) + amount);
  return [...totals].reduce((best, one) => (one[1] > best[1] ? one : best));
}

function believed({ lines, reason, ...reading }, confidence) {
  if (lines.length === 1) lines = [{ ...lines[0], confidence }];
  if (!reason || reason === "uncertain") reason = confidence >= lineTexts.LIKELY ? null : "uncertain";
  return { ...reading, lines, confidence, reason };
}
