/** "Why this digit?": what the answer depends on, and the training digits that look most alike. */

import { explanation as C } from "../reader/constants.js";
import { largest, times } from "../reader/rounding.js";
import { digitCanvas, showDigit } from "./drawing.js";
import { byId, make } from "./elements.js";
import { likeliest, one, percent } from "./words.js";

const SIDE = 28;
/** A patch that changes the probability by less hardly matters. */
const CLEAR = 0.02;

export class Why {
  constructor(engine, network) {
    [this.engine, this.network] = [engine, network];
    this.button = byId("ask-why");
    this.button.onclick = () => this.explain();
    this.show(null);
  }

  show(sign) {
    this.sign = sign;
    this.button.disabled = !sign;
    showDigit(byId("needed"), sign?.image ?? new Uint8Array(784));
    this.say("Orange: covering it makes the answer less sure. Blue: surer.");
    byId("neighbours").replaceChildren();
  }

  say(words) {
    byId("needed-words").textContent = words;
    byId("needed").setAttribute("aria-label", `What the answer depends on. ${words}`);
  }

  async explain() {
    const sign = this.sign;
    this.button.disabled = true;
    try {
      const [falls, nearest] = await Promise.all([this.occlusion(sign), this.nearest(sign)]);
      if (this.sign !== sign) return;
      this.showFalls(sign, falls);
      this.showNearest(nearest);
    } catch (error) {
      this.say(error.message);
    } finally {
      this.button.disabled = !this.sign;
    }
  }

  async occlusion({ image, probabilities }) {
    const patches = [];
    for (let top = 0; top <= SIDE - C.PATCH; top += C.STRIDE) {
      for (let left = 0; left <= SIDE - C.PATCH; left += C.STRIDE) patches.push(cellsOf(left, top));
    }
    const inked = patches.filter((cells) => cells.some((k) => image[k]));
    const covered = inked.map((cells) => image.map((grey, k) => (cells.includes(k) ? 0 : grey)));
    const [digit] = likeliest({ probabilities });
    const answers = await this.network.judge(covered);
    const [falls, covers] = [new Float32Array(784), new Float32Array(784)];
    for (const cells of patches) for (const k of cells) covers[k] += 1;
    inked.forEach((cells, place) => {
      for (const k of cells) falls[k] += probabilities[digit] - answers[place].probabilities[digit];
    });
    return falls.map((fall, k) => (covers[k] ? fall / covers[k] : 0));
  }

  showFalls({ image, probabilities }, falls) {
    const most = Math.max(largest(falls.map(Math.abs)), CLEAR);
    const pixels = new ImageData(SIDE, SIDE);
    for (let k = 0; k < 784; k++) {
      const [grey, share] = [image[k] * 0.75, Math.abs(falls[k]) / most];
      const tint = falls[k] > 0 ? [255, 140, 40] : [90, 150, 255];
      pixels.data.set([...tint.map((part) => grey * (1 - share) + part * share), 255], 4 * k);
    }
    byId("needed").getContext("2d").putImageData(pixels, 0, 0);
    const [digit] = likeliest({ probabilities });
    const costs = largest(falls);
    this.say(
      costs < CLEAR
        ? `No patch matters much: any part may be covered, and it stays ${one(digit)}.`
        : `Orange: covering it costs the ${digit} up to ${percent(costs)}. Blue: it becomes surer.`,
    );
  }

  async nearest({ image }) {
    const sample = await Sample.open(this.engine);
    const { features } = await this.network.run(image, ["features"], { whole: true });
    return sample.nearest(features.data, C.NEIGHBOURS);
  }

  showNearest(digits) {
    const items = digits.map(({ image, label, distance }) =>
      make("li", {}, digitCanvas(image, `A training digit, labelled ${label}`), `${one(label)}, ${distance.toFixed(1)} away`),
    );
    byId("neighbours").replaceChildren(...items);
  }
}

function cellsOf(left, top) {
  return times(C.PATCH * C.PATCH, (k) => (top + Math.floor(k / C.PATCH)) * SIDE + left + (k % C.PATCH));
}

/** The sample of MNIST that comes with digitnet, and what the last hidden layer sees of it. */
export class Sample {
  static opened = null;

  static open(engine) {
    Sample.opened ??= Sample.load(engine).catch((error) => {
      Sample.opened = null;
      throw error;
    });
    return Sample.opened;
  }

  static async load(engine) {
    const [about, bytes, sheet] = await Promise.all([
      engine.file("sample.json").then((response) => response.json()),
      engine.file("features.bin").then((response) => response.arrayBuffer()),
      engine.file("sample.png").then((response) => response.blob()),
    ]);
    return new Sample(about, new Uint8Array(bytes), await createImageBitmap(sheet));
  }

  constructor(about, bytes, sheet) {
    [this.sheet, this.columns, this.train] = [sheet, about.columns, about.train];
    this.labels = Uint8Array.from(about.labels, Number);
    this.units = about.scale.length;
    this.features = Float32Array.from(bytes, (value, k) => value * about.scale[k % this.units]);
  }

  nearest(features, count) {
    const distances = new Float64Array(this.train);
    for (let row = 0; row < this.train; row++) {
      for (let k = 0; k < this.units; k++) distances[row] += (this.features[row * this.units + k] - features[k]) ** 2;
    }
    const order = [...distances.keys()].sort((a, b) => distances[a] - distances[b]).slice(0, count);
    return order.map((row) => ({ image: this.image(row), label: this.labels[row], distance: Math.sqrt(distances[row]) }));
  }

  image(row) {
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    const context = canvas.getContext("2d");
    context.drawImage(this.sheet, -(row % this.columns) * SIDE, -Math.floor(row / this.columns) * SIDE);
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    return Uint8Array.from({ length: 784 }, (_, k) => data[4 * k]);
  }
}
