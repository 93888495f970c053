// The page: it reports missing features, shows the progress of loading, and starts the worker and the viewer.
import { allFiles, filesOf } from './files.js';
import { host, keptName, wait } from './host.js';
import sizes from './sizes.js';

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const model = `assets/${query.get('model') ?? 'fashion'}.planes`;
/** The watch of start.js, which may be missing, or come late: if it comes when all is over, it finds this and does nothing. */
const start = {
  goesOn: () => globalThis.jemppStart?.goesOn(),
  over: () => (globalThis.jemppStart ??= { goesOn() {}, over() {} }).over(),
};

// The smallest module that only an engine with SIMD accepts: a function that returns a 128-bit vector.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

function whatIsMissing() {
  const missing = [];
  if (typeof WebAssembly !== 'object') missing.push('WebAssembly, which runs the program');
  else if (!WebAssembly.validate(new Uint8Array(SIMD))) missing.push('SIMD in WebAssembly, which makes the arithmetic fast');
  // The viewer draws with the same context: a second one would take time.
  if (!byId('canvas').getContext('webgl2')) missing.push('WebGL 2, which draws the page');
  return missing;
}

/** Replaces the page with a message, as text only, because reasons may contain parts of a file or a link. */
function showInstead(id, title, paragraphs) {
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  byId(id).replaceChildren(element('h1', title), ...paragraphs.map(([name, text]) => element(name, text)));
  for (const other of document.querySelectorAll('main, .unseen, canvas')) other.hidden = other.id !== id;
  document.title = `jempp: ${title}`;
  start.over();
}

const workers = [];
let isReady = false;
let hasFailed = false;

function fail(reason) {
  // Later failures are consequences of the first one.
  if (hasFailed) return;
  hasFailed = true;
  for (const worker of workers) worker.terminate();
  const text = String(reason?.message ?? reason);
  // What a measurement has found stays: it covers the page.
  if (byId('report').textContent) {
    byId('report').append(`\nStopped before the end: ${text}\nPlease send us this text: https://github.com/jempp/jempp/issues/new?template=gpu.yml\n`);
    return;
  }
  showInstead('failure', 'jempp has stopped', [
    ['p', 'Something went wrong, and the page cannot continue. The address still holds your settings: load the page again to start over with them.'],
    ['pre', text],
    ['button', 'Load again'],
  ]);
  document.querySelector('#failure button').onclick = () => location.reload();
}

/** Ends the page after an error; once the viewer runs, only after a crash of the program. */
function onError(event, reason) {
  if (reason && (!isReady || reason instanceof WebAssembly.RuntimeError)) fail(reason);
}
addEventListener('error', (event) => onError(event, event.error));
addEventListener('unhandledrejection', (event) => onError(event, event.reason));
byId('copy').onclick = async ({ target }) => {
  getSelection().selectAllChildren(byId('report'));
  // A page without encryption has no clipboard, and some browsers refuse it: the text is selected, for the user to copy.
  const isCopied = await navigator.clipboard?.writeText(byId('report').textContent).then(() => true, () => false);
  target.textContent = isCopied ? 'Copied' : 'Selected: now copy it';
};
byId('canvas').addEventListener('webglcontextlost', () => fail('The browser took the graphics context away.'));

// The bytes loaded of the program and of the model, uncompressed. A response's own length is the compressed one.
const loaded = { program: 0, model: 0 };
const total = sizes['jempp_bg.wasm'] + (sizes[model] ?? 0);
function showProgress(part, bytes) {
  loaded[part] = bytes;
  start.goesOn();
  const sum = loaded.program + loaded.model;
  byId('progress').value = sum / total;
  const mb = (n) => (n / 1e6).toFixed(1);
  byId('stage').textContent = sum < total ? `${mb(sum)} of ${mb(total)} MB unpacked` : 'Starting…';
}

function counted(response) {
  if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`);
  let bytes = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      showProgress('program', (bytes += chunk.byteLength));
    },
  });
  return new Response(response.body.pipeThrough(counter), { headers: { 'Content-Type': 'application/wasm' } });
}

/** The time between two questions to a worker, in ms, and how many of them it may leave unanswered. A measurement keeps it busy. */
const BEAT = 5000;
const MAX_MISSED = query.has('bench') || query.has('check') ? 60 : 12;

/** Reports a worker that answers no more: it may have ended without an error. */
function watch(worker) {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ beat: port2 }, [port2]);
  let missed = 0;
  port1.onmessage = () => (missed = 0);
  const timer = setInterval(() => {
    // Timers of a hidden page are slow, and so are its workers.
    missed = document.hidden ? 0 : missed + 1;
    port1.postMessage(null);
    if (missed <= MAX_MISSED) return;
    clearInterval(timer);
    worker.onerror?.(new ErrorEvent('error', { message: `it has not answered for ${(MAX_MISSED * BEAT) / 1000} seconds` }));
  }, BEAT);
  worker.terminate = () => {
    clearInterval(timer);
    Worker.prototype.terminate.call(worker);
  };
}

function createWorker() {
  const script = new URL(`./worker.js${location.search}`, import.meta.url);
  const worker = new Worker(script, { type: 'module', name: 'jempp' });
  workers.push(worker);
  // An error without a message: the script is missing. That of an old build is, where no service worker keeps it.
  worker.addEventListener('error', ({ message }) => {
    if (!message) fail('worker.js could not be loaded. The page may have been renewed meanwhile: load it again.');
  });
  // Handles a worker that cannot start. The viewer replaces this handler later.
  worker.onerror = ({ message }) => message && fail(message);
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => showProgress('model', data);
  worker.postMessage({ progress: port2 }, [port2]);
  worker.postMessage({ files: allFiles() });
  watch(worker);
  return worker;
}

// The downloads begin first, because on a slow machine, the test for WebGL takes longer than they do.
const response = fetch(new URL('./jempp_bg.wasm', import.meta.url));
let firstWorker = createWorker();
const missing = whatIsMissing();
if (missing.length > 0) {
  response.then((r) => r.body?.cancel(), () => {});
  firstWorker.terminate();
  showInstead('unsupported', 'This browser cannot show jempp', [
    ...missing.map((what) => ['p', `Missing: ${what}.`]),
    ['p', 'Current versions of Chrome, Edge, Firefox and Safari can (Chrome and Edge since 2021, Firefox since version 114, Safari since version 16.4), on computers and on phones.'],
    ['p', 'If yours is one of them, allow hardware or software acceleration in its settings, or try another browser or another computer. The desktop program needs no browser at all.'],
  ]);
} else {
  const compiled = response.then((r) => WebAssembly.compileStreaming(counted(r))).catch((error) => {
    throw new Error(`The program could not be loaded: jempp_bg.wasm: ${error.message}`);
  });
  const send = (worker) => {
    compiled.then((module) => worker.postMessage({ module }), () => {});
    return worker;
  };
  send(firstWorker);

  wait();
  const embed = document.documentElement.hasAttribute('data-embed');
  globalThis.jempp = {
    canvas: 'canvas',
    ...host,
    embed,
    /** Returns a worker that receives the program. The first one has already started to load the model. */
    newWorker() {
      const worker = firstWorker ?? send(createWorker());
      firstWorker = null;
      return worker;
    },
    /** Waits, so that the browser can draw a frame before a long task. */
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    /** Hides the loading screen. Called when the viewer's first frame is drawn. */
    ready() {
      isReady = true;
      byId('loading').hidden = true;
      // Later visits then need no connection. Browsers allow it only over HTTPS or from this computer.
      const keep = () => navigator.serviceWorker?.register(new URL('../sw.js', import.meta.url)).catch(() => {});
      if (!host.isFrame && !navigator.connection?.saveData) setTimeout(keep, 3000);
    },
    ...filesOf(byId('canvas'), (files) => workers.forEach((worker) => worker.postMessage({ files })), embed && host.refuseFile),
    /** Ends the page with the message of a panic, which the trap after it does not contain. */
    fail,
  };

  const named = keptName(model in sizes).then((name) => {
    globalThis.jempp.keptName = name;
  });
  // Once the program is there, nothing else need arrive: a frame out of sight, or a tab behind others, draws much later.
  Promise.all([import('./jempp.js'), compiled, named])
    .then(([{ default: init }, module]) => init({ module_or_path: module }))
    .then(start.over)
    .catch(fail);
}
