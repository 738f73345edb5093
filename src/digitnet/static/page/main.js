/** The page: what is drawn or shown goes to the engine, and its answer to every part of the page. */

import { lineTexts, reader } from "../reader/constants.js";
import { signsOf } from "../reader/readings.js";
import { argmax, times } from "../reader/rounding.js";
import { Answer } from "./answer.js";
import { Damage } from "./damage.js";
import { button, byId, make } from "./elements.js";
import { openEngine } from "./engines.js";
import { keepOffline } from "../reader/offline.js";
import { LayersView } from "./layers_view.js";
import { Network } from "./network.js";
import { Pad } from "./pad.js";
import { Refusing } from "./refusing.js";
import { offerSamples } from "./samples.js";
import { listen } from "./sources.js";
import { Teach } from "./teach.js";
import { Why } from "./why.js";
import { one } from "./words.js";

/** Milliseconds that the pen must rest before the lessons follow. */
const REST = 200;
const PRIVACY = {
  browser: "Private: this browser reads by itself, and no drawing or picture leaves your machine.",
  service: "Drawings and pictures go to the service that this page comes from. It stores nothing.",
};

const told = document.documentElement.dataset;
let engine = null;
let lessons = null;
let opening = null;
let resting = 0;
/** Answers asked for, the last that is over, and since when others were skipped. */
let [asks, settled, skipped] = [0, 0, 0];
/** The picture on the paper as it came, a Blob. */
let picture = null;
let pictures = 0;
const pad = new Pad(byId("paper"), drawn);
const answer = new Answer(chosen);

byId("undo").onclick = () => pad.undo();
byId("clear").onclick = () => pad.clear();
byId("pen").oninput = byId("pen").onchange = ({ target, type }) => {
  pad.pen = Number(target.value);
  pad.changed(type === "input");
};
offerSamples(byId("samples"), pad);
byId("keep").replaceChildren(...times(10, keepButton));
listen(readPicture, problem);
// A lesson that fails must not be silent.
window.onunhandledrejection = ({ reason }) => problem(reason?.message ?? `${reason}`);
start();

async function start() {
  const bar = make("progress");
  byId("privacy").replaceChildren("Loading the reader, once: ", bar);
  try {
    engine = await openEngine(({ loaded: value, total: max }) => Object.assign(bar, { value, max }));
  } catch (error) {
    problem((byId("privacy").textContent = `The reader could not be started: ${error.message}`));
    return;
  }
  byId("privacy").textContent = PRIVACY[engine.kind];
  byId("model-words").textContent = `Its model: ${engine.model.sha256.slice(0, 12)}.`;
  told.ready = engine.kind;
  const near = new IntersectionObserver(([entry]) => entry.isIntersecting && openLessons(), { rootMargin: "300px" });
  near.observe(byId("lessons"));
  if (!pad.isEmpty) drawn(false);
  if (engine.kind === "browser" && (await keepOffline(document.baseURI))) {
    byId("privacy").textContent += " From now on it works without a network too.";
  }
}

function drawn(moving) {
  byId("pad-hint").hidden = !pad.isEmpty;
  byId("undo").disabled = byId("clear").disabled = pad.isEmpty;
  if (pad.picture) return;
  if (!pad.strokes.length) {
    begin();
    byId("speed").textContent = "";
  } else if (engine) {
    show(engine.readStrokes(pad.strokes, pad.pen, { live: moving }), moving ? "live" : "whole");
  }
}

function begin() {
  settled = ++asks;
  skipped = 0;
  told.state = "read";
  answer.reset();
}

async function readPicture(blob) {
  if (!engine) {
    problem("The reader is still loading. Show the picture again in a moment.");
    return;
  }
  const mine = ++pictures;
  try {
    const bitmap = await createImageBitmap(blob);
    if (mine !== pictures) return;
    pad.show(bitmap);
  } catch {
    problem("The browser cannot show this file: it is damaged or of another kind. Take a PNG, JPEG, WebP or GIF.");
    return;
  }
  picture = blob;
  begin();
  drawn(false);
  byId("verdict").textContent = "Reading …";
  await show(engine.read(blob), "whole", pad.placed);
}

function readAgain() {
  if (pad.picture) show(engine.read(picture), "whole", pad.placed);
  else drawn(false);
}

async function show(asked, name, placed) {
  const mine = ++asks;
  told.state = "reading";
  const started = performance.now();
  try {
    const reading = await asked;
    if (!reading) skipped ||= started;
    if (reading && lessons?.network.last) await rescore(reading);
    if (!reading || mine < settled) return;
    settled = mine;
    answer.show(reading, placed);
    performance.measure(name, { start: skipped || started });
    skipped = 0;
    performance.clearMeasures(name);
    byId("speed").textContent = `Answered in ${Math.max(1, Math.round(performance.now() - started))} ms.`;
  } catch (error) {
    if (mine >= settled) problem(error.message);
  } finally {
    if (mine === asks) told.state = "read";
  }
}

async function rescore(reading) {
  const signs = signsOf(reading);
  if (!signs.length) return;
  const judged = await lessons.network.judge(signs.map(({ image }) => image));
  const before = reading.text;
  for (const [k, { probabilities, score }] of judged.entries()) {
    const sign = signs[k];
    const digit = argmax(probabilities);
    // What was refused stays so, unless learning made another digit of it.
    if (sign.is_digit || digit !== argmax(sign.probabilities)) {
      const is_digit = score <= engine.model.ood_threshold;
      const reason = is_digit ? (probabilities[digit] < reader.AMBIGUOUS ? "ambiguous" : null) : "not_a_digit";
      Object.assign(sign, { digit, label: `${digit}`, is_digit, reason });
    }
    Object.assign(sign, { probabilities: [...probabilities], confidence: probabilities[sign.digit], ood_score: score });
  }
  for (const line of reading.lines) line.text = line.digits.map((sign) => (sign.is_digit ? sign.digit : "?")).join("");
  reading.text = reading.lines.map((line) => line.text).join("\n");
  if (reading.text === before) return;
  reading.confidence = signs.reduce((product, { confidence }) => product * confidence, 1);
  const digits = signs.some((sign) => sign.is_digit);
  reading.reason = digits ? (reading.confidence < lineTexts.LIKELY ? "uncertain" : null) : "no_digits";
}

function chosen(sign) {
  for (const button of byId("keep").children) button.disabled = !sign;
  clearTimeout(resting);
  told.lesson = "waiting";
  resting = setTimeout(() => follow(sign), REST);
}

async function follow(sign) {
  for (const each of document.querySelectorAll("#lessons .empty")) each.hidden = Boolean(sign);
  if (!lessons) return;
  const { network, layers, parts } = lessons;
  for (const part of parts) part.show(sign);
  try {
    await layers.show(sign?.image ?? new Uint8Array(784));
    if (!sign) layers.clearOutcome();
    if (!network.isWhole) showSwitched();
    told.lesson = "shown";
  } catch (error) {
    problem(error.message);
  }
}

function showSwitched() {
  const { isWhole } = lessons.network;
  const { before, after } = lessons.layers;
  if (answer.chosen) answer.showBars(isWhole ? answer.chosen.probabilities : after, isWhole ? null : before);
}

function openLessons() {
  return engine && (opening ??= makeLessons());
}

async function makeLessons() {
  try {
    const [network, refusing] = await Promise.all([Network.open(engine), Refusing.open(engine)]);
    const layers = new LayersView(byId("layers"), network, showSwitched);
    const teach = new Teach(engine, network, readAgain);
    lessons = { network, layers, teach, parts: [new Damage(network), refusing, new Why(engine, network)] };
    told.lessons = "ready";
  } catch (error) {
    opening = null;
    byId("inside-empty").hidden = false;
    problem((byId("inside-empty").textContent = `The layers cannot be shown: ${error.message}`));
    return;
  }
  follow(answer.chosen);
}

function keepButton(digit) {
  const keep = async () => {
    const sign = answer.chosen;
    await openLessons();
    if (!sign || !lessons?.teach) return;
    byId("kept").textContent = lessons.teach.keep(digit, sign);
    // The other digits of a number or a photo may be wanted too.
    if (answer.chosen === sign && answer.signs.length === 1 && !pad.picture) pad.clear();
  };
  return button(digit, keep, { disabled: true, "aria-label": `Keep it as an example of ${one(digit)}` });
}

function problem(words) {
  const verdict = byId("verdict");
  byId("speed").textContent = "";
  verdict.classList.add("error");
  verdict.textContent = words;
}
