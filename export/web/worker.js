// Service worker: keeps the page, its models and the runtime's wasm in a cache, so that it opens without a network.
// Caches belong to an origin, not to a page: the name holds the page's own address, and no other page's is touched.
const OWN = `edgegan ${self.registration.scope} `;
const CACHE = `${OWN}@VERSION@`;
const RUNTIME = `${self.registration.scope}vendor/`; // the one wasm variant that this browser loads is kept when it comes

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const list = await (await fetch("files.json", {cache: "no-store"})).json();
    const cache = await caches.open(CACHE);
    const files = ["./", "files.json", ...list.files].map((name) => new Request(name, {cache: "reload"}));
    await cache.addAll(files);
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(OWN) && name !== CACHE) await caches.delete(name);
    }
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const {method, url} = event.request;
  if (method !== "GET" || !url.startsWith(self.registration.scope)) return;
  event.respondWith((async () => {
    const cache = await caches.open(CACHE);
    const kept = await cache.match(event.request, {ignoreSearch: true, ignoreVary: true});
    if (kept) return kept;
    const answer = await fetch(event.request);
    if (answer.ok && url.startsWith(RUNTIME)) await cache.put(event.request, answer.clone());
    return answer;
  })());
});
