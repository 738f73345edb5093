/** "Damage it until it flips": one slider for each kind of damage, and a search for where it flips. */

import { argmin, clip, times } from "../reader/rounding.js";
import { chart, colour, curve, showDigit, upright } from "./drawing.js";
import { button, byId, make } from "./elements.js";
import { likeliest, one, percent } from "./words.js";

const SIDE = 28;
/** Steps in which "Find the flip" goes through a range. */
const STEPS = 41;

const signed = (value) => `${value}`.replace("-", "−");

/** Each with its range, what its value says, and what it does to an image of floats. */
const KINDS = [
  { name: "Noise", most: 1, least: 0, words: (v) => `${Math.round(100 * v)} %`, change: noisy },
  { name: "Shift", most: 10, least: -10, words: (v) => signed(Math.round(v)) + " px", change: (image, v) => moved(image, { across: Math.round(v) }) },
  { name: "Thickness", most: 3, least: -3, words: (v) => (v > 0 ? "+" : "") + signed(v.toFixed(1)), change: thickened },
  { name: "Turn", most: 180, least: -180, words: (v) => signed(Math.round(v)) + "°", change: (image, v) => moved(image, { degrees: v }) },
];

export class Damage {
  constructor(network) {
    this.network = network;
    this.values = KINDS.map(() => 0);
    this.rows = KINDS.map((kind, place) => this.row(kind, place));
    const back = button("Undo the damage", () => this.reset());
    byId("sliders").replaceChildren(...this.rows.map((row) => row.element), back);
  }

  row(kind, place) {
    const { name, least, most, words } = kind;
    const input = make("input", { type: "range", min: least, max: most, step: "any", value: 0, oninput: () => this.set(place, Number(input.value)) });
    const output = make("span", { className: "value", textContent: words(0) });
    const find = button("Find the flip", () => this.sweep(place), { "aria-label": `Find where the answer flips: ${name}` });
    const label = make("label", {}, make("span", { textContent: name }), input);
    return { element: make("div", { className: "slider" }, label, output, find), input, output, find };
  }

  show(sign) {
    this.sign = sign;
    for (const { input, find } of this.rows) input.disabled = find.disabled = !sign;
    byId("sweep").width = 0;
    this.say("“Find the flip” goes through the whole range of a slider.");
    this.reset();
  }

  say(words) {
    byId("sweep-words").textContent = words;
    byId("sweep").setAttribute("aria-label", words);
  }

  reset() {
    this.values.fill(0);
    this.update();
  }

  set(place, value) {
    this.values[place] = value;
    this.update();
  }

  async update() {
    for (const [place, { input, output }] of this.rows.entries()) {
      input.value = this.values[place];
      output.textContent = KINDS[place].words(this.values[place]);
      input.setAttribute("aria-valuetext", output.textContent);
    }
    const words = byId("damaged-words");
    const image = (this.newest = this.sign ? this.damaged(this.values) : new Uint8Array(784));
    showDigit(byId("damaged"), image);
    if (!this.sign) {
      words.textContent = "The damaged digit";
      return;
    }
    const answers = await this.judge([image], words);
    if (this.newest !== image || !answers) return;
    const [{ probabilities }] = answers;
    const [first] = likeliest({ probabilities });
    const still = first === this.own ? "Still" : "Now";
    words.textContent = `${still} ${one(first)}, ${percent(probabilities[first])} sure.`;
    byId("damaged").setAttribute("aria-label", `The damaged digit: ${words.textContent}`);
  }

  async judge(images, words) {
    try {
      return await this.network.judge(images);
    } catch (error) {
      words.textContent = error.message;
      return null;
    }
  }

  get own() {
    return likeliest(this.sign)[0];
  }

  damaged(values) {
    let image = Float32Array.from(this.sign.image, (value) => value / 255);
    // Turning and moving first, so that noise lies over everything.
    for (const place of [3, 1, 2, 0]) if (values[place]) image = KINDS[place].change(image, values[place]);
    return Uint8Array.from(image, (value) => Math.round(255 * clip(value, 0, 1)));
  }

  async sweep(place) {
    if (!this.sign) return;
    const { least, most, words, name } = KINDS[place];
    const steps = times(STEPS, (k) => least + ((most - least) * k) / (STEPS - 1));
    const images = steps.map((value) => this.damaged(this.values.with(place, value)));
    const { own, sign } = this;
    const answers = await this.judge(images, byId("sweep-words"));
    if (!answers || sign !== this.sign) return;
    const { context, area } = chart(byId("sweep"), `${name}, from ${words(least)} to ${words(most)}`, "probability");
    for (let digit = 0; digit < answers[0].probabilities.length; digit++) {
      if (digit !== own) curve(context, area, answers.map((each) => each.probabilities[digit]), colour("line"));
    }
    curve(context, area, answers.map((each) => each.probabilities[own]), colour("blue"));
    const middle = argmin(steps.map(Math.abs));
    const flips = [1, -1].map((way) => flip(answers, own, middle, way)).filter((k) => k !== null);
    for (const k of flips) upright(context, area, k / (STEPS - 1), colour("orange"), `${likeliest(answers[k])[0]}`);
    const said = flips.map((k) => `at ${words(steps[k])} it becomes ${one(likeliest(answers[k])[0])}`);
    const sentence = said.length ? `${name}: ${said.join(", and ")}.` : `${name}: it stays ${one(own)} all the way.`;
    this.say(`${sentence} The blue line is how sure it is of the ${own}.`);
  }
}

function flip(answers, own, middle, way) {
  for (let k = middle; k >= 0 && k < answers.length; k += way) if (likeliest(answers[k])[0] !== own) return k;
  return null;
}

function noisy(image, amount) {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  return image.map((value) => value + amount * (random() + random() + random() - 1.5));
}

function moved(image, { across = 0, degrees = 0 }) {
  const [cosine, sine] = [Math.cos, Math.sin].map((of) => of((-degrees * Math.PI) / 180));
  const middle = (SIDE - 1) / 2;
  return image.map((_, k) => {
    const [x, y] = [(k % SIDE) - middle - across, Math.floor(k / SIDE) - middle];
    return between(image, middle + cosine * x - sine * y, middle + sine * x + cosine * y);
  });
}

function between(image, x, y) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const at = (column, row) => (column < 0 || row < 0 || column >= SIDE || row >= SIDE ? 0 : image[row * SIDE + column]);
  const [right, down] = [x - left, y - top];
  const upper = at(left, top) * (1 - right) + at(left + 1, top) * right;
  const lower = at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right;
  return upper * (1 - down) + lower * down;
}

function thickened(image, amount) {
  const [whole, part] = [Math.floor(Math.abs(amount)), Math.abs(amount) % 1];
  let result = image;
  for (let k = 0; k < whole; k++) result = around(result, amount > 0);
  if (!part) return result;
  const further = around(result, amount > 0);
  return result.map((value, k) => value * (1 - part) + further[k] * part);
}

function around(image, brightest) {
  const choose = brightest ? Math.max : Math.min;
  return image.map((value, k) => {
    const [x, y] = [k % SIDE, Math.floor(k / SIDE)];
    const beside = [x > 0 ? image[k - 1] : 0, x < SIDE - 1 ? image[k + 1] : 0, y > 0 ? image[k - SIDE] : 0, y < SIDE - 1 ? image[k + SIDE] : 0];
    return choose(value, ...beside);
  });
}
