/** Pictures made smaller and larger, bit for bit as Pillow 13 does it. */

import { pictureOf } from "./views.js";

// Bits behind the point of a weight: 8 of a pixel and 2 for overflow are left of 32.
const PRECISION_BITS = 22;

const FILTERS = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
};

/** Return a region of a grey picture (one channel) at another size. */
export function resize(picture, width, height, filter, region) {
  const [left, top, right, bottom] = region.map(Math.fround);
  const isCopy = right - left === width && bottom - top === height;
  if (isCopy && Number.isInteger(left) && Number.isInteger(top)) {
    return pictureOf(width, height, (x, y) => picture.data[(top + y) * picture.width + left + x]);
  }
  const across = weights(picture.width, left, right, width, filter);
  const down = weights(picture.height, top, bottom, height, filter);
  const shorter = picture.height - height;
  if (shorter > 0 && shorter > 2 * (picture.width - width)) {
    return horizontally(vertically(picture, down, 0), across, 0, height);
  }
  // Only the rows that count are computed.
  const first = down.from[0];
  const last = down.from[height - 1] + down.count[height - 1];
  return vertically(horizontally(picture, across, first, last), down, first);
}

function weights(inside, start, end, outside, filter) {
  const { support: reach, weight } = FILTERS[filter];
  const scale = Math.fround(end - start) / outside;
  const stretch = Math.max(scale, 1);
  const support = reach * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const inverse = 1 / stretch;
  const found = {
    from: new Int32Array(outside),
    count: new Int32Array(outside),
    factors: new Int32Array(outside * most),
    most,
  };
  const row = new Float64Array(most);
  for (let at = 0; at < outside; at++) {
    const centre = start + (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(inside, Math.trunc(centre + support + 0.5)) - first;
    let total = 0;
    for (let x = 0; x < count; x++) {
      row[x] = weight((x + first - centre + 0.5) * inverse);
      total += row[x];
    }
    for (let x = 0; x < count; x++) {
      const share = total === 0 ? row[x] : row[x] / total;
      found.factors[at * most + x] = Math.trunc(0.5 + share * (1 << PRECISION_BITS));
    }
    found.from[at] = first;
    found.count[at] = count;
  }
  return found;
}

function horizontally(picture, { from, count, factors, most }, first, last) {
  const width = from.length;
  const data = new Uint8Array(width * (last - first));
  for (let y = first; y < last; y++) {
    const line = y * picture.width;
    for (let x = 0; x < width; x++) {
      const start = line + from[x];
      let sum = 1 << (PRECISION_BITS - 1);
      for (let k = 0, factor = x * most; k < count[x]; k++, factor++) {
        sum += picture.data[start + k] * factors[factor];
      }
      data[(y - first) * width + x] = byte(sum >> PRECISION_BITS);
    }
  }
  return { data, width, height: last - first, channels: 1 };
}

function vertically(picture, { from, count, factors, most }, first) {
  const { width } = picture;
  const height = from.length;
  const data = new Uint8Array(width * height);
  const sums = new Int32Array(width);
  for (let y = 0; y < height; y++) {
    sums.fill(1 << (PRECISION_BITS - 1));
    for (let k = 0; k < count[y]; k++) {
      const factor = factors[y * most + k];
      const line = (from[y] - first + k) * width;
      for (let x = 0; x < width; x++) sums[x] += picture.data[line + x] * factor;
    }
    for (let x = 0; x < width; x++) data[y * width + x] = byte(sums[x] >> PRECISION_BITS);
  }
  return { data, width, height, channels: 1 };
}

function byte(value) {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** Return a picture whose pixels are means of `factor` × `factor`, or fewer at the edges. */
export function reduce({ data, width, height, channels }, factor) {
  const across = Math.ceil(width / factor);
  const down = Math.ceil(height / factor);
  const reduced = new Uint8Array(across * down * channels);
  for (let y = 0; y < down; y++) {
    const rows = Math.min(factor, height - y * factor);
    for (let x = 0; x < across; x++) {
      const columns = Math.min(factor, width - x * factor);
      const mean = meanOf(rows * columns);
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let row = y * factor; row < y * factor + rows; row++) {
          const start = (row * width + x * factor) * channels + channel;
          for (let at = 0; at < columns; at++) sum += data[start + at * channels];
        }
        reduced[(y * across + x) * channels + channel] = mean(sum);
      }
    }
  }
  return { data: reduced, width: across, height: down, channels };
}

const divisions = new Map();

function meanOf(count) {
  if (!divisions.has(count)) {
    const multiplier = Math.trunc(Math.fround(2 ** 32 / Math.fround(256 * count)));
    const half = Math.trunc(count / 2);
    divisions.set(count, (sum) => Math.floor(((sum + half) * multiplier) / 2 ** 24));
  }
  return divisions.get(count);
}

/** Return a picture at another size, each pixel the one at its middle. */
export function nearest({ data, width, height, channels }, across, down) {
  const columns = places(width, across);
  const rows = places(height, down);
  const chosen = new Uint8Array(across * down * channels);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const start = (row * width + column) * channels;
      for (let channel = 0; channel < channels; channel++) chosen[at++] = data[start + channel];
    }
  }
  return { data: chosen, width: across, height: down, channels };
}

function places(inside, outside) {
  const step = inside / outside;
  const found = new Int32Array(outside);
  for (let at = 0, place = step * 0.5; at < outside; at++, place += step) {
    found[at] = Math.min(inside - 1, Math.trunc(place));
  }
  return found;
}

/** Return bytes, one channel, blurred by a square of `2 * radius + 1` pixels a side. */
export function boxBlur(bytes, width, height, radius) {
  const blurred = new Uint8Array(bytes.length);
  for (let y = 0; y < height; y++) blurLine(bytes, blurred, y * width, 1, width, radius);
  const both = new Uint8Array(bytes.length);
  for (let x = 0; x < width; x++) blurLine(blurred, both, x, width, height, radius);
  return both;
}

function blurLine(bytes, blurred, start, step, length, radius) {
  const factor = Math.trunc(2 ** 24 / (2 * radius + 1));
  const outer = Math.trunc((2 ** 24 - (2 * radius + 1) * factor) / 2);
  const at = (place) => bytes[start + Math.min(Math.max(place, 0), length - 1) * step];
  let sum = 0;
  for (let place = -radius - 1; place < radius; place++) sum += at(place);
  for (let place = 0; place < length; place++) {
    sum += at(place + radius) - at(place - radius - 1);
    const beyond = (at(place - radius - 1) + at(place + radius + 1)) * outer;
    blurred[start + place * step] = (sum * factor + beyond + 2 ** 23) / 2 ** 24;
  }
}
