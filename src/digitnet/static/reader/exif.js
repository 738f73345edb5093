/** How a picture was held, from its EXIF data: CIPA DC-008 (EXIF 2.32), tag 274. */

import { letters, viewOf } from "./views.js";

const ORIENTATION = 0x0112;

/** Return the orientation in EXIF data, 1 to 8; 1 where there is none. */
export function orientationOf(exif) {
  if (!(exif?.length >= 14)) return 1;
  const [view, little] = [viewOf(exif), exif[0] === 0x49];
  const start = view.getUint32(4, little);
  if (start + 2 > exif.length) return 1;
  const end = start + 2 + 12 * view.getUint16(start, little);
  for (let at = start + 2; at < end && at + 12 <= exif.length; at += 12) {
    if (view.getUint16(at, little) === ORIENTATION) return view.getUint16(at + 8, little);
  }
  return 1;
}

/** Return the EXIF data of a WebP, which browsers do not all heed. */
export function exifOfWebp(bytes) {
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
