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
// * Without one, or if the server fails or is slow, the page is that of this build's cache, and so are its folder and its models.
// Models and lessons have no build in their paths. So a page names its build in the query, and the caches know them by it.
const BUILD = 'BUILD';
const FILES = FILES_OF_BUILD;
const ROOT = new URL('./', location).pathname;
// Other pages of this origin may be jempp too, below another path: caches belong to the origin.
const KEPT = `jempp ${ROOT} ${BUILD}`;
/** The longest time that the server has to answer, in ms, where something is kept. */
const PATIENCE = 4000;

addEventListener('install', (event) => {
  // The browser has just loaded most of these files. Those in the build's folder never change, so they are not asked for again.
  // Models and lessons are asked for as the page does.
  const url = (file) => (file.startsWith('assets/') ? `${file}?build=${BUILD}` : file);
  const request = (file) => new Request(url(file), { cache: file.startsWith(BUILD) ? 'force-cache' : 'no-cache' });
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
    // Older builds did not write the path.
    const isOld = (name) => name !== KEPT && (name.startsWith(`jempp ${ROOT} `) || /^jempp [0-9a-f]{12}$/.test(name));
    const names = await caches.keys();
    await Promise.all(names.filter(isOld).map((name) => caches.delete(name)));
  };
  event.waitUntil(tidy().then(() => clients.claim()));
});

/** The answer of the server; if none comes soon, or the server fails, what is kept. */
async function fresh(request) {
  const kept = await caches.match(request, { cacheName: KEPT, ignoreSearch: true });
  const answer = fetch(request);
  if (!kept) return answer;
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
  const first = await Promise.race([answer.catch(() => null), late]);
  return first && first.status < 500 ? first : kept;
}

/** What is kept, of whatever build; otherwise the answer of the server. */
const stored = async (request, options) => (await caches.match(request, options)) ?? fetch(request);

/** Whether a path is in the folder of a build. */
const isOfBuild = (path) => path.startsWith(ROOT) && /^[0-9a-f]{12}\//.test(path.slice(ROOT.length));

addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname, searchParams } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin) return;
  if (isOfBuild(pathname)) event.respondWith(stored(request, { ignoreSearch: true }));
  else event.respondWith(searchParams.has('build') ? stored(request) : fresh(request));
});
