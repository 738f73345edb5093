/** The path from picture to bars: the maps of every layer, and filters that can be switched off. */

import { argmax, clip, sum, times } from "../reader/rounding.js";
import { cellAt, showMaps } from "./drawing.js";
import { button, byId, make } from "./elements.js";
import { aboutLayer, aboutOutcome } from "./words.js";

/** Maps in a row, and pixels to a cell, of maps that have so many cells at a side, or more. */
const LAYOUTS = [[18, 8, 2], [8, 8, 4], [5, 16, 4], [4, 16, 8], [2, 24, 8], [1, 64, 8]];

export class LayersView {
  constructor(place, network, onSwitch) {
    [this.network, this.onSwitch] = [network, onSwitch];
    this.cards = network.layers
      .filter((layer) => layer.output !== "logits")
      .map((layer) => new LayerCard(layer, this));
    place.replaceChildren(...this.cards.map((card) => card.element), network.unshown);
    this.fills = times(10, () => make("div", { className: "fill" }));
    byId("columns").replaceChildren(...this.fills.map((fill, digit) => make("li", {}, make("div", { className: "track" }, fill), digit)));
    byId("all-on").onclick = () => this.switchAllOn();
  }

  async show(image) {
    this.image = image;
    const mine = (this.newest = {});
    const wanted = this.cards.map((card) => card.layer.output);
    if (wanted.length) wanted.push("pixels");
    const found = await this.network.run(image, [...wanted, "probabilities"]);
    const whole = this.network.isWhole ? found : await this.network.run(image, ["probabilities"], { whole: true });
    if (this.newest !== mine) return;
    this.maps = found;
    for (const card of this.cards) card.show(found[card.layer.output]);
    this.showOutcome(whole.probabilities.data, found.probabilities.data);
  }

  showOutcome(before, after) {
    [this.before, this.after] = [before, after];
    const off = Object.values(this.network.off).flat().length;
    this.fills.forEach((fill, digit) => (fill.style.transform = `scaleY(${after[digit]})`));
    byId("outcome").textContent = aboutOutcome(before, after, off);
    byId("all-on").hidden = !off;
  }

  inputOf(card) {
    const before = this.cards[this.cards.indexOf(card) - 1];
    return this.maps[before ? before.layer.output : "pixels"];
  }

  clearOutcome() {
    for (const fill of this.fills) fill.style.transform = "scaleY(0)";
    byId("outcome").textContent = "";
  }

  async switch(layer, filter) {
    const off = (this.network.off[layer.keep] ??= []);
    const place = off.indexOf(filter);
    if (place >= 0) off.splice(place, 1);
    else off.push(filter);
    await this.showSwitched();
  }

  async switchAllOn() {
    this.network.off = {};
    await this.showSwitched();
  }

  async showSwitched() {
    try {
      await this.show(this.image);
      this.onSwitch();
    } catch (error) {
      byId("outcome").textContent = error.message;
    }
  }
}

class LayerCard {
  constructor(layer, view) {
    [this.layer, this.view] = [layer, view];
    this.cell = null;
    const [count, side = 1] = layer.shape;
    this.canvas = make("canvas", { role: "img", "aria-label": `${layer.name}: ${count} maps` });
    this.element = make(
      "div",
      { className: "layer" },
      make("h3", {}, layer.name, make("small", { textContent: aboutLayer(layer) })),
      make("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": `Maps of ${layer.name}` }, this.canvas),
    );
    [, this.columns, this.zoom] = LAYOUTS.find(([least]) => side >= least);
    this.reserve();
    if (layer.shape.length === 3) this.makeInspectable();
  }

  reserve() {
    const [count, height = 1, width = 1] = this.layer.shape;
    showMaps(this.canvas, { data: new Float32Array(count * height * width), dims: [1, count, height, width] }, this.columns, this.zoom);
  }

  makeInspectable() {
    this.canvas.onpointermove = (event) => event.pointerType === "mouse" && this.point(event);
    this.canvas.onclick = (event) => this.point(event);
    const pick = make("div", { className: "pick" });
    const [count, height, width] = this.layer.shape;
    this.fields = [["Map", count], ["row", height], ["column", width]].map(([name, most]) => {
      const value = name === "Map" ? 1 : Math.ceil(most / 2);
      const field = make("input", { type: "number", min: 1, max: most, value, oninput: () => this.typed() });
      pick.append(make("label", {}, `${name} `, field));
      return field;
    });
    if (this.layer.keep) {
      this.toggle = button("Switch this filter off", () => this.cell && this.view.switch(this.layer, this.cell.map));
      pick.append(this.toggle);
    }
    this.sum = make("div", { className: "sum" });
    this.element.append(make("div", { className: "inspect" }, pick, this.sum));
    this.sum.textContent = "Point at a cell, or choose one by its numbers, to see how it was made.";
  }

  show(maps) {
    this.maps = maps.dims.length === 2 ? { data: maps.data, dims: [1, maps.dims[1], 1, 1] } : maps;
    this.paint();
    if (this.cell) this.inspect();
  }

  paint() {
    const off = this.view.network.off[this.layer.keep] ?? [];
    showMaps(this.canvas, this.maps, this.columns, this.zoom, { off, marked: this.cell });
    if (this.toggle && this.cell) {
      const isOff = off.includes(this.cell.map);
      this.toggle.textContent = `Switch this filter ${isOff ? "on" : "off"}`;
    }
  }

  point(event) {
    if (!this.maps) return;
    const cell = cellAt(this.canvas, event, this.maps, this.columns, this.zoom);
    if (!cell) return;
    [cell.map, cell.y, cell.x].forEach((at, k) => (this.fields[k].value = at + 1));
    this.choose(cell);
  }

  typed() {
    const [map, y, x] = this.fields.map((field) => clip(Math.round(field.value), 1, field.max) - 1);
    if (this.maps) this.choose({ map, y, x });
  }

  choose(cell) {
    this.cell = cell;
    this.paint();
    this.inspect();
  }

  async inspect() {
    const cell = this.cell;
    const value = this.at(this.maps, cell.map, cell.y, cell.x);
    const input = this.view.inputOf(this);
    if (this.layer.kind === "pooling") {
      const four = [0, 1, 2, 3].map((k) => this.at(input, cell.map, 2 * cell.y + (k >> 1), 2 * cell.x + (k & 1)));
      const largest = Math.max(...four);
      const becomes = short(largest) === short(value) ? "" : `, and becomes ${short(value)}`;
      this.sum.replaceChildren(table([four.slice(0, 2), four.slice(2)], "the four cells above it"), words(`The brightest of them stays: ${short(largest)}${becomes}.`));
      return;
    }
    if (this.layer.kind === "weighing") {
      const before = this.at(input, cell.map, cell.y, cell.x);
      this.sum.replaceChildren(words(before ? `Every cell of this map is multiplied by ${short(value / before)}: ${short(before)} becomes ${short(value)}.` : "0 stays 0."));
      return;
    }
    try {
      const { weight, bias } = await this.view.network.weightsOf(this.layer);
      if (this.cell === cell) this.explainSum(input, weight, bias.data[cell.map], value);
    } catch (error) {
      this.sum.textContent = error.message;
    }
  }

  explainSum(input, weight, bias, value) {
    const { map, y, x } = this.cell;
    const [, channels] = weight.dims;
    const { side, stride, padding, adds } = this.layer;
    const [top, left] = [y * stride - padding, x * stride - padding];
    const sums = times(channels, (channel) => {
      const pixels = [], weights = [];
      for (let k = 0; k < side * side; k++) {
        pixels.push(this.at(input, channel, top + Math.floor(k / side), left + (k % side)));
        weights.push(weight.data[(map * channels + channel) * side * side + k]);
      }
      return { pixels, weights, total: sum(pixels.map((pixel, k) => pixel * weights[k])) };
    });
    const best = argmax(sums.map((each) => Math.abs(each.total)));
    const { pixels, weights, total } = sums[best];
    const others = sum(sums.map((each) => each.total)) - total;
    const rows = (values) => times(side, (k) => values.slice(k * side, (k + 1) * side));
    const from = channels === 1 ? "pixels, as the network takes them: black is below 0" : `cells of map ${best + 1}, which counts most`;
    const rest = channels === 1 ? "" : ` ${added(others)} from the other ${channels - 1} maps`;
    const own = adds ? this.at(input, map, y, x) : 0;
    const kept = adds ? ` ${added(own)} (what was there)` : "";
    const before = total + others + bias + own;
    const off = (this.view.network.off[this.layer.keep] ?? []).includes(map);
    const after = off ? "0, because the filter is off" : before < 0 ? `below 0, so the cell stays dark: ${short(value)}` : short(value);
    this.sum.replaceChildren(
      table(rows(pixels), from),
      words("×"),
      table(rows(weights), "weights of this filter", true),
      words(`≈ ${short(total)}${rest} ${added(bias)} (bias)${kept} ≈ ${short(before)} → ${after}`),
    );
  }

  at({ data, dims: [, , height, width] }, map, y, x) {
    return y < 0 || x < 0 || y >= height || x >= width ? 0 : data[(map * height + y) * width + x];
  }
}

const added = (value) => (value < 0 ? `− ${short(-value)}` : `+ ${short(value)}`);
const short = (value) => (Math.abs(value) < 0.005 ? "0" : value.toFixed(2).replace("-", "−"));

const words = (text) => make("span", { textContent: text });

function table(rows, caption, signed = false) {
  const element = make("table", { className: "grid9" });
  element.createCaption().textContent = caption;
  for (const row of rows) {
    const line = element.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = short(value);
      if (signed && Math.abs(value) > 0.05) cell.className = value > 0 ? "up" : "down";
    }
  }
  return element;
}
