/** The path from picture to bars: the maps of every layer, and filters that can be switched off. */

import { cellAt, showMaps } from "./drawing.js";
import { aboutLayer, aboutOutcome } from "./words.js";

/** Maps in a row, and pixels to a cell, by the side of a map. */
const LAYOUT = { 28: [8, 2], 26: [8, 2], 14: [8, 4], 13: [8, 4], 7: [16, 4], 3: [24, 8] };

export class LayersView {
  constructor(place, network, onSwitch) {
    [this.network, this.onSwitch] = [network, onSwitch];
    this.cards = network.layers
      .filter((layer) => layer.output !== "logits")
      .map((layer) => new LayerCard(layer, this));
    place.replaceChildren(...this.cards.map((card) => card.element));
    this.columns = Array.from({ length: 10 }, (_, digit) => column(digit));
    byId("columns").replaceChildren(...this.columns.map(({ element }) => element));
    byId("all-on").addEventListener("click", () => this.switchAllOn());
  }

  async show(image) {
    this.image = image;
    const mine = (this.newest = {});
    const wanted = this.cards.map((card) => card.layer.output);
    const found = await this.network.run(image, [...wanted, "pixels", "probabilities"]);
    const whole = this.network.isWhole ? found : await this.network.run(image, ["probabilities"], { whole: true });
    if (this.newest !== mine) return;
    this.maps = found;
    for (const card of this.cards) card.show(found[card.layer.output]);
    this.showOutcome(whole.probabilities.data, found.probabilities.data);
  }

  showOutcome(before, after) {
    [this.before, this.after] = [before, after];
    const off = Object.values(this.network.off).reduce((sum, filters) => sum + filters.length, 0);
    this.columns.forEach(({ fill }, digit) => (fill.style.transform = `scaleY(${after[digit]})`));
    byId("outcome").textContent = aboutOutcome(before, after, off);
    byId("all-on").hidden = !off;
  }

  inputOf(card) {
    const before = this.cards[this.cards.indexOf(card) - 1];
    if (before) return this.maps[before.layer.output];
    return this.maps.pixels;
  }

  clearOutcome() {
    for (const { fill } of this.columns) fill.style.transform = "scaleY(0)";
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
    this.element = document.createElement("div");
    this.element.className = "layer";
    const title = document.createElement("h3");
    title.textContent = layer.name;
    const about = document.createElement("small");
    about.textContent = aboutLayer(layer);
    title.append(about);
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", `Maps of ${layer.name}`);
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${layer.name}: ${layer.shape[0]} maps`);
    scroll.append(this.canvas);
    this.panel = document.createElement("div");
    this.panel.className = "inspect";
    this.panel.hidden = true;
    this.element.append(title, scroll);
    [this.columns, this.zoom] = LAYOUT[layer.shape[1]] ?? [64, 8];
    this.reserve();
    if (layer.shape.length === 3) this.makeInspectable();
  }

  reserve() {
    const [count, height = 1, width = 1] = this.layer.shape;
    showMaps(this.canvas, { data: new Float32Array(count * height * width), dims: [1, count, height, width] }, this.columns, this.zoom);
  }

  makeInspectable() {
    this.canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.point(event));
    this.canvas.addEventListener("click", (event) => this.point(event));
    const pick = document.createElement("div");
    pick.className = "pick";
    const [count, height, width] = this.layer.shape;
    this.fields = [["Map", count], ["row", height], ["column", width]].map(([name, most]) => {
      const label = document.createElement("label");
      const field = Object.assign(document.createElement("input"), { type: "number", min: 1, max: most, value: Math.ceil(most / 2) });
      if (name === "Map") field.value = 1;
      field.addEventListener("input", () => this.typed());
      label.append(`${name} `, field);
      pick.append(label);
      return field;
    });
    if (this.layer.keep) {
      this.toggle = Object.assign(document.createElement("button"), { type: "button", textContent: "Switch this filter off" });
      this.toggle.addEventListener("click", () => this.cell && this.view.switch(this.layer, this.cell.map));
      pick.append(this.toggle);
    }
    this.sum = document.createElement("div");
    this.sum.className = "sum";
    this.panel.append(pick, this.sum);
    this.panel.hidden = false;
    this.element.append(this.panel);
    this.hint();
  }

  hint() {
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
      this.toggle.textContent = isOff ? "Switch this filter on" : "Switch this filter off";
      this.toggle.setAttribute("aria-pressed", String(isOff));
    }
  }

  point(event) {
    if (!this.maps) return;
    const cell = cellAt(this.canvas, event, this.maps, this.columns, this.zoom);
    if (!cell) return;
    [this.fields[0].value, this.fields[1].value, this.fields[2].value] = [cell.map + 1, cell.y + 1, cell.x + 1];
    this.choose(cell);
  }

  typed() {
    const [map, y, x] = this.fields.map((field) => Math.min(field.max, Math.max(1, Math.round(field.value) || 1)) - 1);
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
      this.sum.replaceChildren(table([four.slice(0, 2), four.slice(2)], "the four cells above it"), words(`The brightest of them stays: ${short(value)}.`));
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
    const [, channels, side] = weight.dims;
    // Zeros around the maps, if they keep their size.
    const reach = Math.max(0, (side - 1 - (input.dims[3] - this.layer.shape[2])) / 2);
    const sums = Array.from({ length: channels }, (_, channel) => {
      const pixels = [], weights = [];
      for (let k = 0; k < side * side; k++) {
        pixels.push(this.at(input, channel, y + Math.floor(k / side) - reach, x + (k % side) - reach));
        weights.push(weight.data[(map * channels + channel) * side * side + k]);
      }
      return { pixels, weights, total: pixels.reduce((sum, pixel, k) => sum + pixel * weights[k], 0) };
    });
    const best = sums.reduce((most, each, k) => (Math.abs(each.total) > Math.abs(sums[most].total) ? k : most), 0);
    const { pixels, weights, total } = sums[best];
    const others = sums.reduce((sum, each) => sum + each.total, 0) - total;
    const rows = (values) => Array.from({ length: side }, (_, k) => values.slice(k * side, (k + 1) * side));
    const from = channels === 1 ? "pixels, as the network takes them: black is below 0" : `cells of map ${best + 1}, which counts most`;
    const rest = channels === 1 ? "" : ` ${added(others)} from the other ${channels - 1} maps`;
    const before = total + others + bias;
    const off = (this.view.network.off[this.layer.keep] ?? []).includes(map);
    const after = off ? "0, because the filter is off" : before < 0 ? `below 0, so the cell stays dark: ${short(value)}` : short(value);
    this.sum.replaceChildren(
      table(rows(pixels), from),
      words("×"),
      table(rows(weights), "weights of this filter", true),
      words(`≈ ${short(total)}${rest} ${added(bias)} (bias) ≈ ${short(before)} → ${after}`),
    );
  }

  at({ data, dims: [, , height, width] }, map, y, x) {
    return y < 0 || x < 0 || y >= height || x >= width ? 0 : data[(map * height + y) * width + x];
  }
}

const byId = (id) => document.getElementById(id);

function column(digit) {
  const [element, track, fill] = ["li", "div", "div"].map((name) => document.createElement(name));
  [track.className, fill.className] = ["track", "fill"];
  track.append(fill);
  element.append(track, digit);
  return { element, fill };
}

const added = (value) => (value < 0 ? `− ${short(-value)}` : `+ ${short(value)}`);
const short = (value) => (Math.abs(value) < 0.005 ? "0" : value.toFixed(2).replace("-", "−"));

function words(text) {
  return Object.assign(document.createElement("span"), { textContent: text });
}

function table(rows, caption, signed = false) {
  const element = document.createElement("table");
  element.className = "grid9";
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
