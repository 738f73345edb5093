// Calls functions of the reader in JavaScript for a test in Python: JSON in, JSON out.
// [{module, name, arguments}, …] → [answer, …]; bytes travel as {bytes: base64}. A method's name is
// Class.method, and its first argument a list of those of the constructor.
import { readFileSync } from "node:fs";

const folder = new URL("../src/digitnet/static/reader/", import.meta.url);

function opened(value) {
  if (Array.isArray(value)) return value.map(opened);
  if (value === null || typeof value !== "object") return value;
  if ("bytes" in value) return new Uint8Array(Buffer.from(value.bytes, "base64"));
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, opened(each)]));
}

function closed(value) {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("base64") };
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (value instanceof Map) return closed([...value]);
  if (Array.isArray(value)) return value.map(closed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, closed(each)]));
}

const answers = [];
for (const { module, name, arguments: given } of JSON.parse(readFileSync(0, "utf8"))) {
  const [owner, method] = name.split(".");
  const called = (await import(new URL(module, folder)))[owner];
  const call = (one, ...rest) => (method ? new called(...one)[method](...rest) : called(one, ...rest));
  try {
    answers.push(closed(await call(...opened(given))));
  } catch (error) {
    answers.push({ error: error.name, message: error.message });
  }
}
process.stdout.write(JSON.stringify(answers));
