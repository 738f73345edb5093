/** "When should it refuse?": the limit of strangeness, and what it would refuse of many signs. */

import { chart, colour, curve, upright } from "./drawing.js";
import { byId } from "./elements.js";

const BINS = 60;

export class Refusing {
  static async open(engine) {
    return new Refusing(await (await engine.file("scores.json")).json());
  }

  constructor(scores) {
    this.scores = scores;
    const all = [...scores.digits, ...scores.hands, ...scores.letters].sort((a, b) => a - b);
    [this.least, this.most] = [all[0], all[Math.floor(0.995 * all.length)]];
    this.field = byId("limit");
    this.field.oninput = () => {
      this.limit = this.least + ((this.most - this.least) * this.field.value) / 200;
      this.paint();
    };
    byId("limit-back").onclick = () => this.back();
    this.back();
  }

  back() {
    // The field takes whole steps only.
    this.limit = this.scores.threshold;
    this.field.value = (200 * (this.limit - this.least)) / (this.most - this.least);
    this.paint();
  }

  show(sign) {
    this.sign = sign;
    this.paint();
  }

  paint() {
    const { limit } = this;
    const said = limit.toFixed(1).replace("-", "−");
    byId("limit-value").textContent = said;
    this.field.setAttribute("aria-valuetext", said);
    const canvas = byId("histogram");
    const { context, area } = chart(canvas, "strangeness →", "how many");
    const share = (score) => Math.min(1, Math.max(0, (score - this.least) / (this.most - this.least)));
    for (const [name, stroke] of [["letters", "orange"], ["hands", "soft"], ["digits", "blue"]]) {
      curve(context, area, this.histogram(this.scores[name], share), colour(stroke));
    }
    upright(context, area, share(limit), colour("ink"), "limit");
    if (this.sign) upright(context, area, share(this.sign.ood_score), colour("blue"), "yours");
    const words = this.sentence(limit);
    byId("limit-words").textContent = words;
    canvas.setAttribute("aria-label", `Strangeness of digits and letters. ${words}`);
  }

  histogram(scores, share) {
    const counts = new Array(BINS).fill(0);
    for (const score of scores) counts[Math.min(BINS - 1, Math.floor(share(score) * BINS))] += 1;
    const largest = Math.max(...counts);
    return counts.map((count) => (0.95 * count) / largest);
  }

  sentence(limit) {
    const refused = (name) => {
      const scores = this.scores[name];
      const count = scores.filter((score) => score > limit).length;
      return `${count.toLocaleString("en")} of ${scores.length.toLocaleString("en")}`;
    };
    const yours = this.sign ? ` Yours would be ${this.sign.ood_score > limit ? "refused" : "accepted"}.` : "";
    return (
      `This limit refuses ${refused("digits")} of MNIST’s digits, ${refused("hands")} of new writers’ digits, ` +
      `and ${refused("letters")} of the same writers’ letters.${yours}`
    );
  }
}
