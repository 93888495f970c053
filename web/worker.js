// The worker: it fetches the model at once, then runs the same program as the page, which detects where it runs.
import sizes from './sizes.js';

// Meanwhile, the page compiles the module. Code that awaits the script receives an error.
const program = import('./jempp.js');
program.catch(() => {});

/** The build of this page, for the service worker: it has the models and lessons of the same build. */
const BUILD = new URL('.', import.meta.url).pathname.split('/').at(-2);
/** The longest time without a part of a file, in ms, after which its download ends. */
const PATIENCE = 30_000;

/**
 * Restores a checkpoint from its planes: all upper bytes of its half floats, then all lower ones, to compress better. If the
 * top byte of the header's length is 1, the axes of class centres are multiples k of 1/256. Each k is stored as its difference d
 * from a guess from the pixels before it, as 2d, or -2d - 1 below 0.
 */
function joined(planes) {
  const begin = 8 + new DataView(planes.buffer).getUint32(0, true);
  const count = (planes.byteLength - begin) / 2;
  const bytes = planes.slice();
  for (let index = 0; index < count; index += 1) {
    bytes[begin + 2 * index] = planes[begin + count + index];
    bytes[begin + 2 * index + 1] = planes[begin + index];
  }
  // A page that no service worker serves gets the models of a newer build. Each other encoding has another number.
  if (planes[7] > 1) throw new Error('it is newer than this page: load the page again');
  if (planes[7] !== 1) return bytes;
  bytes[7] = 0;
  const header = JSON.parse(new TextDecoder().decode(planes.subarray(8, begin)));
  const [from, to] = header['class_centers.factor'].data_offsets;
  const [, height, width] = JSON.parse(header.__metadata__.run).input_shape;
  const view = new DataView(bytes.buffer, begin);
  const steps = new Int16Array((to - from) / 2);
  for (let index = 0; index < steps.length; index += 1) {
    const [at, column, row] = [from + 2 * index, index % width, Math.floor(index / width) % height];
    const left = column && steps[index - 1];
    const above = row && steps[index - width];
    const corner = column && row && steps[index - width - 1];
    const guess = Math.max(Math.min(left, above), Math.min(Math.max(left, above), left + above - corner));
    const stored = view.getUint16(at, true);
    const step = guess + ((stored >> 1) ^ -(stored & 1));
    steps[index] = step;
    // k/256 as a half float: the exponent of 1/256 is 7, and ten bits follow the first one.
    const size = Math.abs(step);
    const exponent = 31 - Math.clz32(size);
    view.setUint16(at, size && ((step < 0) << 15) | ((exponent + 7) << 10) | ((size << (10 - exponent)) & 1023), true);
  }
  return bytes;
}

/** Starts the download of a file. Returns a promise of its content, and the number of bytes loaded so far. */
function download(path) {
  const job = { loaded: 0, onProgress: null };
  const stop = new AbortController();
  let timer;
  const goesOn = () => {
    clearTimeout(timer);
    // A worker that was busy for so long first takes what has arrived meanwhile.
    timer = setTimeout(() => (timer = setTimeout(() => stop.abort(), 1000)), PATIENCE);
  };
  const read = async () => {
    goesOn();
    // Scripts and program are in a separate folder, named after the build.
    const response = await fetch(new URL(`../${path}?build=${BUILD}`, import.meta.url), { signal: stop.signal });
    if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`);
    const chunks = [];
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      goesOn();
      chunks.push(value);
      job.loaded += value.byteLength;
      job.onProgress?.(job.loaded);
    }
    const bytes = new Uint8Array(job.loaded);
    let offset = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return bytes;
  };
  const failed = (error) => {
    throw new Error(`${path} could not be fetched: ${stop.signal.aborted ? 'nothing has arrived for half a minute' : error.message}`);
  };
  job.bytes = read()
    .catch(failed)
    .finally(() => clearTimeout(timer))
    .then((bytes) => (path.endsWith('.planes') ? joined(bytes) : bytes));
  // Code that awaits the bytes receives the error. If no code does, the error is ignored.
  job.bytes.catch(() => {});
  return job;
}

const query = new URLSearchParams(location.search);
const model = `assets/${query.get('model') ?? 'fashion'}.planes`;
// Download early only a model that belongs to the page. A later call of asset() uses this download.
let early = model in sizes && name !== 'helper' ? download(model) : null;

/** The most workers that help this one, and how long they may take for an answer, in ms. */
const MAX_HELPERS = (navigator.deviceMemory ?? 8) <= 4 ? 1 : 3;
const MAX_WAIT = 20_000;
/** The program, and the workers that have the model and compute a part of each step: a browser gives each worker one thread. */
let module;
let helpers = [];
let all = [];

function newHelper() {
  const worker = new Worker(import.meta.url, { type: 'module', name: 'helper' });
  const waiting = [];
  const fail = (event) => {
    event?.preventDefault();
    worker.terminate();
    all = all.filter((other) => other !== helper);
    // The numbers of the others change, so all rest until they get a model again.
    helpers = [];
    for (const { reject, timer } of waiting.splice(0)) {
      clearTimeout(timer);
      reject();
    }
  };
  const helper = {
    ask: (message) => new Promise((resolve, reject) => {
      const timer = setTimeout(fail, MAX_WAIT);
      waiting.push({ resolve, reject, timer });
      worker.postMessage(message, [message.buffer]);
    }),
  };
  worker.onerror = fail;
  worker.onmessage = ({ data }) => {
    if (!data) return fail();
    const { resolve, timer } = waiting.shift();
    clearTimeout(timer);
    resolve(data);
  };
  worker.postMessage({ module });
  return helper;
}

const counts = { launches: 0, submissions: 0, buffers: 0 };
if (query.has('bench') && globalThis.GPUQueue) {
  const watch = ({ prototype }, method, count) => {
    const original = prototype[method];
    prototype[method] = function (...args) {
      count(args[0]);
      return original.apply(this, args);
    };
  };
  watch(GPUQueue, 'submit', (buffers) => {
    counts.submissions += 1;
    counts.buffers += buffers.length;
  });
  watch(GPUComputePassEncoder, 'dispatchWorkgroups', () => (counts.launches += 1));
  watch(GPUComputePassEncoder, 'dispatchWorkgroupsIndirect', () => (counts.launches += 1));
}

// Browsers delay repeated timers of 0 ms to 4 ms, but not the messages of a channel.
const ticker = new MessageChannel();
const waiting = [];
ticker.port1.onmessage = () => waiting.shift()();

// The files of a person that the page hands over. They are read only when the program asks for them.
const files = new Map();
addEventListener('message', ({ data }) => data.files?.forEach(([place, file]) => files.set(place, file)));

globalThis.jempp = {
  /** The size of a file that a person gave the page, known before it is read. */
  givenSize: (place) => files.get(place).size,
  /** A part of its bytes. */
  given: (place, from, to) => files.get(place).slice(from, to).arrayBuffer(),
  /** The messages that arrived before the program was loaded. */
  inbox: [],
  /** Loads the bytes of `assets/NAME`, and calls `onProgress` with the number of bytes loaded so far. */
  async asset(name, onProgress) {
    const path = `assets/${name.replace(/\.safetensors$/, '.planes')}`;
    const job = early && path === model ? early : download(path);
    if (job === early) early = null;
    const page = job.onProgress;
    job.onProgress = (bytes) => {
      page?.(bytes);
      onProgress(bytes);
    };
    onProgress(job.loaded);
    return job.bytes;
  },
  /** Gives all helpers a model. The first time, they start. */
  wakeHelpers(message) {
    const num = Math.min(MAX_HELPERS, navigator.hardwareConcurrency - 1);
    while (all.length < num) all.push(newHelper());
    const ready = (helpers = []);
    for (const helper of all) helper.ask(message.slice()).then(() => ready.push(helper), () => {});
  },
  numHelpers: () => helpers.length,
  askHelper: (index, message) => helpers[index].ask(message.slice()),
  /** Lets the worker process messages, for `ms` milliseconds, or, with 0, only those that are already waiting. */
  pause(ms) {
    return new Promise((resolve) => {
      if (ms > 0) return setTimeout(resolve, ms);
      waiting.push(resolve);
      ticker.port2.postMessage(null);
    });
  },
  /** The browser's description of its GPU adapter, or at least the vendor's name. */
  async adapterName() {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
    const { description, vendor, architecture, device } = adapter?.info ?? {};
    return description || [vendor, architecture, device].filter(Boolean).join(' ');
  },
  /** The kernel launches, queue submissions, and command buffers in them. Counted only with ?bench. */
  counts: () => ({ ...counts }),
};

// A worker reports errors to its page, but not rejected promises.
addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  reportError(event.reason);
});

onmessage = async ({ data }) => {
  if (data.progress) {
    if (early) {
      early.onProgress = (bytes) => data.progress.postMessage(bytes);
      early.onProgress(early.loaded);
    }
  } else if (data.beat) {
    data.beat.onmessage = () => data.beat.postMessage(null);
  } else if (data.files) {
    // The listener above has them.
  } else if (data.module) {
    const { default: init } = await program;
    module = data.module;
    await init({ module_or_path: data.module });
  } else {
    jempp.inbox.push(data);
  }
};
