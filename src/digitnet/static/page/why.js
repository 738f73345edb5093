/** "Why this digit?": what the answer depends on, and the training digits that look most alike. */

import { digitCanvas, showDigit } from "./drawing.js";
import { likeliest, one, percent } from "./words.js";

const SIDE = 28;
/** As `digitnet.reading.explanation` covers patches. */
const [PATCH, STRIDE] = [5, 2];
const NEIGHBOURS = 5;

export class Why {
  constructor(engine, network) {
    [this.engine, this.network] = [engine, network];
    this.button = document.getElementById("ask-why");
    this.button.addEventListener("click", () => this.explain());
    this.show(null);
  }

  show(sign) {
    this.sign = sign;
    this.button.disabled = !sign;
    showDigit(document.getElementById("needed"), sign?.image ?? new Uint8Array(784));
    document.getElementById("neighbours").replaceChildren();
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
      document.getElementById("needed-words").textContent = error.message;
    } finally {
      this.button.disabled = !this.sign;
    }
  }

  async occlusion({ image, probabilities }) {
    const patches = [];
    for (let top = 0; top <= SIDE - PATCH; top += STRIDE) {
      for (let left = 0; left <= SIDE - PATCH; left += STRIDE) patches.push(cellsOf(left, top));
    }
    const inked = patches.filter((cells) => cells.some((k) => image[k]));
    const images = new Uint8Array(784 * inked.length);
    inked.forEach((cells, place) => {
      const covered = Uint8Array.from(image);
      for (const k of cells) covered[k] = 0;
      images.set(covered, 784 * place);
    });
    const [digit] = likeliest({ probabilities });
    const answers = await this.network.judge(images);
    const [falls, times] = [new Float32Array(784), new Float32Array(784)];
    for (const cells of patches) for (const k of cells) times[k] += 1;
    inked.forEach((cells, place) => {
      for (const k of cells) falls[k] += probabilities[digit] - answers[place].probabilities[digit];
    });
    return falls.map((fall, k) => (times[k] ? fall / times[k] : 0));
  }

  showFalls({ image, probabilities }, falls) {
    const canvas = document.getElementById("needed");
    const most = falls.reduce((largest, fall) => Math.max(largest, Math.abs(fall)), 0.02);
    const pixels = new ImageData(SIDE, SIDE);
    for (let k = 0; k < 784; k++) {
      const [grey, share] = [image[k] * 0.75, Math.abs(falls[k]) / most];
      const tint = falls[k] > 0 ? [255, 140, 40] : [90, 150, 255];
      pixels.data.set([...tint.map((part) => grey * (1 - share) + part * share), 255], 4 * k);
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    const [digit] = likeliest({ probabilities });
    const largest = falls.reduce((top, fall) => Math.max(top, fall), 0);
    const words =
      largest < 0.02
        ? `No patch matters much: any part may be covered, and it stays ${one(digit)}.`
        : `Orange: covering it costs the ${digit} up to ${percent(largest)}. Blue: it becomes surer.`;
    document.getElementById("needed-words").textContent = words;
    canvas.setAttribute("aria-label", `What the answer depends on. ${words}`);
  }

  async nearest({ image }) {
    const sample = await Sample.open(this.engine);
    const { features } = await this.network.run(image, ["features"], { whole: true });
    return sample.nearest(features.data, NEIGHBOURS);
  }

  showNearest(digits) {
    const items = digits.map(({ image, label, distance }) => {
      const item = document.createElement("li");
      item.append(digitCanvas(image, `A training digit, labelled ${label}`), `${one(label)}, ${distance.toFixed(1)} away`);
      return item;
    });
    document.getElementById("neighbours").replaceChildren(...items);
  }
}

function cellsOf(left, top) {
  return Array.from({ length: PATCH * PATCH }, (_, k) => (top + Math.floor(k / PATCH)) * SIDE + left + (k % PATCH));
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
