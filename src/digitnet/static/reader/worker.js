/**
 * The worker that owns the model: it loads the runtime and the file, and is asked one call at a time.
 *
 * A message in is `{name, argument}`, one out `{answer}`, `{error: {name, message}}` or, while it
 * starts, `{progress: {loaded, total}}`. It fetches from the folder of the page alone.
 */

import { modelFile as C } from "./constants.js";
import { InputError } from "./errors.js";
import { ModelFile, rowsOf } from "./model_file.js";
import { load } from "./pictures.js";
import { Reader } from "./reader.js";
import { blank } from "./views.js";

const RUNTIME = { script: "runtime/ort.wasm.bundle.min.mjs", wasm: "runtime/ort-wasm-simd-threaded.wasm" };
let base, ort, reader, record, lines;
let layers = null;

const calls = {
  start,
  layers: runLayers,
  read: async (source) => reader.read(await load(source)),
  readStrokes: ({ strokes, pen, live }) => reader.readStrokes(strokes, pen, live),
  predict: async (source) => reader.predict(await load(source)),
  predictStrokes: (strokes) => reader.predictStrokes(strokes),
  predictInk: (ink) => reader.predictInk(ink),
};

self.onmessage = async ({ data: { name, argument } }) => {
  try {
    if (!Object.hasOwn(calls, name)) throw new InputError(`The reader has no call "${name}".`);
    self.postMessage({ answer: await calls[name](argument) });
  } catch (error) {
    self.postMessage({ error: { name: error.name, message: error.message } });
  }
};

/** Load runtime and model from a folder; return what the model says about itself. */
async function start(folder) {
  base = folder;
  record = await (await fetched("model/digitnet.json")).json();
  if (record.format !== C.FORMAT || record.format_version !== C.FORMAT_VERSION) {
    throw new Error(`model/digitnet.json is not of format ${C.FORMAT} ${C.FORMAT_VERSION}.`);
  }
  const total = record.runtime.bytes + record.bytes + record.lines.bytes;
  let loaded = 0;
  const report = (bytes) => self.postMessage({ progress: { loaded: (loaded += bytes), total } });
  const [wasm, content, lineReader] = await Promise.all([
    bytesOf(RUNTIME.wasm, record.runtime, report),
    bytesOf("model/digitnet.onnx", record, report),
    bytesOf("model/lines.onnx", record.lines, report),
  ]);
  ort = await import(new URL(RUNTIME.script, base).href);
  Object.assign(ort.env.wasm, { numThreads: 1, proxy: false, wasmBinary: wasm });
  ort.env.logLevel = "error";
  lines = await sessionOf(lineReader);
  reader = new Reader(new ModelFile(await sessionOf(content), ort.Tensor, record), columnsOf);
  // The first run of each kind is slow: what it needs is compiled then.
  await reader.predictInk(blank(1));
  return record;
}

/** Return the columns of a strip, see `line_strips`, as the line reader sees them. */
async function columnsOf({ pixels, width }) {
  const dims = [1, 1, pixels.length / width, width];
  const strip = new ort.Tensor("float32", Float32Array.from(pixels), dims);
  return rowsOf((await lines.run({ strip }, ["columns"])).columns).map((row) => [...row]);
}

function sessionOf(content) {
  return ort.InferenceSession.create(content, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
}

async function fetched(path) {
  const response = await fetch(new URL(path, base));
  if (!response.ok) throw new Error(`${path} could not be loaded (status ${response.status}).`);
  return response;
}

/** Return a file as it is recorded, and report how many bytes came; refuse it damaged. */
async function bytesOf(path, { bytes, sha256 }, report = () => {}) {
  const response = await fetched(path);
  const stream = response.body.getReader();
  const content = new Uint8Array(bytes);
  let at = 0;
  for (let { value } = await stream.read(); value; ({ value } = await stream.read())) {
    if (at + value.length <= bytes) content.set(value, at);
    at += value.length;
    report(value.length);
  }
  if (at !== bytes) throw new Error(`${path} has not the ${bytes} bytes that model/digitnet.json says.`);
  // Pages over plain http, except of this machine, have no hashing.
  if (!sha256 || !self.crypto.subtle) return content;
  const digest = new Uint8Array(await self.crypto.subtle.digest("SHA-256", content));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Error(`${path} is damaged: its SHA-256 is not the recorded one.`);
  return content;
}

/**
 * Run the second model, `model/layers.onnx`, if the build has it; it is loaded at the first call.
 *
 * `feeds` are arrays by name, `{data: Float32Array, dims}`; so is what is returned, for each name
 * that is wanted.
 */
async function runLayers({ feeds, wanted }) {
  if (!record.layers) throw new Error("This build has no model of layers, model/layers.onnx.");
  layers ??= openLayers().catch((error) => {
    layers = null;
    throw error;
  });
  const session = await layers;
  const tensors = Object.entries(feeds).map(([name, { data, dims }]) => [
    name,
    new ort.Tensor("float32", data, dims),
  ]);
  const answers = await session.run(Object.fromEntries(tensors), wanted);
  return Object.fromEntries(
    wanted.map((name) => [name, { data: answers[name].data, dims: [...answers[name].dims] }]),
  );
}

async function openLayers() {
  return sessionOf(await bytesOf("model/layers.onnx", record.layers));
}
