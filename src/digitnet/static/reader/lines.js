/** From boxes to lines, as people read: from the top, each from left to right. */

import { lines as C } from "./constants.js";
import { argmin, clip, mean, median } from "./rounding.js";

const SLOPES = Array.from(
  { length: C.TRIED },
  (_, k) => k * ((2 * C.STEEPEST) / (C.TRIED - 1)) - C.STEEPEST,
);

/** Return the places of boxes `[left, top, right, bottom]`, line by line, in reading order. */
export function inLines(boxes) {
  if (boxes.length < 2) return boxes.map((_, place) => [place]);
  const page = pageOf(boxes);
  let lines = [];
  for (const place of page.order) {
    const near = lines.filter((line) => isNear(line[line.length - 1], place, page));
    const steps = near.map((line) => stepTo(line, place, page));
    const nearest = argmin(steps);
    if (steps.length && steps[nearest] <= C.STEP) near[nearest].push(place);
    else lines.push([place]);
  }
  for (let joined = lines; joined; joined = joinedOnce(lines, page)) lines = joined;
  return lines
    .map((line) => [levelOf(line, page), line])
    .sort(([one], [other]) => one - other)
    .map(([, line]) => line);
}

const levelOf = (line, page) => mean(line.map((place) => page.level[place]));

function pageOf(boxes) {
  const x = boxes.map((box) => box[0] / 2 + box[2] / 2);
  const y = boxes.map((box) => box[1] / 2 + box[3] / 2);
  const size = boxes.map(([left, top, right, bottom]) =>
    Math.max(bottom - top, C.FLAT * (right - left), 1e-6),
  );
  const slope = slopeOf(x, y, median(size));
  const level = y.map((height, place) => height - slope * x[place]);
  const order = boxes.map((_, place) => place);
  order.sort((one, other) => x[one] - x[other] || level[one] - level[other]);
  return { boxes, x, size, level, order };
}

function slopeOf(x, y, size) {
  const costs = SLOPES.map((slope) => {
    const heights = Float64Array.from(y, (height, place) => height - slope * x[place]).sort();
    let steps = 0;
    for (let place = 1; place < heights.length; place++) {
      steps += Math.min((heights[place] - heights[place - 1]) / size, 1);
    }
    return steps + C.LEVEL * Math.abs(slope);
  });
  return SLOPES[argmin(costs)];
}

function isNear(last, place, { x, size, level }) {
  const reach =
    3 * Math.max(size[last], size[place]) + 2 * C.OWN_SLOPE * Math.abs(x[place] - x[last]);
  return Math.abs(level[place] - level[last]) < reach;
}

function stepTo(line, place, { x, size, level }) {
  const last = line.slice(-3);
  let expected = median(last.map((each) => level[each]));
  const unit = median(line.map((each) => size[each]));
  if (x[line[line.length - 1]] - x[line[0]] > C.LONG * unit) {
    const own = clip(fittedSlope(line, x, level), -C.OWN_SLOPE, C.OWN_SLOPE);
    expected += own * (x[place] - mean(last.map((each) => x[each])));
  }
  return Math.abs(level[place] - expected) / Math.max(unit, size[place]);
}

function fittedSlope(line, x, level) {
  const middle = mean(line.map((place) => x[place]));
  const height = mean(line.map((place) => level[place]));
  let [shared, own] = [0, 0];
  for (const place of line) {
    shared += (x[place] - middle) * (level[place] - height);
    own += (x[place] - middle) ** 2;
  }
  return shared / own;
}

function joinedOnce(lines, page) {
  const means = lines.map((line) => levelOf(line, page));
  const sizes = lines.map((line) => Math.max(...line.map((place) => page.size[place])));
  let [nearest, chosen] = [C.FAR_STEP, null];
  for (let one = 0; one < lines.length; one++) {
    for (let other = one + 1; other < lines.length; other++) {
      if (Math.abs(means[one] - means[other]) > 2 * Math.max(sizes[one], sizes[other])) continue;
      const step = gapOf(lines[one], lines[other], page);
      if (step < nearest) [nearest, chosen] = [step, [one, other]];
    }
  }
  if (!chosen) return null;
  const row = inRow([...lines[chosen[0]], ...lines[chosen[1]]], page);
  return [row, ...lines.filter((_, number) => !chosen.includes(number))];
}

function gapOf(one, other, page) {
  const { boxes, size, level } = page;
  for (const a of one) {
    for (const b of other) {
      const over = Math.min(boxes[a][2], boxes[b][2]) - Math.max(boxes[a][0], boxes[b][0]);
      const width = Math.min(boxes[a][2] - boxes[a][0], boxes[b][2] - boxes[b][0]);
      if (over > C.OVERLAP * width) return Infinity;
    }
  }
  const row = inRow([...one, ...other], page);
  let gap = -Infinity;
  for (let at = 1; at < row.length; at++) {
    const [a, b] = [row[at - 1], row[at]];
    if (one.includes(a) === one.includes(b)) continue;
    gap = Math.max(gap, Math.abs(level[a] - level[b]) / Math.max(size[a], size[b]));
  }
  return gap;
}

function inRow(places, { boxes }) {
  return places.sort((a, b) => boxes[a][0] + boxes[a][2] - (boxes[b][0] + boxes[b][2]));
}
