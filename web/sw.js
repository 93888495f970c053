// The service worker: after a first visit, the page works without a connection. What it keeps belongs to one build, so a
// page never mixes two. BUILD is the build's folder, and FILES is its list of files; build.sh fills in both.
const BUILD = 'BUILD';
const FILES = FILES_OF_BUILD;
const KEPT = `jempp ${BUILD}`;

addEventListener('install', (event) => {
  // The browser has just loaded most of these files. Those in the build's folder never change, so they are not asked for again.
  const request = (file) => new Request(file, { cache: file.startsWith(BUILD) ? 'force-cache' : 'no-cache' });
  const keep = async () => (await caches.open(KEPT)).addAll(FILES.map(request));
  event.waitUntil(keep().then(() => skipWaiting()));
});

addEventListener('activate', (event) => {
  const tidy = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith('jempp ') && name !== KEPT).map((name) => caches.delete(name)));
  };
  event.waitUntil(tidy().then(() => clients.claim()));
});

/** The answer of the server; without a connection, what is kept. */
async function fresh(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, { cacheName: KEPT, ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

/** What is kept; otherwise the answer of the server. */
const stored = async (request) => (await caches.match(request, { cacheName: KEPT, ignoreSearch: true })) ?? fetch(request);

addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin) return;
  // Files in the build's folder never change. All others may belong to a newer build.
  event.respondWith(pathname.includes(`/${BUILD}/`) ? stored(request) : fresh(request));
});
