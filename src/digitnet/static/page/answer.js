/** The answer beside the paper: the number as buttons, the verdict, the chosen digit and its bars. */

import { times } from "../reader/rounding.js";
import { signsOf } from "../reader/readings.js";
import { showDigit } from "./drawing.js";
import { byId, make } from "./elements.js";
import { inDoubt, likeliest, percent, verdict } from "./words.js";

export class Answer {
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.reading = this.chosen = null;
    this.signs = [];
    this.bars = times(10, (digit) => new Bar(digit));
    byId("bars").replaceChildren(...this.bars.map((bar) => bar.element));
    byId("text").onclick = ({ target }) => target.dataset.sign && this.choose(Number(target.dataset.sign));
    this.show(null);
  }

  show(reading, placed = { scale: 1, left: 0, top: 0 }) {
    [this.reading, this.placed] = [reading, placed];
    this.signs = reading ? signsOf(reading) : [];
    const last = this.signs.findLastIndex((sign) => sign.is_digit);
    const kept = this.picked < this.signs.length ? this.picked : last;
    this.showText();
    this.choose(kept >= 0 ? kept : this.signs.length - 1, { picked: false });
  }

  reset() {
    this.picked = NaN;
    this.show(null);
  }

  choose(number, { picked = true } = {}) {
    if (picked) this.picked = number;
    this.chosen = this.signs[number] ?? null;
    for (const [place, button] of byId("text").querySelectorAll("button").entries()) {
      button.setAttribute("aria-pressed", String(place === number));
    }
    byId("verdict").textContent = verdict(this.reading, this.chosen);
    byId("verdict").classList.remove("error");
    byId("verdict").dataset.doubt = inDoubt(this.reading);
    this.showSeen();
    this.showBars(this.chosen?.probabilities ?? null);
    this.mark();
    this.onChoose(this.chosen);
  }

  showText() {
    const parts = [];
    let number = 0;
    for (const [place, line] of (this.reading?.lines ?? []).entries()) {
      if (place) parts.push(make("span", { className: "line-break" }));
      for (const sign of line.digits) {
        const name = sign.is_digit ? `Digit ${sign.digit}` : "A sign that is no digit";
        const button = make("button", { textContent: sign.is_digit ? sign.digit : "?", "aria-label": `${name}, number ${number + 1}` });
        button.dataset.sign = number++;
        if (sign.reason || inDoubt(this.reading)) button.className = "doubtful";
        parts.push(button);
      }
    }
    byId("text").replaceChildren(...parts);
  }

  showSeen() {
    const canvas = byId("seen");
    showDigit(canvas, this.chosen?.image ?? new Uint8Array(784));
    const what = this.chosen ? `a digit that it reads as ${likeliest(this.chosen)[0]}` : "nothing yet";
    canvas.setAttribute("aria-label", `What the network sees: ${what}`);
  }

  showBars(probabilities, before = null) {
    const best = probabilities ? likeliest({ probabilities })[0] : -1;
    for (const bar of this.bars) bar.show(probabilities?.[bar.digit] ?? null, bar.digit === best, before?.[bar.digit]);
  }

  mark() {
    const { scale, left, top } = this.placed;
    const boxed = this.signs.filter((sign) => sign.box);
    const rects = boxed.map((sign) => {
      const [x, y] = [left + sign.box.left * scale - 3, top + sign.box.top * scale - 3];
      const [width, height] = [sign.box.width * scale + 6, sign.box.height * scale + 6];
      const kind = (sign.is_digit ? "" : "other ") + (sign === this.chosen ? "chosen" : "");
      return `<rect x="${x}" y="${y}" width="${width}" height="${height}" class="${kind}"/>`;
    });
    byId("marks").innerHTML = rects.join("");
  }
}

class Bar {
  constructor(digit) {
    this.digit = digit;
    [this.fill, this.before] = ["fill", "before"].map((className) => make("div", { className }));
    this.value = make("span", { className: "value" });
    const track = make("div", { className: "track", "aria-hidden": "true" }, this.fill, this.before);
    this.element = make("li", {}, make("span", {}, digit), track, this.value);
    this.show(null, false);
  }

  show(share, isBest, before) {
    this.element.className = isBest ? "best" : "";
    this.fill.style.transform = `scaleX(${share ?? 0})`;
    this.before.hidden = before == null;
    if (before != null) this.before.style.left = `calc(${100 * before}% - 1px)`;
    const words = share == null ? "–" : percent(share);
    if (this.value.textContent !== words) this.value.textContent = words;
  }
}

