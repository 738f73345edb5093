/** Pictures, strokes and ink to digits: what `digitnet.Recognizer` is in Python. */

import { reader as C } from "./constants.js";
import { InputError } from "./errors.js";
import { READER, findSigns } from "./finding.js";
import { readLines } from "./line_reading.js";
import { agreed, stretched } from "./looks.js";
import { f32, largest, round } from "./rounding.js";
import { asPicture, fromStrokes, judged, placed } from "./strokes.js";
import { turnedBack, upright } from "./turning.js";
import { blank } from "./views.js";
import { Writing, familiar, predictionOf } from "./writing.js";

export class Reader {
  constructor(model, columns) {
    this.model = model;
    this.columns = columns;
  }

  async read({ picture, scale }) {
    const look = async (pixels, zoom = 1, step = 1) =>
      new Writing(await findSigns(this.model, pixels, { zoom }), this.model, scale, step);
    const read = async (found) =>
      agreed(await this.readingOf(found), async (zoom, stretch) => {
        const wide = stretched(found.picture, stretch);
        const writing = await look(wide, zoom, wide.width / found.picture.width);
        return this.readingOf({ writing, picture: wide });
      });
    const found = await upright(look, read, picture);
    const sides = [picture.height, picture.width].map((side) => round(side * scale));
    const reading = turnedBack(await read(found), found.quarter, ...sides);
    return familiar(reading, this.model.threshold);
  }

  readingOf({ writing, picture }) {
    const areDigits = this.model.classNames.every((name, digit) => digit < 10 && name === `${digit}`);
    if (!areDigits) return writing.reading();
    return readLines(writing, picture, this.columns, (ink) => this.predictInk(ink));
  }

  async predict({ picture, scale }) {
    const { width, height } = picture;
    const writing = new Writing(await findSigns(this.model, picture), this.model, scale);
    return writing.best([width / 2, height / 2], this.model.record.crops) ?? this.predictInk(blank(1));
  }

  /** Return all that a pen wrote, boxes in whole units of the strokes. */
  async readStrokes(strokes, pen = null, quick = false) {
    const drawing = asPicture(strokes, pen, quick ? 0.5 : 1);
    const ink = fromStrokes(strokes);
    const model = this.model.beside(ink);
    // Nobody draws upside down.
    const writing = new Writing(await findSigns(model, drawing.picture, { quick }), model, 1);
    const found = quick ? writing.reading() : await this.readingOf({ writing, ...drawing });
    return judged(placed(found, drawing), this.ofInk(ink, model.seen), model.threshold);
  }

  predictStrokes(strokes) {
    return this.predictInk(fromStrokes(strokes));
  }

  async predictInk(ink) {
    const data = inkOf(ink);
    return this.ofInk({ data }, await this.model.ofInks(READER, { ...ink, data, count: 1 }));
  }

  ofInk({ data }, { probabilities: [probabilities], ood_score: [[oodScore]], image: [image] }) {
    const reason = this.reasonOf(largest(data), oodScore, Math.max(...probabilities));
    return predictionOf({ probabilities, oodScore, image, box: null, classNames: this.model.classNames, reason });
  }

  reasonOf(most, oodScore, confidence) {
    if (most < f32(C.FAINTEST)) return "blank";
    if (oodScore > f32(this.model.threshold)) return "not_a_digit";
    return confidence < C.AMBIGUOUS ? "ambiguous" : null;
  }
}

function inkOf({ data, width, height }) {
  if (!(width >= 1 && height >= 1 && Math.max(width, height) <= C.MAX_INK_SIDE)) {
    throw new InputError(
      `The ink has ${width} × ${height} pixels; each side must have 1 to ${C.MAX_INK_SIDE}.`,
    );
  }
  if (data.length !== width * height) {
    throw new InputError(`An ink of ${width} × ${height} pixels cannot have ${data.length} values.`);
  }
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) {
    return Float32Array.from(data, (value) => value / 255);
  }
  const values = Float32Array.from(data);
  if (!values.every((value) => value >= 0 && value <= 1)) {
    throw new InputError("The ink has values outside 0 to 1, where 0 is paper and 1 full ink.");
  }
  return values;
}
