/** "Teach it your handwriting": the last layer learns from a few examples, guarded by MNIST's sample. */

import { argmax, sum, times } from "../reader/rounding.js";
import { digitCanvas } from "./drawing.js";
import { button, byId, make } from "./elements.js";
import { joined } from "./network.js";
import { Sample } from "./why.js";
import { one } from "./words.js";

/** Examples of a digit that are enough; parts that are held back in turn. */
const ENOUGH = 3;
const MOST = 120;
/** MNIST's digits that are repeated, and how much all examples weigh beside all of them. */
const REPEATED = 500;
const WEIGHTS = [1, 0.4, 0.15, 0.05];
const STEPS = 120;
const RATE = 0.02;
/** How strongly the weights are held where they were. */
const HOLD = 0.002;

export class Teach {
  constructor(engine, network, onTaught) {
    Object.assign(this, { engine, network, onTaught });
    this.examples = [];
    byId("learn").onclick = () => this.learn();
    byId("forget").onclick = () => this.forget();
    byId("export").onclick = () => this.save();
    this.list();
  }

  keep(label, { image }) {
    if (this.network.unshown) return "This model cannot be taught here, as its layers are not shown.";
    if (this.examples.length >= MOST) return `There are ${MOST} examples; remove some of them first.`;
    if (this.examples.some((each) => each.image.every((value, k) => value === image[k]))) return "It is kept already: draw another one.";
    this.examples.push({ label, image });
    this.list();
    const count = this.count(label);
    if (count < ENOUGH) return `Kept as ${one(label)}. Draw ${ENOUGH - count} more of them.`;
    return `Kept as ${one(label)}, ${count} by now. It can learn: see “Teach it your handwriting” below.`;
  }

  list() {
    const items = this.examples.map(({ label, image }, place) => {
      const forget = () => {
        this.examples.splice(place, 1);
        this.list();
      };
      const remove = button(`${label} ✕`, forget, { "aria-label": `Remove this example of ${one(label)}` });
      return make("li", {}, digitCanvas(image, `An example of ${one(label)}`), remove);
    });
    byId("examples").replaceChildren(...items);
    byId("learn").disabled = !this.canLearn;
    say(this.canLearn ? "Ready to learn." : "Three examples of a digit are enough.");
  }

  async learn() {
    byId("learn").disabled = true;
    say("Learning …");
    const started = performance.now();
    try {
      const [task, own] = await this.task([...this.examples]);
      const guard = task.sample.guard;
      const before = rightOf(own, guard);
      let layer;
      const weight = WEIGHTS.find((share) => {
        layer = trained(own, task, task.examples, share);
        return rightOf(layer, guard) >= before;
      });
      if (!weight) {
        say("Not learned: what these examples teach would make it misread MNIST’s own digits. Are they kept under the right digit?");
        return;
      }
      const held = heldBack(task, own, weight);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      this.network.last = asTensors(layer, own);
      byId("forget").disabled = byId("export").disabled = false;
      say(
        `Learned in ${seconds} s. Of ${held.count} examples, each held back while the others taught, it read ${held.before} right before ` +
          `and ${held.after} after. Of MNIST’s ${guard.length.toLocaleString("en")} digits standing guard it reads ${rightOf(layer, guard)}; before, ${before}.`,
      );
      this.onTaught();
    } catch (error) {
      say(`It could not learn: ${error.message}`);
    } finally {
      byId("learn").disabled = !this.canLearn;
    }
  }

  get canLearn() {
    return this.examples.some(({ label }) => this.count(label) >= ENOUGH);
  }

  count(digit) {
    return this.examples.filter(({ label }) => label === digit).length;
  }

  async task(kept) {
    const [sample, found] = await Promise.all([Sample.open(this.engine), this.seen(kept)]);
    const examples = kept.map(({ label }, k) => ({ label, features: found.slice(k * sample.units, (k + 1) * sample.units) }));
    const layer = await this.network.weightsOf(this.network.layers.at(-1));
    const [weight, bias] = [layer.weight.data, layer.bias.data].map((data) => Float64Array.from(data));
    return [{ sample: rowsOf(sample), examples, units: sample.units }, { weight, bias, units: sample.units }];
  }

  async seen(kept) {
    const images = joined(kept.map(({ image }) => image));
    return (await this.network.run(images, ["features"], { whole: true })).features.data;
  }

  forget() {
    this.network.last = null;
    byId("forget").disabled = byId("export").disabled = true;
    say("Forgotten: it reads as before.");
    this.onTaught();
  }

  async save() {
    try {
      const url = URL.createObjectURL(await this.engine.taught(this.network.last));
      make("a", { href: url, download: "taught.onnx" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      say("Saved as taught.onnx. Every command takes it: digitnet read --model taught.onnx PICTURE");
    } catch (error) {
      say(`It could not be saved: ${error.message}`);
    }
  }
}

function say(text) {
  byId("teach-words").textContent = text;
}

function rowsOf(sample) {
  const row = (k) => ({ label: sample.labels[k], features: sample.features.subarray(k * sample.units, (k + 1) * sample.units) });
  const step = Math.floor(sample.train / REPEATED);
  const repeated = times(REPEATED, (k) => row(k * step));
  const guard = times(sample.labels.length - sample.train, (k) => row(sample.train + k));
  return { repeated, guard };
}

function heldBack(task, own, weight) {
  let [before, after] = [0, 0];
  for (let part = 0; part < ENOUGH; part++) {
    const [held, others] = [[], []];
    const seen = {};
    for (const example of task.examples) {
      seen[example.label] = (seen[example.label] ?? -1) + 1;
      (seen[example.label] % ENOUGH === part ? held : others).push(example);
    }
    if (!held.length) continue;
    const layer = trained(own, task, others, weight);
    before += rightOf(own, held);
    after += rightOf(layer, held);
  }
  return { before, after, count: task.examples.length };
}

function rightOf(layer, rows) {
  return rows.filter(({ label, features }) => argmax(scoresOf(layer, features)) === label).length;
}

function scoresOf({ weight, bias, units }, features) {
  return times(10, (digit) => {
    let score = bias[digit];
    for (let k = 0, at = digit * units; k < units; k++) score += weight[at + k] * features[k];
    return score;
  });
}

function chancesOf(layer, features) {
  const scores = scoresOf(layer, features);
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const all = sum(powers);
  return powers.map((power) => power / all);
}

/**
 * Return a last layer that learned from examples, and to say what it said of the sample (softmax regression from where
 * it was, by Adam; Kingma and Ba, ICLR 2015). The output for "none of them" stays as it is.
 */
function trained(own, { sample, units }, examples, share) {
  const layer = { weight: own.weight.slice(), bias: own.bias.slice(), units };
  const rows = [
    ...sample.repeated.map(({ features }) => ({ features, wanted: chancesOf(own, features), count: 1 / sample.repeated.length })),
    ...examples.map(({ label, features }) => ({ features, wanted: times(10, (digit) => digit === label), count: share / examples.length })),
  ];
  const size = 10 * units;
  const [first, second] = [new Float64Array(size + 10), new Float64Array(size + 10)];
  for (let step = 1; step <= STEPS; step++) {
    const slope = slopeOf(layer, rows);
    for (let k = 0; k < size; k++) slope[k] += HOLD * (layer.weight[k] - own.weight[k]);
    for (let k = 0; k < size + 10; k++) {
      first[k] = 0.9 * first[k] + 0.1 * slope[k];
      second[k] = 0.99 * second[k] + 0.01 * slope[k] ** 2;
      const move = (RATE * (first[k] / (1 - 0.9 ** step))) / (Math.sqrt(second[k] / (1 - 0.99 ** step)) + 1e-8);
      if (k < size) layer.weight[k] -= move;
      else layer.bias[k - size] -= move;
    }
  }
  return layer;
}

function slopeOf(layer, rows) {
  const { units } = layer;
  const slope = new Float64Array(10 * units + 10);
  for (const { features, wanted, count } of rows) {
    const chances = chancesOf(layer, features);
    for (let digit = 0; digit < 10; digit++) {
      const error = count * (chances[digit] - wanted[digit]);
      if (Math.abs(error) < 1e-9) continue;
      for (let k = 0, at = digit * units; k < units; k++) slope[at + k] += error * features[k];
      slope[10 * units + digit] += error;
    }
  }
  return slope;
}

function asTensors({ weight, bias, units }, own) {
  const outputs = own.bias.length;
  return {
    last_weight: { data: Float32Array.from(weight), dims: [outputs, units] },
    last_bias: { data: Float32Array.from(bias), dims: [outputs] },
  };
}
