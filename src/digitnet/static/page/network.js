/** The opened network, as the lessons ask it, with filters switched off or a taught last layer. */

import { lessons as C } from "../reader/constants.js";

/** Return images, 784 bytes each, one after the other. */
export const joined = (images) => Uint8Array.from(images.flatMap((image) => [...image]));

export class Network {
  static async open(engine) {
    const network = new Network(engine);
    Object.assign(network, await (await engine.file("layers.json")).json());
    network.convolutions = network.layers.filter((layer) => layer.kind === "convolution");
    return network;
  }

  constructor(engine) {
    this.engine = engine;
    /** Numbers of the filters that are off, by the name of the input `keep_…`. */
    this.off = {};
    /** `{last_weight, last_bias}` once it was taught. */
    this.last = null;
    this.weights = new Map();
  }

  get isWhole() {
    return Object.values(this.off).every((filters) => !filters.length);
  }

  /** Return outputs for images, bytes; `whole`: of all filters, also those switched off. */
  run(images, wanted, { whole = false } = {}) {
    const keep = this.convolutions.map((layer) => [layer.keep, this.keep(layer, whole)]);
    return this.engine.layers(images, { ...Object.fromEntries(keep), ...(this.last ?? {}) }, wanted);
  }

  keep({ keep, shape }, whole) {
    const data = new Float32Array(shape[0]).fill(1);
    if (!whole) for (const filter of this.off[keep] ?? []) data[filter] = 0;
    return { data, dims: [1, shape[0], 1, 1] };
  }

  async judge(images) {
    const found = [];
    for (let start = 0; start < images.length; start += C.MOST_IMAGES) {
      const part = images.slice(start, start + C.MOST_IMAGES);
      const { probabilities, ood_score: score } = await this.run(joined(part), ["probabilities", "ood_score"], { whole: true });
      const classes = probabilities.dims[1];
      part.forEach((_, k) => found.push({ probabilities: probabilities.data.slice(k * classes, (k + 1) * classes), score: score.data[k] }));
    }
    return found;
  }

  weightsOf(layer) {
    const name = layer.weight.replace("weight_", "");
    if (!this.weights.has(name)) {
      const [weight, bias] = [`weight_${name}`, `bias_${name}`];
      const asked = this.run(new Uint8Array(784), [weight, bias]).then((found) => ({ weight: found[weight], bias: found[bias] }));
      this.weights.set(name, asked);
      asked.catch(() => this.weights.delete(name));
    }
    return this.weights.get(name);
  }
}
