/** Numbers rounded and added as in Python and NumPy; and rows of them. */

export const f32 = Math.fround;

/** Return the nearest whole number; of two the even one, as in Python. */
export function round(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** Return the median of numbers. */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Return the sum of up to 128 numbers, added in the order in which NumPy does. */
export function total(values) {
  const whole = values.length < 8 ? 0 : values.length & ~7;
  const parts = values.slice(0, Math.min(whole, 8));
  for (let at = 8; at < whole; at++) parts[at % 8] += values[at];
  for (; parts.length > 1; parts.splice(0, 2)) parts.push(parts[0] + parts[1]);
  return values.slice(whole).reduce((sum, value) => sum + value, parts[0] ?? 0);
}

export const mean = (values) => total(values) / values.length;

/** Return `make(0)`, `make(1)` … in a list. */
export const times = (count, make) => Array.from({ length: count }, (_, place) => make(place));

/** Return the sum of numbers, added one after the other. */
export const sum = (values) => values.reduce((all, each) => all + each, 0);

/** Return the largest of numbers, or of these and 0. */
export const largest = (values) => values.reduce((most, each) => Math.max(most, each), 0);

export function clip(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Return the place of the largest number, of equals the first. */
export function argmax(values) {
  let best = 0;
  for (let place = 1; place < values.length; place++) if (values[place] > values[best]) best = place;
  return best;
}

/** Return the place of the smallest number, of equals the first. */
export const argmin = (values) => argmax(values.map((value) => -value));
