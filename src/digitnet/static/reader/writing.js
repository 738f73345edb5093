/** From the signs found on a picture to what is written there, and how likely that is right. */

import { lineTexts, writing as C } from "./constants.js";
import { sideOf } from "./finding.js";
import { inLines } from "./lines.js";
import { asBytes } from "./model_file.js";
import { signsOf } from "./readings.js";
import { argmax, argmin, clip, f32, median, sum } from "./rounding.js";

/** What is picked of a sign that is no digit. */
export const OTHER_SIGN = -2;

export class Writing {
  constructor(signs, model, scale = 1) {
    const plain = signs.filter((sign) => sign.presence >= f32(C.PLAIN)).map(sideOf);
    const usual = plain.length < C.WITNESSES ? 0 : median(plain);
    // Specks look like digits: the smaller, the surer.
    const seen = signs.filter((sign) => {
      const missing = Math.max(0, usual - sideOf(sign)) / Math.max(usual, 1);
      return sign.presence >= Math.max(Math.sqrt(missing), C.FAINTEST);
    });
    this.lines = inLines(seen.map((sign) => sign.box)).map((line) => line.map((at) => seen[at]));
    this.signs = this.lines.flat();
    this.threshold = model.threshold;
    this.classNames = model.classNames;
    this.scale = scale;
    const line = this.lines.flatMap((each, number) => each.map(() => number));
    this.like = this.likeness(line);
    this.there = this.signs.map((sign) => sign.presence >= lineTexts.LIKELY);
    this.isDigit = this.like.map((like) => like >= lineTexts.LIKELY);
    // Of each sign, minus logarithms: there, not there, a digit, no digit, each class.
    this.doubts = this.signs.map((sign, place) => doubtsOf(sign, this.like[place]));
  }

  reading() {
    const picks = this.doubts.map(({ classes }, place) => {
      if (!this.there[place]) return C.LEFT_OUT;
      return this.isDigit[place] ? argmin(classes) : OTHER_SIGN;
    });
    return this.readingOf(this.written(picks), this.confidence(picks), this.odds(picks));
  }

  readingOf(lines, confidence, odds) {
    const digits = lines.flatMap((line) => line.digits).filter((one) => one.is_digit).length;
    let reason = confidence >= lineTexts.LIKELY ? null : "uncertain";
    if (!digits) reason = lines.length ? "no_digits" : "blank";
    return {
      text: lines.map((line) => line.text).join("\n"),
      confidence,
      odds: Number.isFinite(odds) ? odds : null,
      reason,
      refusal: null,
      turned: 0,
      lines,
    };
  }

  /** Return the one digit of a picture, a prediction; null where there is no sign. */
  best(middle, crops = false) {
    const { signs } = this;
    if (!signs.some((sign) => sign.presence >= C.DOUBTFUL)) return null;
    const size = signs.map(sideOf);
    const weight = signs.map((sign, place) => {
      const away = [0, 1].map((axis) =>
        Math.abs((sign.box[axis] + sign.box[axis + 2]) / 2 - middle[axis]),
      );
      const far = crops
        ? Math.max(...away) / size[place]
        : Math.max(away[0] / middle[0], away[1] / middle[1]) * C.MIDDLE;
      return sign.presence * Math.exp(-(far ** 2));
    });
    const central = argmax(weight);
    const accepted = signs.map(
      (sign, place) =>
        sign.presence >= C.DOUBTFUL &&
        sign.digitShare >= C.LEAST_SHARE &&
        sign.oodScore <= this.threshold - C.WITHIN &&
        (!crops || place === central),
    );
    const digits = signs.flatMap((sign, place) =>
      accepted[place] && sign.presence >= C.SURE ? [place] : [],
    );
    if (!digits.length) {
      const taken = accepted.includes(true) ? weight.map((w, at) => (accepted[at] ? w : 0)) : weight;
      return this.prediction(signs[argmax(taken)], "not_a_digit");
    }
    return this.bestOf(digits, weight, size, crops);
  }

  bestOf(digits, weight, size, crops) {
    const half = this.doubts.map(({ classes }) => Math.exp(-Math.min(...classes) / 2));
    const sure = weight.map((each, at) => each * this.like[at] * half[at]);
    const chosen = digits[argmax(digits.map((at) => sure[at] * half[at] * Math.sqrt(size[at])))];
    const isSecond = (each, at) =>
      at !== chosen && each >= C.PLAINLY && size[at] >= C.AS_LARGE * size[chosen];
    if (!crops && sure.some(isSecond)) return this.prediction(this.signs[chosen], "several");
    const unsure = Math.max(...this.signs[chosen].probabilities) < lineTexts.LIKELY;
    return this.prediction(this.signs[chosen], unsure ? "ambiguous" : null);
  }

  likeness(line) {
    const odds = this.signs.map(({ digitShare, oodScore }) => {
      const share = clip(digitShare, C.TINY, 1 - C.TINY);
      const [byFinder, byReader, more] = C.LIKENESS;
      return byFinder * Math.log(share / (1 - share)) + byReader * (oodScore - this.threshold) + more;
    });
    return odds.map((own, place) => {
      const all = own + C.COMPANY * this.company(odds, line, place);
      return 1 / (1 + Math.exp(-clip(all, -50, 50)));
    });
  }

  company(odds, line, place) {
    const others = odds.filter(
      (_, other) =>
        other !== place && line[other] === line[place] && this.signs[other].presence >= lineTexts.LIKELY,
    );
    const total = sum(others.map((each) => clip(each, -C.AT_MOST, C.AT_MOST)));
    return total / (others.length || 1);
  }

  confidence(picks) {
    return Math.exp(sum(picks.map((pick, place) => this.chance(place, pick))));
  }

  chance(place, pick) {
    const { there, absent, digit, other, classes } = this.doubts[place];
    if (pick === C.LEFT_OUT) return -absent;
    return -(there + (pick >= 0 ? digit + classes[pick] : other));
  }

  odds(picks) {
    const leads = picks.map((pick, place) => {
      const all = [OTHER_SIGN, C.LEFT_OUT, ...this.classNames.keys()];
      const others = all.filter((each) => each !== pick).map((each) => this.chance(place, each));
      return this.chance(place, pick) - Math.max(...others);
    });
    return Math.exp(Math.min(Infinity, ...leads));
  }

  written(picks) {
    let place = 0;
    const lines = this.lines.map((line) => {
      let [digits, chance] = [[], 0];
      for (const sign of line) {
        chance += this.chance(place, picks[place]);
        if (picks[place] !== C.LEFT_OUT) digits.push(this.asPicked(sign, picks[place]));
        place++;
      }
      return this.line(digits, Math.exp(chance));
    });
    return lines.filter((line) => line.digits.length);
  }

  line(digits, confidence) {
    const text = digits.map((one) => (one.is_digit && one.label) || "?").join("");
    return { text, confidence, digits };
  }

  foundLines() {
    let place = 0;
    const places = this.lines.map((line) => line.map(() => place++));
    return places
      .filter((line) => line.some((at) => this.there[at]))
      .map((line) => ({
        signs: line.map((at) => this.signs[at]),
        boxes: line.map((at) => this.signs[at].box),
        presence: line.map((at) => this.signs[at].presence),
        likeness: line.map((at) => this.like[at]),
        classes: line.map((at) => this.doubts[at].classes.map((doubt) => Math.exp(-doubt))),
      }));
  }

  inOriginal(box) {
    const [left, top, right, bottom] = box.map((at) => at * this.scale);
    return wholeBox([Math.max(left, 0), Math.max(top, 0), right, bottom]);
  }

  asPicked(sign, pick) {
    return this.forced(this.prediction(sign, null), pick);
  }

  forced(seen, pick) {
    const is_digit = pick >= 0;
    const digit = is_digit ? pick : argmax(seen.probabilities);
    const confidence = seen.probabilities[digit];
    const reason = is_digit ? (confidence < lineTexts.LIKELY ? "ambiguous" : null) : "not_a_digit";
    return { ...seen, digit, label: this.classNames[digit], confidence, is_digit, reason };
  }

  prediction(sign, reason) {
    return predictionOf({
      ...sign,
      classNames: this.classNames,
      reason,
      box: this.inOriginal(sign.box),
    });
  }
}

function doubtsOf({ presence, probabilities }, like) {
  const inside = (value) => clip(value, C.TINY, 1 - C.TINY);
  return {
    there: -Math.log(inside(presence)),
    absent: -Math.log1p(-inside(presence)),
    digit: -Math.log(inside(like)),
    other: -Math.log1p(-inside(like)),
    classes: Array.from(probabilities, (value) => -Math.log(inside(value))),
  };
}

/** Return a plain object with the fields of Python's `Prediction.as_dict()`, and the image. */
export function predictionOf({ probabilities, oodScore, image, box, reason, classNames }) {
  const likeliest = argmax(probabilities);
  const digit = reason === "blank" ? null : likeliest;
  return {
    digit,
    label: digit === null ? null : classNames[digit],
    confidence: probabilities[likeliest],
    probabilities: Array.from(probabilities),
    ood_score: oodScore,
    is_digit: reason === null || reason === "ambiguous",
    reason,
    box,
    image: asBytes(image),
  };
}

/** Return the digit that is all that a reading has. */
export function loneDigit(reading) {
  const signs = signsOf(reading);
  return signs.length === 1 && signs[0].is_digit ? signs[0] : null;
}

/** Return a reading, refused if its only sign is a digit as strange as `Writing.best` refuses. */
export function familiar(reading, threshold, ood_score) {
  const digit = loneDigit(reading);
  if (!digit || ood_score <= threshold - C.WITHIN) return reading;
  const refused = { ...digit, is_digit: false, reason: "not_a_digit", ood_score };
  return ofOne(reading, refused, 1 - reading.confidence, "no_digits");
}

/** Return a reading of one sign in place of another reading. */
export function ofOne(reading, sign, confidence, reason) {
  const odds = confidence < 1 ? confidence / (1 - confidence) : null;
  const text = sign.is_digit ? sign.label : "?";
  return { ...reading, text, lines: [{ text, confidence, digits: [sign] }], confidence, odds, reason };
}

export function wholeBox([left, top, right, bottom]) {
  const [x, y] = [Math.floor(left), Math.floor(top)];
  return {
    left: x,
    top: y,
    width: Math.max(1, Math.ceil(right - C.ROUNDING) - x),
    height: Math.max(1, Math.ceil(bottom - C.ROUNDING) - y),
  };
}
