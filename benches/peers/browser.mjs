// W1 and W2 in TensorFlow.js and jax-js, in a headless Chromium; prints one JSON object.
//
// node browser.mjs [--works W1,W2] [--peers tfjs-webgpu,...] [--repetitions 5] [--limit SECONDS] [--hardware]
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const { values: options } = parseArgs({
  options: {
    works: { type: 'string', default: 'W1,W2' },
    peers: { type: 'string', default: 'tfjs-webgpu,tfjs-wasm,jaxjs-webgpu,jaxjs-wasm' },
    repetitions: { type: 'string', default: '5' },
    // Chromium's own choice of adapter instead of SwiftShader.
    hardware: { type: 'boolean', default: false },
    limit: { type: 'string', default: '300' },
    chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' },
  },
});
const here = import.meta.dirname;
const wasm = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
const scratch = mkdtempSync(join(tmpdir(), 'jempp-peers-'));
await build({
  entryPoints: [join(here, 'page.js')],
  bundle: true,
  format: 'esm',
  platform: 'browser',
  outfile: join(scratch, 'page.js'),
  logLevel: 'error',
});

const TYPES = { '.js': 'text/javascript', '.wasm': 'application/wasm' };
// Threads in wasm need a page of its own origin.
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
const server = createServer((request, response) => {
  const name = request.url.slice(1);
  const file = [scratch, wasm].map((folder) => join(folder, name)).find((path) => name && existsSync(path));
  response.writeHead(file || !name ? 200 : 404, {
    ...ISOLATED,
    'Content-Type': file ? (TYPES[extname(file)] ?? 'application/octet-stream') : 'text/html',
  });
  if (file) createReadStream(file).pipe(response);
  else response.end(name ? '' : '<!doctype html><title>peers</title><script type=module src=/page.js></script>');
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${server.address().port}/`;

const SWIFTSHADER = [
  '--use-vulkan=swiftshader', '--use-webgpu-adapter=swiftshader', '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
];
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: [
    '--no-sandbox', '--disable-quic', '--disable-background-networking',
    '--enable-unsafe-webgpu', '--enable-features=Vulkan',
    ...(options.hardware ? [] : SWIFTSHADER),
  ],
});
const version = (name) => JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'))).version;
const report = {
  versions: {
    chromium: browser.version(),
    'tensorflow.js': version('@tensorflow/tfjs-core'),
    'jax-js': version('@jax-js/jax'),
  },
  adapter: null,
  times: {},
};
const withLimit = (promise, what) => {
  const late = new Promise((_, fail) => {
    const error = new Error(`${what}: over ${options.limit} s`);
    setTimeout(() => fail(error), options.limit * 1e3).unref();
  });
  return Promise.race([promise, late]);
};
for (const work of options.works.split(',')) {
  report.times[work] = {};
  for (const peer of options.peers.split(',')) {
    // A page each, so that no peer keeps the other's memory or threads.
    const page = await browser.newPage();
    try {
      await page.goto(url);
      await page.waitForFunction(() => globalThis.ready);
      report.adapter ??= await page.evaluate(() => globalThis.adapter());
      const run = page.evaluate(
        ([a, b, c]) => globalThis.measure(a, b, c), [peer, work, Number(options.repetitions)],
      );
      report.times[work][peer] = await withLimit(run, `${peer} ${work}`);
    } catch (error) {
      report.times[work][peer] = { error: String(error.message ?? error).split('\n')[0] };
    }
    await page.close();
  }
}
console.log(JSON.stringify(report));
await browser.close();
server.close();
rmSync(scratch, { recursive: true });
