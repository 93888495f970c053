// Measures the speed of the page, and tests that it computes the same numbers as the native program.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { open, photograph } from './browser.mjs';

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

for (const [name, query, kind] of [['WebGPU', '?device=webgpu', 'webgpu'], ['fallback', '', 'no webgpu']]) {
  test(`the first chain moves soon: ${name}`, async (t) => {
    // The browser and its graphics process start here, so that their start is not part of the page's time.
    await open(t, 'icon.svg', { kind });
    const { until } = await open(t, query, { kind });
    const state = await until('a moving chain', (s) => s.shown_step >= 1);
    t.diagnostic(`${name}: ${(state.now / 1000).toFixed(2)} s from navigation to the first moving chain`);
    assert.ok(state.now < 30_000, `${state.now} ms`);
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
