/** How a picture was held, from its EXIF data: CIPA DC-008 (EXIF 2.32), tag 274. */

import { letters, viewOf } from "./views.js";

const ORIENTATION = 0x0112;

/**
 * Return an orientation, 1 to 8, and the file with none, so that nobody turns it again.
 *
 * Only a WebP has one: a JPEG is turned by every browser.
 */
export function withoutOrientation(bytes) {
  const exif = ofWebp(bytes);
  const place = exif && placeOf(exif);
  if (!place) return { orientation: 1, bytes };
  const copy = bytes.slice();
  const at = exif.byteOffset - bytes.byteOffset + place.at;
  viewOf(copy).setUint16(at, 1, place.little);
  return { orientation: viewOf(exif).getUint16(place.at, place.little), bytes: copy };
}

/** Return the orientation in EXIF data, 1 where there is none. */
export function orientationOf(exif) {
  const place = exif && placeOf(exif);
  return place ? viewOf(exif).getUint16(place.at, place.little) : 1;
}

function placeOf(exif) {
  if (exif.length < 14) return null;
  const [view, little] = [viewOf(exif), exif[0] === 0x49];
  const start = view.getUint32(4, little);
  if (start + 2 > exif.length) return null;
  const end = start + 2 + 12 * view.getUint16(start, little);
  for (let at = start + 2; at < end && at + 12 <= exif.length; at += 12) {
    if (view.getUint16(at, little) === ORIENTATION) return { at: at + 8, little };
  }
  return null;
}

function ofWebp(bytes) {
  if (letters(bytes, 0) !== "RIFF" || letters(bytes, 8) !== "WEBP") return null;
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (letters(bytes, at) === "EXIF") {
      const start = at + 8 + (letters(bytes, at + 8) === "Exif" ? 6 : 0);
      return bytes.subarray(start, at + 8 + length);
    }
    at += 8 + length + (length % 2);
  }
  return null;
}
