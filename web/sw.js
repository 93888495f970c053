// The service worker: after a first visit, the page works without a connection. What it keeps belongs to one build, so a
// page never mixes two. BUILD is the build's folder, and FILES is its list of files; build.sh fills in both.
//
// A new build waits until the last page that an older one serves is closed (there is no `skipWaiting`). Until then, the older
// service worker and its cache stay, so that an open page finds its own worker.js when it tries again, although the server
// has only the new build's folder. Nothing is mixed meanwhile:
// * Scripts and program are in a folder named after their build, and each page asks for its own. Such a file never changes, so
//   it may come from the cache of any build, or from the server.
// * With a connection, a page opened meanwhile is that of the server, and names the new folder, which this worker leaves to the
//   server and to the cache in which the new build waits.
// * Without one, the page is that of this build's cache, and so are its folder and its models.
// Models and lessons have no build in their names: with a connection they are the server's, with or without a service worker.
const BUILD = 'BUILD';
const FILES = FILES_OF_BUILD;
const KEPT = `jempp ${BUILD}`;
const ROOT = new URL('./', location).pathname;

addEventListener('install', (event) => {
  // The browser has just loaded most of these files. Those in the build's folder never change, so they are not asked for again.
  const request = (file) => new Request(file, { cache: file.startsWith(BUILD) ? 'force-cache' : 'no-cache' });
  const keep = async () => {
    const cache = await caches.open(KEPT);
    await cache.addAll(FILES.map(request));
    // While a still newer build is being published, its page may be there first. Then the next visit tries again.
    const page = await (await cache.match('./')).text();
    if (!page.includes(`${BUILD}/`)) throw new Error('the page is of another build');
  };
  event.waitUntil(keep());
});

addEventListener('activate', (event) => {
  // No page that an older build serves is open any more.
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

/** What is kept, of whatever build; otherwise the answer of the server. */
const stored = async (request) => (await caches.match(request, { ignoreSearch: true })) ?? fetch(request);

/** Whether a path is in the folder of a build. */
const isOfBuild = (path) => path.startsWith(ROOT) && /^[0-9a-f]{12}\//.test(path.slice(ROOT.length));

addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin) return;
  event.respondWith(isOfBuild(pathname) ? stored(request) : fresh(request));
});
