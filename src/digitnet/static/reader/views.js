/** Views of bytes, numbers of more than one byte and letters in them; and pictures, pixel by pixel. */

export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export const letters = (bytes, at, count = 4) => String.fromCharCode(...bytes.subarray(at, at + count));

/** Return a picture of one channel with `pixel(x, y)` at each place. */
export function pictureOf(width, height, pixel, Kind = Uint8Array) {
  const data = new Kind(width * height);
  for (let y = 0, at = 0; y < height; y++) for (let x = 0; x < width; x++) data[at++] = pixel(x, y);
  return { data, width, height, channels: 1 };
}

/** An ink, or a page, without anything on it. */
export const blank = (side) => pictureOf(side, side, () => 0, Float32Array);
