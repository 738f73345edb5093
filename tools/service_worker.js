/**
 * Keeps the page, so that it works without a network after the first visit.
 *
 * `tools/build_page.py` fills in which files there are, with their hashes. A new build is fetched
 * beside the old one, only the files that changed, and takes its place when no page of the old one
 * is open. What is not a file of the page is never answered, fetched or kept here.
 */

const FILES = "FILES";
const VERSION = "VERSION";
// Two pages of one host must not clear each other's files.
const PREFIX = `digitnet ${self.registration.scope} `;

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request);
  if (event.request.method === "GET" && path in FILES) event.respondWith(answer(path, event.request));
});

/** Return the name of the file that is asked for, relative to the page. */
function pathOf({ url }) {
  const { origin, pathname } = new URL(url);
  const base = new URL(self.registration.scope);
  if (origin !== base.origin || !pathname.startsWith(base.pathname)) return "";
  return pathname.slice(base.pathname.length) || "index.html";
}

async function keepAll() {
  const cache = await caches.open(PREFIX + VERSION);
  await Promise.all(Object.entries(FILES).map(([path, integrity]) => keep(cache, path, integrity)));
}

/** Keep a file: from an older build if it is the same there, else from the host, checked. */
async function keep(cache, path, integrity) {
  const key = `${path}?${encodeURIComponent(integrity)}`;
  const older = await caches.match(new URL(key, self.registration.scope));
  // A page that was just loaded is in the browser's own cache: it is asked whether it changed.
  const url = new URL(path, self.registration.scope);
  const response = older ?? (await fetch(url, { integrity, cache: "no-cache" }));
  if (!response.ok) throw new Error(`${path} could not be kept (status ${response.status}).`);
  await cache.put(new URL(key, self.registration.scope), response);
}

async function takeOver() {
  const names = await caches.keys();
  const older = names.filter((name) => name.startsWith(PREFIX) && name !== PREFIX + VERSION);
  await Promise.all(older.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(path, request) {
  const cache = await caches.open(PREFIX + VERSION);
  const key = new URL(`${path}?${encodeURIComponent(FILES[path])}`, self.registration.scope);
  return (await cache.match(key)) ?? fetch(request);
}
