/** The two engines, of one interface: the browser itself, or the service that sent the page. */

import { BrowserEngine } from "../reader/browser_engine.js";
import { lessons as C } from "../reader/constants.js";
import { signsOf } from "../reader/readings.js";

/** Return the engine that this page was built for. */
export function openEngine(onProgress) {
  const kind = document.querySelector('meta[name="engine"]').content;
  return kind === "browser" ? InBrowser.start(document.baseURI, onProgress) : InService.open();
}

class InBrowser extends BrowserEngine {
  kind = "browser";
  file = file;

  readStrokes(strokes, pen, options) {
    return super.readStrokes(strokes, { pen, ...options });
  }

  async layers(images, feeds, wanted) {
    this.own ??= this.lastLayer(feeds).catch((error) => {
      this.own = null;
      throw error;
    });
    const pixels = { data: Float32Array.from(images, (value) => value / 255), dims: [images.length / 784, 1, 28, 28] };
    return super.layers({ images: pixels, ...(await this.own), ...feeds }, wanted);
  }

  async lastLayer(feeds) {
    const { layers } = await (await this.file("layers.json")).json();
    const [outputs, units] = ["logits", "hidden"].map((name) => layers.find((layer) => layer.output === name).shape[0]);
    const blank = { images: zeros(1, 1, 28, 28), last_weight: zeros(outputs, units), last_bias: zeros(outputs) };
    const own = await super.layers({ ...blank, ...feeds }, ["weight_last", "bias_last"]);
    return { last_weight: own.weight_last, last_bias: own.bias_last };
  }

  async taught(last) {
    const content = new Uint8Array(await (await this.file("digitnet.onnx")).arrayBuffer());
    const own = await this.own;
    const letters = lettersOf(content);
    for (const name of ["last_weight", "last_bias"]) {
      const place = letters.indexOf(lettersOf(bytesOf(own[name].data)));
      if (place < 0) throw new Error("The model's last layer could not be found in its file.");
      content.set(bytesOf(last[name].data), place);
    }
    return new Blob([content, ...Object.entries({ taught: C.HOW_TAUGHT, taught_from: this.model.sha256 }).map(metadata)]);
  }
}

class InService {
  static async open() {
    const engine = new InService();
    engine.model = await (await asked("v1/model")).json();
    return engine;
  }

  kind = "service";
  file = file;
  last = Promise.resolve();

  read(source) {
    return readBy({ method: "POST", body: source });
  }

  readStrokes(strokes, pen, { live = false } = {}) {
    const mine = (this.newest = {});
    const ask = () => (live && this.newest !== mine ? null : readBy(json({ strokes, pen })));
    const answer = this.last.then(ask);
    // Whoever asked hears of a failure.
    this.last = answer.catch(() => {});
    return answer;
  }

  async layers(images, feeds, wanted) {
    const body = { images: base64(images), feeds: mapped(feeds, packed), wanted };
    const { outputs } = await (await asked("v1/layers", json(body))).json();
    return mapped(outputs, ({ dims, float32 }) => ({ dims, data: new Float32Array(bytes(float32).buffer) }));
  }

  async taught(last) {
    return (await asked("v1/taught", json(mapped(last, packed)))).blob();
  }
}

/** Return a file of `model/`. */
const file = (name) => asked(`model/${name}`);

async function asked(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), options);
  } catch {
    throw new Error("The service does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? `The service answered with status ${response.status}.`);
}

const json = (values) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(values),
});

async function readBy(options) {
  const reading = await (await asked("v1/read?images=1", options)).json();
  for (const digit of signsOf(reading)) digit.image = bytes(digit.image);
  return reading;
}

const mapped = (values, change) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
const packed = ({ data, dims }) => ({ dims, float32: base64(bytesOf(data)) });
const bytesOf = (data) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function base64(content) {
  let text = "";
  for (let at = 0; at < content.length; at += 0x8000) text += String.fromCharCode(...content.subarray(at, at + 0x8000));
  return btoa(text);
}

const zeros = (...dims) => ({ data: new Float32Array(dims.reduce((one, other) => one * other)), dims });

/** Return what says one thing more of a model: `metadata_props` of onnx.proto, which may come last. */
export function metadata(keyAndValue) {
  // Both are short, so that their lengths are bytes.
  const field = (number, content) => [8 * number + 2, content.length, ...content];
  const [key, value] = keyAndValue.map((text) => new TextEncoder().encode(text));
  return Uint8Array.from(field(14, [...field(1, key), ...field(2, value)]));
}

/** Return bytes as letters, one each. */
const lettersOf = (content) => new TextDecoder("latin1").decode(content);
