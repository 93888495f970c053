// Tests of the viewer in the page: keys, mouse, links, and a page that stays responsive.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { open, photograph, sleep } from './browser.mjs';

const SLOWLY = 'per_class=1&num_steps=100000&max_steps_per_sec=10';

test('keys pause and scrub', async (t) => {
  const { page, until } = await open(t, `?${SLOWLY}`);
  await until('some steps', (s) => s.last_step >= 5);
  await page.keyboard.press('Space');
  await until('a pause', (s) => !s.is_running);
  await sleep(500);
  const newest = await until('the newest step', (s) => s.shown_step === s.last_step);
  await sleep(500);
  assert.equal((await until('the same step', () => true)).last_step, newest.last_step, 'nothing moves in a pause');

  await page.keyboard.press('ArrowLeft');
  const before = await until('one back', (s) => s.shown_step === newest.last_step - 1);
  await page.keyboard.press('ArrowLeft');
  await until('two back', (s) => s.shown_step === newest.last_step - 2);
  assert.notDeepEqual(before.energies, newest.energies);
  await page.keyboard.press('ArrowRight');
  const again = await until('one forward', (s) => s.shown_step === newest.last_step - 1);
  assert.deepEqual(again.energies, before.energies, 'what was recorded is shown again');
  await page.keyboard.press('ArrowRight');
  assert.deepEqual((await until('the newest', (s) => s.shown_step === newest.last_step)).energies, newest.energies);

  await page.keyboard.press('Space');
  await until('chains that go on', (s) => s.is_running && s.last_step > newest.last_step);
});

test('a link brings the same chains again', async (t) => {
  const asked = { seed: '7', per_class: '2', num_steps: '12', 'sampler.kind': 'sgld', 'sampler.step_size': '0.5', 'sampler.noise_std': '0.01' };
  const first = await open(t, `?${new URLSearchParams(asked)}`);
  const there = await first.until('the end', (s) => s.shown_step === 12 && !s.is_running);
  const carried = Object.fromEntries(new URLSearchParams(there.query));
  for (const [key, value] of Object.entries(asked)) assert.equal(carried[key], value, key);
  const second = await open(t, `?${there.query}`);
  const here = await second.until('the end', (s) => s.shown_step === 12 && !s.is_running);
  assert.equal(here.query, there.query);
  assert.equal(here.energies[0].length, 20);
  assert.deepEqual(here.energies, there.energies, 'to the last bit');
});

test('a wrong link is told and the viewer opens all the same', async (t) => {
  const { until } = await open(t, '?sampler.step_sise=3');
  const state = await until('a message', (s) => s.notices.length > 0);
  assert.match(state.notices.join(), /step_size/, 'the nearest key is named');
  await until('chains that run', (s) => s.last_step >= 1);
});

test('no task of the page is long while chains run, and sliders are live', async (t) => {
  const { page, until } = await open(t, '?num_steps=100000&per_class=4');
  await until('chains that run', (s) => s.last_step >= 3);
  await sleep(2000);
  let tasks, to;
  // A page that freezes does so in every round. Another load on the machine hardly affects three rounds.
  for (let round = 0; round < 3 && !(Math.max(0, ...(tasks ?? [Infinity])) <= 100); round += 1) {
    await page.evaluate(() => (longTasks.length = 0));
    const from = await until('a step', () => true);
    await sleep(5000);
    tasks = await page.evaluate(() => globalThis.longTasks);
    to = await until('later steps', (s) => s.last_step > from.last_step);
    t.diagnostic(`${to.last_step - from.last_step} steps in 5 s; tasks over 50 ms: ${tasks.join(', ') || 'none'}`);
  }
  assert.ok(Math.max(0, ...tasks) <= 100, `tasks of ${tasks} ms`);

  // Drag in each row of the controls panel, from below the choice of the sampler, until one is a slider.
  const number = /sampler\.(inner_step_size|step_size|noise_std|proximal_radius)=/;
  let state = to;
  for (let y = 218; y < 300 && !number.test(state.query); y += 4) {
    await page.mouse.move(20, y);
    await page.mouse.down();
    await page.mouse.move(45, y, { steps: 3 });
    await page.mouse.move(70, y, { steps: 3 });
    await page.mouse.up();
    await sleep(150);
    state = await until('a state', () => true);
  }
  t.diagnostic(`by mouse: ${state.query}`);
  assert.match(state.query, number, 'a slider was moved by mouse');
  await until('chains that go on', (s) => s.last_step > state.last_step && !s.failure);
});

test('pictures, animations and traces are downloads', async (t) => {
  const { page, errors, until } = await open(t, '?per_class=1&num_steps=12');
  await until('the end', (s) => s.shown_step === 12 && !s.is_running);
  const kinds = { s: ['chains.png', /^\x89PNG/], g: ['chains.gif', /^GIF89a/], e: ['traces.csv', /^# .*\n# jempp view '.*'\nstep,lane,chain,class,energy/] };
  for (const [key, [name, beginning]] of Object.entries(kinds)) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press(`Control+${key}`)]);
    assert.equal(download.suggestedFilename(), name);
    const content = readFileSync(await download.path());
    assert.match(content.toString('latin1'), beginning);
    if (key === 'e') assert.equal(content.toString().trim().split('\n').length, 3 + 13 * 10, 'a line for each chain and step, below the caption');
  }
  assert.deepEqual(errors, []);
});

/** Opens the menu `Save` and clicks its last entry, until a message is so. On a busy computer the menu needs time to open. */
async function copyLink(page, until, expected) {
  const isTold = (s) => s.notices.some((notice) => expected.test(notice));
  for (let wait = 500; wait < 16000; wait *= 2) {
    await page.mouse.click(650, 14);
    await sleep(wait);
    await page.mouse.click(665, 202);
    if (await until('a word of it', isTold, 3 + wait / 1000).catch(() => null)) break;
    await page.keyboard.press('Escape');
  }
  return until('a word of it', isTold, 3);
}

test('a copied link is the whole address', async (t) => {
  const { page, origin, until } = await open(t, '?per_class=1&num_steps=2&seed=5&sampler.kind=mala', { permissions: ['clipboard-read', 'clipboard-write'] });
  const { query } = await until('the end', (s) => s.shown_step === 2 && !s.is_running);
  await copyLink(page, until, /Link copied/);
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${origin}?${query}`);
});

for (const [why, before] of [
  ['has no clipboard', () => Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined })],
  ['refuses', () => (Clipboard.prototype.writeText = () => Promise.reject(new Error('not allowed')))],
]) {
  test(`a link is not called copied where the browser ${why}`, async (t) => {
    const { page, until } = await open(t, '?per_class=1&num_steps=2', { before });
    await until('the end', (s) => s.shown_step === 2 && !s.is_running);
    const { notices } = await copyLink(page, until, /does not let the page copy.*address bar/);
    assert.doesNotMatch(notices.join(), /Link copied/);
  });
}

test('a model is trained in the page, saved, and goes on', async (t) => {
  const { page, errors, until } = await open(t, '?per_class=1&num_steps=2', { kind: 'no webgpu' });
  await until('the end', (s) => s.shown_step === 2 && !s.is_running);
  await page.mouse.click(215, 14);
  await sleep(500);
  const [START, PAUSE, GO_ON, SAVE] = [[46, 340], [140, 340], [58, 426], [68, 457]];
  await page.mouse.click(...START);
  const begun = await until('a run', (s) => s.is_training && /checkpoint/.test(s.model));
  // The chains are updated with the current weights, twice a second.
  await until('weights that change', (s) => s.has_references && s.is_training);
  await sleep(3000);
  await page.mouse.click(...PAUSE);
  await until('a rest', (s) => !s.is_training);
  const [download] = await Promise.all([page.waitForEvent('download'), page.mouse.click(...SAVE)]);
  assert.equal(download.suggestedFilename(), 'saved.safetensors');
  const saved = readFileSync(await download.path());
  const { __metadata__: metadata } = JSON.parse(saved.subarray(8, 8 + Number(saved.readBigUInt64LE())));
  assert.equal(metadata.format, 'jempp-checkpoint');
  assert.ok(JSON.parse(metadata.run).counters.step > 0);
  await page.mouse.click(...GO_ON);
  const again = await until('the run again', (s) => s.is_training);
  assert.equal(again.model, begun.model);
  await photograph(page, 'train');
  assert.deepEqual(errors, []);
});

const SIZES = {
  desktop: ['', { viewport: { width: 1280, height: 800 } }],
  phone: ['', { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true }],
  embedded: ['embed.html', { viewport: { width: 480, height: 360 } }],
};
for (const [name, [path, options]] of Object.entries(SIZES)) {
  test(`chains run at the size: ${name}`, async (t) => {
    const { page, errors, until } = await open(t, `${path}?per_class=2&seed=1`, options);
    await until('chains that run', (s) => s.last_step >= 10);
    const canvas = await page.locator('#canvas').boundingBox();
    assert.deepEqual(canvas, { x: 0, y: 0, ...options.viewport }, 'the canvas fills the window');
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= options.viewport.width, 'nothing scrolls sideways');
    await photograph(page, name);
    assert.deepEqual(errors, []);
  });
}
