// Helpers that open the built page in a real browser, served as by serve.sh.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const BASE = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
// SwiftShader emulates a GPU. WebGL needs the first line, and WebGPU needs both.
const WEBGL = ['--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
const WEBGPU = ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-webgpu-adapter=swiftshader'];
const KINDS = {
  webgpu: [...WEBGL, ...WEBGPU],
  'no webgpu': [...WEBGL, '--disable-blink-features=WebGPU'],
  'no graphics': ['--disable-gpu', '--disable-software-rasterizer', '--disable-3d-apis'],
};

/** The built page. */
export const DIST = here('../dist');

const servers = {};
/** Starts a server for a folder on a free port, once, and returns the address of the page. */
export async function address(folder = DIST) {
  servers[folder] ??= spawn('python3', [here('../serve.py'), '0', folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const server = servers[folder];
  server.address ??= new Promise((resolve, reject) => {
    server.stdout.once('data', (line) => resolve(String(line).trim()));
    server.once('exit', () => reject(new Error('the server did not start')));
  });
  return server.address;
}

const browsers = {};
function browser(kind) {
  const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('no browser: apt-get install chromium, or say where one is in CHROMIUM');
  return (browsers[kind] ??= chromium.launch({ executablePath, args: [...BASE, ...KINDS[kind]] }));
}

after(async () => {
  for (const running of Object.values(browsers)) await (await running).close();
  for (const server of Object.values(servers)) server.kill();
});

/**
 * Opens a new page for test `t`. `path` is a query or a whole path; options: the `kind` of browser, routes, viewport…; the
 * `folder` of another page than the built one, or the `origin` of another server; a function to run `before` the page's scripts;
 * until when to wait, as for goto.
 * A route answers, or calls a function; without an answer it fails. Requests that match `stalls` get no answer, and with `quick`, timers of seconds run twenty
 * times as fast, also in workers.
 */
export async function open(t, path = '', { kind = 'webgpu', routes = {}, stalls = null, quick = false, folder = DIST, origin = null, before = null, waitUntil = 'load', ...options } = {}) {
  origin ??= await address(folder);
  const context = await (await browser(kind)).newContext({ viewport: { width: 1280, height: 800 }, ...options });
  t.after(() => context.close());
  for (const [pattern, answer] of Object.entries(routes)) await context.route(pattern, typeof answer === 'function' ? answer : (route) => (answer ? route.fulfill(answer) : route.abort()));
  if (stalls) await context.route(stalls, () => {});
  const page = await context.newPage();
  const [errors, requests] = [[], []];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  // Without a listener, a browser that has no window cancels every dialog at once.
  page.on('filechooser', () => {});
  // The service worker takes what the browser has already loaded.
  context.on('request', (request) => request.serviceWorker() || requests.push(request.url()));
  if (quick) {
    const hurry = () => {
      for (const name of ['setTimeout', 'setInterval']) {
        const slow = globalThis[name].bind(globalThis);
        globalThis[name] = (call, ms, ...rest) => slow(call, ms >= 1000 ? ms / 20 : ms, ...rest);
      }
    };
    await page.addInitScript(hurry);
    await context.route('**/worker.js*', async (route) => {
      const body = await (await route.fetch()).text();
      // A page with this header takes only workers that have it too.
      const headers = { 'Cross-Origin-Embedder-Policy': 'require-corp' };
      await route.fulfill({ contentType: 'text/javascript', headers, body: `(${hurry})();${body}` });
    });
  }
  await page.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((entry) => Math.round(entry.duration)))).observe({ type: 'longtask' });
  });
  if (before) await page.addInitScript(before);
  // This property ignores the emulated pixel density, which would make everything twice as large.
  if (options.deviceScaleFactor) await page.addInitScript(() => delete ResizeObserverEntry.prototype.devicePixelContentBoxSize);
  const response = await page.goto(origin + path, { waitUntil });

  return { page, response, origin, errors, requests, until: untilIn(page, errors), close: () => context.close() };
}

/** Returns a function that waits until the state of a page's viewer fulfils `isSo`, and returns the state. */
export function untilIn(page, errors = []) {
  return async function until(what, isSo, secs = 180) {
    let state;
    for (const end = Date.now() + secs * 1000; Date.now() < end; await sleep(100)) {
      state = await page.evaluate(() => ({ ...globalThis.jempp?.state?.(), now: performance.now() }));
      if (state.device && isSo(state)) return state;
      if (await page.locator('#failure').isVisible()) break;
    }
    const text = await page.locator('main:visible').allInnerTexts();
    throw new Error(`${what}: not so within ${secs} s, or never. State: ${JSON.stringify(state).slice(0, 2000)}. Page: ${text}. Errors: ${errors.join('\n')}`);
  };
}

/** Waits until `isSo` returns something true. */
export async function eventually(what, isSo, secs = 60) {
  for (const end = Date.now() + secs * 1000; Date.now() < end; await sleep(100)) if (await isSo()) return;
  throw new Error(`${what}: not so within ${secs} s`);
}

/** Reads or writes a value that the browser keeps for the page. Of a model, this is the name. */
export const kept = (page, key, value) =>
  page.evaluate(
    ([key, value]) =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open('jempp', 1);
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const deal = opening.result.transaction('kept', 'readwrite');
          const store = deal.objectStore('kept');
          const request = value ? store.put(value, key) : store.get(key);
          deal.onabort = () => reject(deal.error);
          deal.oncomplete = () => {
            opening.result.close();
            resolve(request.result?.name ?? request.result ?? null);
          };
        };
      }),
    [key, value],
  );

/** Moves a finger from point to point of the page, and lifts it at the last one. Faster moves would reach the page as fewer. */
export async function swipe(page, points) {
  const client = await page.context().newCDPSession(page);
  const touch = (type, touchPoints) => client.send('Input.dispatchTouchEvent', { type, touchPoints });
  for (const [index, [x, y]] of points.entries()) {
    await touch(index === 0 ? 'touchStart' : 'touchMove', [{ x, y }]);
    await sleep(30);
  }
  await touch('touchEnd', []);
}

/** Presses Next beside the text of a lesson, in a window of 1280×800, until the state is so. */
export async function pressNext(page, until, isSo) {
  for (let y = 60; y < 110; y += 10) {
    await page.mouse.click(1215, y);
    if (await until('the next step', isSo, 2).catch(() => null)) return;
  }
  throw new Error('Next leads nowhere');
}

/** Saves a screenshot of the page to tests/out, for people to look at. */
export async function photograph(page, name) {
  mkdirSync(here('out'), { recursive: true });
  return page.screenshot({ path: here(`out/${name}.png`) });
}

/** Drops a file on the canvas. `source` is a path relative to this file, or null for an invalid file. */
export function drop(page, name, source = null) {
  const content = source ? readFileSync(here(source)) : Buffer.from('This is not a checkpoint.');
  return page.evaluate(
    ([name, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes], name));
      for (const type of ['dragover', 'drop']) {
        document.getElementById('canvas').dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      }
    },
    [name, content.toString('base64')],
  );
}

/** Ends the page's worker with an error, waits until the page says so, and presses Try again. */
export async function killWorker(page, until) {
  await page.workers()[0].evaluate(() => void setTimeout(() => { throw new Error('a test'); }));
  const failed = await until('a failure', (s) => s.failure);
  // The button is at the end of the banner's text.
  for (let x = 260; x < 700 && (await until('a state', () => true)).failure; x += 30) {
    await page.mouse.click(x, 45);
    await page.waitForTimeout(200);
  }
  return failed;
}

/** Drops a file that says that it has `mib` MiB, and that fails if it is read. */
export function dropUnread(page, name, mib) {
  return page.evaluate(
    ([name, mib]) => {
      const file = new File(['x'], name);
      Object.defineProperty(file, 'size', { value: mib * 2 ** 20 });
      Object.defineProperty(file, 'arrayBuffer', { value: () => { throw new Error('it was read'); } });
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(file);
      // The browser gives a copy, so the size is set on the way.
      const original = DataTransferItem.prototype.getAsFile;
      DataTransferItem.prototype.getAsFile = function sized() { return original.call(this) && file; };
      DataTransferItem.prototype.webkitGetAsEntry = () => null;
      for (const type of ['dragover', 'drop']) {
        document.getElementById('canvas').dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      }
    },
    [name, mib],
  );
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
export { sleep };
