/** Pictures, strokes and ink to digits: what `digitnet.Recognizer` is in Python. */

import { reader as C } from "./constants.js";
import { InputError } from "./errors.js";
import { READER, findSigns } from "./finding.js";
import { readLines } from "./line_reading.js";
import { agreedSign, agreedText } from "./looks.js";
import { f32, largest, round } from "./rounding.js";
import { asPicture, fromStrokes, judged, placed } from "./strokes.js";
import { turnedBack, upright } from "./turning.js";
import { blank } from "./views.js";
import { Writing, familiar, loneDigit, predictionOf } from "./writing.js";

export class Reader {
  constructor(model, columns) {
    this.model = model;
    this.columns = columns;
  }

  async read({ picture, scale }) {
    const look = (pixels) => this.looks(pixels, scale);
    const read = (found) => agreedText(async (zoom) => this.readingOf(await found.writing(zoom), found.picture));
    const found = await upright(look, read, picture);
    let reading = await read(found);
    if (loneDigit(reading)) reading = familiar(reading, this.model.threshold, (await this.best(found)).ood_score);
    const sides = [picture.height, picture.width].map((side) => round(side * scale));
    return turnedBack(reading, found.quarter, ...sides);
  }

  readingOf(writing, picture) {
    if (this.model.classNames.length !== 10) return writing.reading();
    return readLines(writing, picture, this.columns, (ink) => this.predictInk(ink));
  }

  /** Return a picture, and what is seen on its pages of several sizes; each look is taken once. */
  looks(picture, scale) {
    const taken = {};
    const look = async (zoom) => new Writing(await findSigns(this.model, picture, { zoom }), this.model, scale);
    return { picture, writing: (zoom) => (taken[zoom] ??= look(zoom)) };
  }

  async predict({ picture, scale }) {
    return this.best(this.looks(picture, scale), this.model.record.crops);
  }

  best({ picture, writing }, crops) {
    const middle = [picture.width / 2, picture.height / 2];
    const judge = async (zoom) => (await writing(zoom)).best(middle, crops) ?? this.predictInk(blank(1));
    return crops ? judge(1) : agreedSign(judge, this.model.threshold);
  }

  /** Return all that a pen wrote, boxes in whole units of the strokes; `live`: by one look, sign by sign, on half a page. */
  async readStrokes(strokes, pen = null, live = false) {
    const zoom = live ? 0.5 : 1;
    const drawing = asPicture(strokes, pen, zoom);
    const ink = fromStrokes(strokes);
    const model = this.model.beside(ink);
    // Nobody draws upside down.
    const writing = new Writing(await findSigns(model, drawing.picture, { zoom, once: live }), model);
    const found = live ? writing.reading() : await this.readingOf(writing, drawing.picture);
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
