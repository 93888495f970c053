// Tests that the page starts in different browsers, and handles unusual actions of users.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drop, eventually, killWorker, mean, open, sleep } from './browser.mjs';

test('with WebGPU the adapter is named and chains advance', async (t) => {
  const { page, response, origin, errors, requests, until } = await open(t, '?device=webgpu&per_class=1&num_steps=100000');
  const early = await until('a first step', (s) => s.energies.length > 0);
  assert.match(early.device, /swiftshader/i);
  assert.equal(early.is_cpu, false);
  const canvas = page.locator('#canvas');
  const before = await canvas.screenshot();
  const late = await until('six more steps', (s) => s.shown_step >= early.shown_step + 6);
  assert.ok(!before.equals(await canvas.screenshot()), 'the picture changed');
  assert.ok(mean(late.energies[0]) < mean(early.energies[0]), `energy fell from ${mean(early.energies[0])} to ${mean(late.energies[0])}`);
  assert.equal(late.failure, null);
  assert.deepEqual(errors, []);

  const isOwn = (url) => url.startsWith(origin) || url.startsWith(`blob:${origin}`) || url.startsWith('data:');
  assert.deepEqual(requests.filter((url) => !isOwn(url)), [], 'nothing leaves the page');
  for (const file of ['jempp_bg.wasm', 'worker.js', 'fashion.planes']) {
    assert.equal(requests.filter((url) => url.includes(file)).length, 1, `${file} is loaded once`);
  }

  const inPage = await page.locator('meta[http-equiv=Content-Security-Policy]').getAttribute('content');
  assert.match(inPage, /default-src 'none'/);
  assert.equal(response.headers()['content-security-policy'], inPage);
  const ran = await page.evaluate(() => {
    document.head.append(Object.assign(document.createElement('script'), { textContent: 'globalThis.intruder = true' }));
    return 'intruder' in globalThis;
  });
  assert.equal(ran, false, 'the policy is in force');

  for (const [header, value] of [['opener-policy', 'same-origin'], ['embedder-policy', 'require-corp'], ['resource-policy', 'cross-origin']]) {
    assert.equal(response.headers()[`cross-origin-${header}`], value, header);
  }
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  assert.equal(await page.workers()[0].evaluate(() => crossOriginIsolated), true);
});

test('a software adapter is left alone, and the CPU back end starts by itself', async (t) => {
  const { errors, until } = await open(t);
  const state = await until('chains that run', (s) => s.last_step >= 2);
  assert.equal(state.is_cpu, true);
  assert.match(state.device, /cpu/i);
  assert.match(state.device, /swiftshader|software/i, 'it says why');
  assert.deepEqual(errors, []);
});

test('without WebGPU the CPU back end takes over and says why', async (t) => {
  const { page, errors, until } = await open(t, '', { kind: 'no webgpu' });
  assert.equal(await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter())), false);
  const state = await until('chains that run', (s) => s.last_step >= 2);
  assert.equal(state.is_cpu, true);
  assert.match(state.device, /webgpu/i, 'it says why');
  assert.deepEqual(errors, []);
});

test('without any graphics there is a page to read', async (t) => {
  const { page, errors } = await open(t, '', { kind: 'no graphics' });
  const text = page.locator('#unsupported');
  await text.waitFor({ state: 'visible' });
  assert.match(await text.innerText(), /WebGL 2[\s\S]*(Chrome|Firefox)/);
  assert.equal(await page.locator('#canvas').isVisible(), false);
  assert.equal(await page.locator('#loading').isVisible(), false);
  assert.deepEqual(errors, []);
});

test('a program that does not come is told, with a way to try again', async (t) => {
  const { page } = await open(t, '', { routes: { '**/jempp_bg.wasm': { status: 503, body: '' } } });
  const text = page.locator('#failure');
  await text.waitFor({ state: 'visible' });
  assert.match(await text.innerText(), /jempp_bg\.wasm.*503/);
  assert.ok(await page.getByRole('button', { name: 'Load again' }).isVisible());
  assert.equal(await page.locator('#canvas').isVisible(), false);
  // Nor is anything left of the canvas for the Tab key and for screen readers.
  assert.equal(await page.locator('.unseen:visible').count(), 0);
});

for (const [what, answer] of [
  ['the connection does not let through', null],
  ['breaks off', { contentType: 'application/wasm', body: Buffer.from([0, 97, 115, 109, 1, 0, 0, 0, 1, 100, 9]) }],
  ['is a page to log in', { contentType: 'text/html', body: '<!doctype html><title>Log in</title>' }],
]) {
  test(`a program that ${what} is named`, async (t) => {
    const { page } = await open(t, '', { routes: { '**/jempp_bg.wasm': answer } });
    const text = page.locator('#failure');
    await text.waitFor({ state: 'visible' });
    assert.match(await text.innerText(), /could not be loaded: jempp_bg\.wasm: ./);
  });
}

test('the reason why the first model does not come stays, and it can be tried again', async (t) => {
  const path = '**/assets/fashion.planes*';
  const options = { kind: 'no webgpu', viewport: { width: 480, height: 360 }, quick: true };
  for (const [why, cause] of [[/404/, { routes: { [path]: { status: 404, body: '' } } }], [/half a minute/, { stalls: path }]]) {
    const { page, until, close } = await open(t, 'embed.html?per_class=1', { ...options, ...cause });
    const state = await until('the reason', (s) => s.why_not, 60);
    assert.match(state.why_not, /fashion\.planes/);
    assert.match(state.why_not, why);
    await page.context().unroute(path);
    // The button is below the text, in the middle of the picture.
    for (let y = 60; y < 280 && (await until('a state', () => true)).why_not; y += 8) {
      await page.mouse.click(176, y);
      await page.waitForTimeout(100);
    }
    await until('chains after all', (s) => s.model === 'fashion' && s.last_step >= 1);
    await close();
  }
});

test('a model that does not come is told in the viewer', async (t) => {
  const { until } = await open(t, '?model=mnist', { routes: { '**/assets/mnist.planes*': { status: 404, body: '' } } });
  const state = await until('a message', (s) => s.failure || s.notices.length > 0);
  assert.match(`${state.failure} ${state.notices}`, /mnist/);
});

test('a model of a newer build, which the page cannot read, is refused', async (t) => {
  const newer = async (route) => {
    const body = await (await route.fetch()).body();
    body[7] = 2;
    await route.fulfill({ contentType: 'application/octet-stream', body });
  };
  const { until } = await open(t, '?per_class=1', { kind: 'no webgpu', routes: { '**/assets/fashion.planes*': newer } });
  const state = await until('the reason', (s) => s.why_not, 60);
  assert.match(state.why_not, /newer than this page/);
});

test('a page that begins to draw late raises no alarm', async (t) => {
  // As in a frame out of sight, nothing is measured, so nothing is drawn. The watch loses its patience earlier than usual.
  const before = () => {
    globalThis.ResizeObserver = class { observe() {} disconnect() {} };
    const slow = setTimeout.bind(globalThis);
    globalThis.setTimeout = (call, ms, ...rest) => slow(call, ms === 30_000 ? 1500 : ms, ...rest);
  };
  const { page } = await open(t, '?per_class=1', { kind: 'no webgpu', before });
  await page.waitForFunction(() => globalThis.jempp?.state, null, { timeout: 120_000 });
  await sleep(4000);
  assert.equal(await page.locator('#loading').isVisible(), true, 'nothing is drawn');
  assert.equal(await page.locator('#late').isVisible(), false);
});

test('a style sheet that never comes is named, and the page is drawn without it', async (t) => {
  const { page } = await open(t, '', { kind: 'no webgpu', stalls: '**/style.css', quick: true, waitUntil: 'commit' });
  // It is seen only until the rest of the page, which waited for the style sheet, goes on.
  await page.locator('#late', { hasText: /Still missing: .*style\.css/ }).waitFor({ state: 'attached', timeout: 20_000 });
  await eventually('something is painted', () => page.evaluate(() => performance.getEntriesByType('paint').length > 0), 20);
});

test('a start.js that never comes holds nothing up', async (t) => {
  const { until } = await open(t, '?per_class=1', { kind: 'no webgpu', stalls: '**/start.js', waitUntil: 'commit' });
  await until('chains', (s) => s.energies.length > 0);
});

test('the page stays out of the parts of a phone that its screen lacks', async (t) => {
  const { page } = await open(t, '', { kind: 'no webgpu' });
  // Only a style sheet with the insets of such a screen may ask for all of it.
  assert.doesNotMatch(await page.locator('meta[name=viewport]').getAttribute('content'), /viewport-fit/);
});

test('a page whose worker is gone from the server says that it may have been renewed', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', { kind: 'no webgpu', serviceWorkers: 'block' });
  await until('chains that run', (s) => s.last_step >= 1);
  await page.context().route('**/worker.js*', (route) => route.fulfill({ status: 404, body: '' }));
  // After Try again, it finds the message in place of a state.
  await killWorker(page, until).catch(() => {});
  const failure = page.locator('#failure');
  await failure.waitFor({ state: 'visible' });
  assert.match(await failure.innerText(), /worker\.js.*renewed meanwhile/);
  assert.ok(await page.getByRole('button', { name: 'Load again' }).isVisible());
});

test('when the worker dies its reason is told, and another takes over', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', { kind: 'no webgpu' });
  await until('chains that run', (s) => s.last_step >= 3);
  const failed = await killWorker(page, until);
  assert.match(failed.failure, /a test/);
  const again = await until('a model opened anew', (s) => !s.failure && s.model === 'fashion' && s.energies.length > 0);
  assert.equal(again.last_step, 0);
  await page.keyboard.press('Space');
  await until('chains that run again', (s) => s.last_step >= 3);
});

test('a broken checkpoint brings a message and nothing else, a good one opens', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000&max_steps_per_sec=10');
  await until('chains that run', (s) => s.last_step >= 1);
  await drop(page, 'broken.safetensors');
  const told = await until('a message', (s) => s.notices.length > 0, 30);
  assert.match(told.notices.join(), /broken/);
  assert.equal(told.failure, null);
  await until('chains that go on', (s) => s.last_step >= told.last_step + 3);
  await drop(page, 'digits.safetensors', '../../assets/mnist/mnist.safetensors');
  const opened = await until('the other model', (s) => s.model && s.model !== told.model && s.energies.length > 0);
  assert.match(opened.model, /digits/);
  // The chains wait until the user plays them, as in the desktop window.
  if (!opened.is_running) await page.keyboard.press('Space');
  await until('its chains', (s) => s.last_step >= 1 && !s.failure);
});
