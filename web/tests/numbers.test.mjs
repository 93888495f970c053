// Measures the speed of the page, and tests that it computes the same numbers as the native program.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, open, photograph } from './browser.mjs';

const NUM_STEPS = 20;
const SEED = 3;
// Every key that affects the result, because for missing keys, a link uses the viewer's defaults and the program uses
// the model's own. The model's own steps are ten times larger: with those, one activation in a chain that rounds to
// the other side of zero makes the chain differ within twenty steps (14 of 60 chains, lavapipe against the CPU).
const RULE = Object.entries({
  'sampler.kind': 'proximal-sgld',
  'sampler.step_size': 0.1,
  'sampler.proximal_radius': 1,
  'sampler.noise_std': 0.01,
  'sampler.step_schedule': 'constant',
});
const TOLERANCE = 1e-3;

/** The longest time, in ms, from navigation to the first words, where nothing else runs. */
const LONGEST_TO_WORDS = 2000;
/** A page that begins slowly does so each time; the best time depends little on other work. */
const NUM_VISITS = 3;

// The longest time to the first moving chain, in ms: about three times what it takes on two cores. WebGPU is computed and drawn on them.
for (const [name, query, kind, longest] of [['WebGPU', '?device=webgpu', 'webgpu', 18_000], ['fallback', '', 'no webgpu', 6000]]) {
  test(`the first words and the first moving chain come soon: ${name}`, async (t) => {
    // The browser and its graphics process start here, so that their start is not part of the page's time.
    await open(t, 'icon.svg', { kind });
    let [words, chain, load] = [Infinity, Infinity, 1];
    const isSoon = () => words < load * LONGEST_TO_WORDS && chain < load * longest;
    for (let visit = 0; visit < NUM_VISITS && !isSoon(); visit += 1) {
      const { page, until, close } = await open(t, query, { kind });
      const { now } = await until('a moving chain', (s) => s.shown_step >= 1);
      const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
      await close();
      [words, chain] = [Math.min(words, painted), Math.min(chain, now)];
      // If more programs want to run than there are cores, all take longer in proportion.
      load = Math.max(1, loadavg()[0] / availableParallelism());
      const secs = [painted, now].map((ms) => (ms / 1000).toFixed(2));
      t.diagnostic(`${name}: ${secs[0]} s from navigation to the first words, ${secs[1]} s to the first moving chain, load ${load.toFixed(1)}`);
    }
    assert.ok(isSoon(), `${words} ms to the first words, ${chain} ms to the first moving chain, load ${load}`);
  });
}

test('?bench=1 measures every device', async (t) => {
  const { page, errors } = await open(t, '?bench=1');
  const report = page.locator('#report');
  for (let waited = 0; !(await page.evaluate(() => jempp.bench)); waited += 1) {
    assert.ok(waited < 300, `no end after 300 s: ${await report.innerText()}`);
    await page.waitForTimeout(1000);
  }
  const text = await report.innerText();
  for (const line of text.split('\n')) t.diagnostic(line);
  await photograph(page, 'bench');
  const rows = await page.evaluate(() => jempp.bench);
  for (const model of ['fashion', 'toy-two-moons']) {
    const [gpu, cpu] = [rows.find((r) => r.model === model && r.launches_per_step > 0), rows.find((r) => r.model === model && r.launches_per_step === 0)];
    assert.ok(gpu?.steps_per_sec > 0 && gpu.submissions_per_step > 0, `${model} on WebGPU: ${text}`);
    assert.ok(cpu?.steps_per_sec > 0, `${model} on the CPU: ${text}`);
  }
  assert.deepEqual(errors, []);
});

/** Opens the page's check, and returns the text and the comparisons when all are made. */
async function check(t, kind, query = '?check=short') {
  const { page, errors } = await open(t, query, { kind });
  const report = page.locator('#report');
  // SwiftShader takes a minute. For ?check=1 it takes many, most of them for kernels with 65,537 workgroups.
  for (let waited = 0; !(await page.evaluate(() => jempp.check)); waited += 1) {
    assert.ok(waited < 600, `no end after 600 s: ${await report.innerText()}`);
    await page.waitForTimeout(1000);
  }
  assert.deepEqual(errors, []);
  return { page, text: await report.innerText(), rows: await page.evaluate(() => jempp.check) };
}

/** Asserts that nothing runs off the sides of the screen, and that no row of the table is broken into two. */
async function assertFits(page, text) {
  const report = page.locator('#report');
  assert.ok(await report.evaluate((element) => element.scrollWidth <= element.clientWidth), 'the report is wider than the screen');
  const columns = await report.evaluate((element) => {
    const { fontSize, paddingLeft, paddingRight } = getComputedStyle(element);
    const letter = document.createElement('canvas').getContext('2d');
    letter.font = `${fontSize} monospace`;
    return (element.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)) / letter.measureText('m').width;
  });
  const rows = text.split('\n').filter((row) => / (ok|DIFFERS)$/.test(row));
  for (const row of rows) assert.ok(row.length <= columns, `${row}: there are ${columns} columns`);
}

test('?check=short compares every kernel and a network with the CPU', async (t) => {
  const { page, text, rows } = await check(t, 'webgpu');
  for (const line of text.split('\n')) t.diagnostic(line);
  await photograph(page, 'check');
  for (const name of ['proximal_step', 'norm_apply', 'flat-8x4', 'weight-16x8', 'cnn-base']) {
    assert.ok(rows.some((row) => row.name === name), `${name} is not compared: ${text}`);
  }
  assert.deepEqual(rows.filter((row) => !row.agrees), []);
  assert.match(text, new RegExp(`^${rows.length} of ${rows.length} comparisons agree`, 'm'));

  await page.setViewportSize({ width: 390, height: 844 });
  await photograph(page, 'check-phone');
  await assertFits(page, text);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), text.trim());
});

for (const [how, end, reason, options] of [
  ['fails', () => void setTimeout(() => { throw new Error('a test'); }), /a test/, {}],
  ['ends without a word', () => self.close(), /not answered/, { quick: true }],
]) {
  test(`a check whose worker ${how} keeps its rows and says why`, async (t) => {
    const { page } = await open(t, '?check=short', { kind: 'webgpu', ...options });
    const report = page.locator('#report');
    const rows = async () => (await report.innerText()).split('\n').filter((row) => / (ok|DIFFERS)$/.test(row));
    await eventually('three rows', async () => (await rows()).length >= 3, 300);
    const [first] = await rows();
    await page.workers()[0].evaluate(end);
    await eventually('the reason', async () => /Stopped before the end: /.test(await report.innerText()), 120);
    const text = await report.innerText();
    assert.match(text, reason);
    assert.match(text, /send us this text/);
    assert.ok(text.includes(first) && (await rows()).length >= 3, text);
    // Nothing covers it.
    const { x, y, width, height } = await report.boundingBox();
    assert.equal(await page.evaluate(([x, y]) => document.elementFromPoint(x, y).id, [x + width / 2, y + height / 3]), 'report');
  });
}

test('?check says plainly that there is no WebGPU', async (t) => {
  const { page, text, rows } = await check(t, 'no webgpu');
  assert.match(text, /There is nothing to check, because this browser gives no WebGPU adapter: try the current version/);
  assert.deepEqual(rows, []);
  await page.setViewportSize({ width: 390, height: 844 });
  await photograph(page, 'check-phone-without-webgpu');
  await assertFits(page, text);
});

test('the same seed gives the same energies everywhere', async (t) => {
  const program = process.env.JEMPP_BIN;
  if (!program) return t.skip('JEMPP_BIN does not say where the native program is');
  const folder = mkdtempSync(join(tmpdir(), 'jempp-'));
  t.after(() => rmSync(folder, { recursive: true }));

  // Its error stream appears only in the error message if it fails.
  const run = (args) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const natively = (device) => {
    const out = join(folder, device);
    run(['sample', '--model=fashion', '--per-class=1', `--steps=${NUM_STEPS}`, `--seed=${SEED}`, `--device=${device}`, `--out=${out}`, ...RULE.map(([key, value]) => `--set=${key}=${value}`)]);
    const [head, ...rows] = readFileSync(join(out, 'traces.csv'), 'utf8').trim().split('\n').map((line) => line.split(','));
    const at = (row, name) => Number(row[head.indexOf(name)]);
    return rows.filter((row) => at(row, 'step') === NUM_STEPS).map((row) => at(row, 'energy'));
  };
  const inBrowser = async (device, kind) => {
    const { until } = await open(t, `?seed=${SEED}&per_class=1&num_steps=${NUM_STEPS}&device=${device}&${new URLSearchParams(RULE)}`, { kind });
    const state = await until('the last step', (s) => s.shown_step === NUM_STEPS && !s.is_running, 300);
    assert.equal(state.is_cpu, device === 'cpu', state.device);
    return state.energies[0];
  };

  const expected = natively('cpu');
  assert.equal(expected.length, 10);
  const found = { 'wasm fallback': await inBrowser('cpu', 'no webgpu'), 'browser WebGPU': await inBrowser('webgpu', 'webgpu') };
  const adapters = JSON.parse(run(['devices', '--json']));
  const lavapipe = adapters.find((adapter) => /llvmpipe|lavapipe/i.test(adapter.name));
  if (lavapipe) found['native lavapipe'] = natively(String(lavapipe.index));
  else t.diagnostic('lavapipe is not here and was left out');

  for (const [name, energies] of Object.entries(found)) {
    const errors = expected.map((energy, chain) => Math.abs(energies[chain] - energy) / Math.abs(energy));
    t.diagnostic(`${name}: energies off by ${Math.max(...errors).toExponential(1)} relative at most`);
    assert.equal(energies.length, expected.length);
    assert.ok(Math.max(...errors) <= TOLERANCE, `${name}: ${energies}; native CPU: ${expected}`);
  }
});

test('another worker shares the work of a step, and chains run on if it fails', async (t) => {
  if (availableParallelism() < 2) return t.skip('there is one core');
  const { page, until, errors } = await open(t, '?num_steps=5000&max_steps_per_sec=1000&play=true', { kind: 'no webgpu' });
  await eventually('another worker', () => page.workers().length > 1, 120);
  const { shown_step: begun } = await until('steps with two workers', (s) => s.shown_step >= 30);
  const [, helper] = page.workers();
  await helper.evaluate(() => void setTimeout(() => { throw new Error('a test'); }));
  await eventually('one worker', () => page.workers().length === 1, 120);
  await until('more steps', (s) => s.shown_step >= begun + 40);
  assert.deepEqual(errors.filter((error) => !/a test/.test(error)), []);
});
