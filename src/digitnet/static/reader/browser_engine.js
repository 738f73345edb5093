/** The engine of the page in private mode: a worker in the browser reads, and no picture leaves it. */

export class BrowserEngine {
  /** Return an engine that is ready, of the folder with `runtime/` and `model/`. */
  static async start(baseUrl, onProgress = () => {}) {
    const engine = new this(onProgress);
    try {
      engine.model = await engine.run("start", new URL(".", baseUrl).href);
    } catch (error) {
      engine.stop();
      throw error;
    }
    return engine;
  }

  constructor(onProgress) {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.progress) onProgress(data.progress);
      else this.finish(data);
    };
    this.worker.onerror = () => this.fail("The reader could not be started in this browser.");
    this.running = null;
    this.waiting = [];
  }

  /** Return all that is written in a `Blob`, or in `{pixels, width, height}` with RGBA bytes. */
  read(source, options) {
    return this.run("read", source, options);
  }

  /** Return all that is written with strokes, see `Reader.readStrokes`. */
  readStrokes(strokes, { pen = null, ...options } = {}) {
    return this.run("readStrokes", { strokes, pen, ...options }, options);
  }

  predict(source, options) {
    return this.run("predict", source, options);
  }

  predictStrokes(strokes, options) {
    return this.run("predictStrokes", strokes, options);
  }

  predictInk(ink, options) {
    return this.run("predictInk", ink, options);
  }

  /** Return outputs of `model/layers.onnx` by name, `{data, dims}`; so are its `feeds`. */
  layers(feeds, wanted, options) {
    return this.run("layers", { feeds, wanted }, options);
  }

  /**
   * Return what the worker answers to a call by name, one call after the other.
   *
   * @param live a newer live call makes this one, unless it runs, resolve to null; one quick look
   */
  run(name, argument, { live = false } = {}) {
    if (!this.worker) return Promise.reject(new Error("The reader was stopped."));
    if (live) {
      for (const call of this.waiting.filter((each) => each.live)) call.resolve(null);
      this.waiting = this.waiting.filter((each) => !each.live);
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ name, argument, live, resolve, reject });
      this.next();
    });
  }

  next() {
    if (this.running || !this.waiting.length) return;
    this.running = this.waiting.shift();
    const { name, argument } = this.running;
    try {
      this.worker.postMessage({ name, argument });
    } catch (error) {
      this.finish({ error: { name: "InputError", message: `${error.message}` } });
    }
  }

  finish({ answer, error }) {
    const { resolve, reject } = this.running;
    this.running = null;
    if (error) reject(Object.assign(new Error(error.message), { name: error.name }));
    else resolve(answer);
    this.next();
  }

  stop() {
    this.fail("The reader was stopped.");
  }

  fail(message) {
    this.worker?.terminate();
    this.worker = null;
    for (const call of [this.running, ...this.waiting]) call?.reject(new Error(message));
    [this.running, this.waiting] = [null, []];
  }
}
