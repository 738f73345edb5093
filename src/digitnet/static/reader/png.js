/**
 * PNG files decoded as Pillow does it, so that the same file gives the same pixels as in Python.
 */

import { grey as C } from "./constants.js";
import { InputError } from "./errors.js";
import { orientationOf } from "./exif.js";
import { largest, round, sum, times } from "./rounding.js";
import { letters, viewOf } from "./views.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
// Of each pass of an interlaced picture: first column and row, and steps.
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

export function isPng(bytes) {
  return SIGNATURE.every((byte, at) => bytes[at] === byte);
}

/** Return width and height, before anything is decoded. */
export function pngSize(bytes) {
  if (bytes.length < 33 || letters(bytes, 12) !== "IHDR") throw damaged("it has no header");
  const view = viewOf(bytes);
  return [view.getUint32(16), view.getUint32(20)];
}

/**
 * Return a picture of four channels, red, green, blue and opacity, and its EXIF orientation.
 *
 * @throws InputError the file is damaged
 */
export async function decodePng(bytes) {
  const [width, height] = pngSize(bytes);
  const [depth, kind, compression, filter, interlace] = bytes.subarray(24, 29);
  if (!DEPTHS[kind]?.includes(depth) || compression || filter || interlace > 1) {
    throw damaged("its header makes no sense");
  }
  const chunks = chunksOf(bytes);
  const header = { width, height, depth, kind, bits: depth * CHANNELS[kind] };
  const passes = (interlace ? PASSES : [[0, 0, 1, 1]])
    .map(([x, y, across, down]) => ({
      ...{ x, y, across, down },
      columns: Math.ceil((width - x) / across),
      rows: Math.ceil((height - y) / down),
    }))
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
  const length = ({ columns, rows }) => rows * (1 + Math.ceil((columns * header.bits) / 8));
  const total = sum(passes.map(length));
  const packed = await inflated(chunks.IDAT ?? [], total);
  const samples = new Uint16Array(width * height * CHANNELS[kind]);
  let start = 0;
  for (const pass of passes) {
    const lines = packed.subarray(start, start + length(pass));
    unfilter(lines, pass.rows, Math.ceil(header.bits / 8));
    spread(lines, pass, header, samples);
    start += length(pass);
  }
  const data = coloured(samples, header, chunks);
  const orientation = orientationOf(chunks.eXIf?.[0]);
  return { picture: { data, width, height, channels: 4 }, orientation };
}

function damaged(what) {
  return new InputError(`The picture is a damaged PNG file: ${what}. Save it again.`);
}

function chunksOf(bytes) {
  const [view, chunks] = [viewOf(bytes), {}];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const [length, name] = [view.getUint32(at), letters(bytes, at + 4)];
    if (name === "IEND") break;
    if (at + 12 + length > bytes.length) throw damaged("it ends too early");
    (chunks[name] ??= []).push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return chunks;
}

async function inflated(parts, total) {
  const bytes = new Uint8Array(total);
  let filled = 0;
  const reader = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    while (filled < total) {
      const { done, value } = await reader.read();
      if (done) break;
      const part = value.subarray(0, total - filled);
      bytes.set(part, filled);
      filled += part.length;
    }
    await reader.cancel();
  } catch {
    throw damaged("its pixels cannot be decompressed");
  }
  if (filled < total) throw damaged("it ends too early");
  return bytes;
}

function unfilter(lines, rows, step) {
  const length = lines.length / rows;
  for (let row = 0; row < rows; row++) {
    const start = row * length;
    const kind = lines[start];
    if (kind > 4) throw damaged("its pixels make no sense");
    for (let at = 1; kind && at < length; at++) {
      const left = at > step ? lines[start + at - step] : 0;
      const above = row ? lines[start + at - length] : 0;
      const corner = row && at > step ? lines[start + at - length - step] : 0;
      lines[start + at] += predicted(kind, left, above, corner);
    }
  }
}

function predicted(kind, left, above, corner) {
  if (kind === 1) return left;
  if (kind === 2) return above;
  if (kind === 3) return (left + above) >> 1;
  const [a, b, c] = [left, above, corner].map((value) => Math.abs(left + above - corner - value));
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

function spread(lines, { x, y, across, down, columns, rows }, { width, depth, kind }, samples) {
  const channels = CHANNELS[kind];
  const length = lines.length / rows;
  const mask = (1 << depth) - 1;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const to = ((y + row * down) * width + x + column * across) * channels;
      for (let channel = 0; channel < channels; channel++) {
        const bit = (column * channels + channel) * depth;
        const at = row * length + 1 + (bit >> 3);
        samples[to + channel] =
          depth === 16
            ? (lines[at] << 8) | lines[at + 1]
            : (lines[at] >> (8 - depth - (bit & 7))) & mask;
      }
    }
  }
}

function coloured(samples, header, chunks) {
  const data = new Uint8Array(header.width * header.height * 4);
  const clear = chunks.tRNS?.[0];
  if (header.kind === 3) return fromPalette(samples, chunks.PLTE?.[0], clear, data);
  const channels = CHANNELS[header.kind];
  const isGrey = channels < 3;
  const key = clear && channels % 2 ? keyOf(clear, channels) : null;
  const isWide = isGrey && header.depth === 16;
  const scaled = header.kind === 0 ? greyScale(samples, header.depth) : upperBits(header.depth);
  for (let at = 0, to = 0; to < data.length; at += channels, to += 4) {
    const red = scaled(samples[at]);
    data[to] = red;
    data[to + 1] = isGrey ? red : scaled(samples[at + 1]);
    data[to + 2] = isGrey ? red : scaled(samples[at + 2]);
    data[to + 3] = channels % 2 ? 255 : scaled(samples[at + channels - 1]);
    // As Pillow compares it.
    if (key?.every((value, k) => (isWide ? value === samples[at] : (value & 255) === data[to + k]))) data[to + 3] = 0;
  }
  return data;
}

function keyOf(clear, channels) {
  const view = viewOf(clear);
  return times(channels, (channel) => view.getUint16(2 * channel));
}

function upperBits(depth) {
  return depth === 16 ? (value) => value >> 8 : (value) => value;
}

function greyScale(samples, depth) {
  if (depth < 16) return (value) => (value * 255) / ((1 << depth) - 1);
  const most = largest(samples);
  const top = 2 ** C.DEPTHS.find((each) => most < 2 ** each) - 1;
  const table = Uint8Array.from({ length: top + 1 }, (_, value) => round(value * (255 / top)));
  return (value) => table[value];
}

function fromPalette(samples, palette, clear, data) {
  if (!palette) throw damaged("it has no palette");
  samples.forEach((index, pixel) => {
    for (let channel = 0; channel < 3; channel++) {
      data[4 * pixel + channel] = palette[3 * index + channel] ?? 0;
    }
    data[4 * pixel + 3] = clear?.[index] ?? 255;
  });
  return data;
}
