/** The model file in the browser: `digitnet.onnx` as it is, run by onnxruntime-web. */

import { modelFile as C } from "./constants.js";
import { f32, times } from "./rounding.js";
import { blank } from "./views.js";

const BLANK = blank(C.LEAST_PAGE);
// ONNX Runtime for the web cannot multiply nothing by a matrix: where Python gives no ink, it gets a
// blank one, whose answer, the last, is left out.
const NO_INK = { ...blank(1), count: 1 };
const OF_INKS = ["probabilities", "ood_score", "image", "features"];

export class ModelFile {
  /**
   * @param session of onnxruntime-web
   * @param Tensor its class of tensors
   * @param record what the file says about itself: `sha256`, `class_names`, `ood_threshold`, `crops`
   */
  constructor(session, Tensor, record) {
    this.session = session;
    [this.ink, this.seen] = [NO_INK, {}];
    this.Tensor = Tensor;
    this.record = record;
    this.threshold = record.ood_threshold;
    this.classNames = record.class_names;
  }

  /** Return a model that looks at an ink with each page; `seen` is what it says. */
  beside(ink) {
    return Object.assign(Object.create(this), { ink: { ...ink, count: 1 }, seen: {} });
  }

  async ofInks(outputs, inks) {
    const answers = await this.run(outputs, BLANK, inks);
    // Nothing is found on a blank page; if something were, it would come first.
    for (const name of outputs) answers[name] = answers[name].slice(-inks.count);
    return answers;
  }

  async ofPage(outputs, page) {
    const answers = await this.run(outputs, page, this.ink);
    for (const name of outputs) if (OF_INKS.includes(name)) this.seen[name] = answers[name].splice(-1);
    return answers;
  }

  async run(outputs, page, inks) {
    const tensor = (data, dims) => new this.Tensor("float32", data, dims);
    const feeds = {
      page: tensor(page.data, [1, 1, page.height, page.width]),
      ink: tensor(inks.data, [inks.count, 1, inks.height, inks.width]),
    };
    const answers = await this.session.run(feeds, outputs);
    return Object.fromEntries(outputs.map((name) => [name, rowsOf(answers[name])]));
  }
}

/** Return a tensor as the list of its rows, flat arrays. */
export function rowsOf({ data, dims }) {
  const size = dims.slice(1).reduce((product, side) => product * side, 1);
  return times(dims[0], (row) => data.slice(row * size, (row + 1) * size));
}

/** Return what the network saw as bytes, bright ink on 0. */
export function asBytes(image) {
  return Uint8Array.from(image, (value) => f32(f32(Math.min(Math.max(value, 0), 1) * 255) + 0.5));
}
