/** Anything that holds a picture, decoded to upright grey pixels, in a worker or a page. */

import { pictures as C } from "./constants.js";
import { InputError } from "./errors.js";
import { exifOfWebp, orientationOf } from "./exif.js";
import { toGrey } from "./grey.js";
import { decodePng, isPng, pngSize } from "./png.js";
import { pictureOf } from "./views.js";

/**
 * Return `{picture, scale}`: a grey picture, and how many pixels of the original one of it spans.
 *
 * @param source a `Blob` (a file), or `{pixels, width, height}` with four bytes a pixel: red, green,
 *   blue, opacity, as `ImageData` has them
 * @throws InputError it is not a picture, damaged or too large
 */
export async function load(source) {
  if (source instanceof Blob) return loadBytes(new Uint8Array(await source.arrayBuffer()));
  return loaded(fromPixels(source ?? {}), 1);
}

/** Return the same of a file's bytes. */
export async function loadBytes(bytes) {
  if (!bytes.length) throw new InputError("The picture is empty (0 bytes). Choose another file.");
  if (!isPng(bytes)) {
    const exif = exifOfWebp(bytes);
    return loaded(await fromBrowser(new Blob([bytes]), exif ? "none" : "from-image"), orientationOf(exif));
  }
  checkSize(...pngSize(bytes));
  const { picture, orientation } = await decodePng(bytes);
  return loaded(picture, orientation);
}

function loaded(picture, orientation) {
  const factor = halvings(Math.max(picture.width, picture.height));
  return { picture: oriented(toGrey(picture, factor), orientation), scale: factor };
}

function fromPixels({ pixels, width, height }) {
  if (!Number.isInteger(width) || !Number.isInteger(height) || pixels?.length !== 4 * width * height) {
    throw new InputError(
      `A picture of ${width} × ${height} pixels has four bytes for each, red, green, blue and ` +
        `opacity; there are ${pixels?.length ?? "none"}.`,
    );
  }
  checkSize(width, height);
  return { data: pixels, width, height, channels: 4 };
}

async function fromBrowser(blob, imageOrientation) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation,
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new InputError(
      "The file is not a picture that this browser can open. Save it as PNG or JPEG.",
    );
  }
  const { width, height } = bitmap;
  checkSize(width, height);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
}

function checkSize(width, height) {
  const names = `${width.toLocaleString("en")} × ${height.toLocaleString("en")} pixels`;
  if (width < 1 || height < 1) throw new InputError(`The picture has no pixels (${names}).`);
  if (width * height > C.MAX_PIXELS) {
    throw new InputError(
      `The picture has ${names}; it may have ${C.MAX_PIXELS.toLocaleString("en")}. Save it smaller.`,
    );
  }
}

function halvings(side) {
  let factor = 1;
  while (side > factor * C.MAX_SIDE) factor *= 2;
  return factor;
}

/** Return a grey picture turned, or mirrored, as EXIF says that it has to be. */
export function oriented(picture, orientation) {
  if (!(orientation >= 2 && orientation <= 8)) return picture;
  const { data, width, height } = picture;
  const swapped = orientation >= 5;
  const [across, down] = swapped ? [height, width] : [width, height];
  const [fromRight, fromBottom] = [[2, 3, 7, 8], [3, 4, 6, 7]].map((all) => all.includes(orientation));
  return pictureOf(across, down, (x, y) => {
    const [column, row] = swapped ? [y, x] : [x, y];
    const from = fromRight ? width - 1 - column : column;
    return data[(fromBottom ? height - 1 - row : row) * width + from];
  });
}
