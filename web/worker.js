// The worker: fetches the model at once, then runs the same program as the page, which sees where it is.
import sizes from './sizes.js';

/** A checkpoint out of its planes: all upper bytes of its half floats, then all lower ones, compress better. */
function joined(planes) {
  const begin = 8 + Number(new DataView(planes.buffer).getBigUint64(0, true));
  const count = (planes.byteLength - begin) / 2;
  const bytes = planes.slice();
  for (let index = 0; index < count; index += 1) {
    bytes[begin + 2 * index] = planes[begin + count + index];
    bytes[begin + 2 * index + 1] = planes[begin + index];
  }
  return bytes;
}

/** One file on its way: its bytes, and how many are there so far. */
function download(path) {
  const job = { loaded: 0, onProgress: null };
  const read = async () => {
    // Scripts and program are in a folder of their own, named after the build.
    const response = await fetch(new URL(`../${path}`, import.meta.url)).catch((error) => {
      throw new Error(`${path} could not be fetched: ${error.message}`);
    });
    if (!response.ok) throw new Error(`${path} could not be fetched: the server answered ${response.status} ${response.statusText}`);
    const chunks = [];
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
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
  job.bytes = read();
  // Whoever asks for the bytes hears of an error; nobody asking is no error.
  job.bytes.catch(() => {});
  return job;
}

const query = new URLSearchParams(location.search);
const model = `assets/${query.get('model') ?? 'fashion'}.planes`;
// Only what travels with the page; a later asset() takes it over.
let early = model in sizes ? download(model) : null;

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

// A timer of 0 ms waits for 4 once it is called again and again; a channel does not.
const ticker = new MessageChannel();
const waiting = [];
ticker.port1.onmessage = () => waiting.shift()();

globalThis.jempp = {
  /** Messages that came before the program did. */
  inbox: [],
  /** The bytes of `assets/NAME`; `onProgress` hears how many are there. */
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
    const bytes = await job.bytes;
    return path.endsWith('.planes') ? joined(bytes) : bytes;
  },
  /** Lets messages in: after so many milliseconds, or, for 0, as soon as they have been read. */
  pause(ms) {
    return new Promise((resolve) => {
      if (ms > 0) return setTimeout(resolve, ms);
      waiting.push(resolve);
      ticker.port2.postMessage(null);
    });
  },
  /** What the browser tells of its adapter: a description, or at least who made it. */
  async adapterName() {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
    const { description, vendor, architecture, device } = adapter?.info ?? {};
    return description || [vendor, architecture, device].filter(Boolean).join(' ');
  },
  /** Kernel launches, queue submissions and the command buffers in them; counted with ?bench only. */
  counts: () => ({ ...counts }),
};

// A worker tells its page of errors, but not of rejections.
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
  } else if (data.module) {
    const { default: init } = await import('./jempp.js');
    await init({ module_or_path: data.module });
  } else {
    jempp.inbox.push(data);
  }
};
