/** The page without a network: asks the browser to keep all of it, as `make page` built it. */

/**
 * Return when everything is kept, `true`, or `false` where this browser or address cannot: pages
 * over plain http, except of this machine, have no service workers.
 *
 * @param baseUrl the folder with `service-worker.js`
 */
export async function keepOffline(baseUrl) {
  if (!navigator.serviceWorker) return false;
  const scope = new URL(".", baseUrl).href;
  try {
    await navigator.serviceWorker.register(new URL("service-worker.js", scope), { scope });
    await navigator.serviceWorker.ready;
    return true;
  } catch {
    return false;
  }
}
