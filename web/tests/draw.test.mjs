// Drawing one's own data in the page, and training on it with the CPU back end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, photograph, sleep } from './browser.mjs';

// Where the buttons are, in points, in a window of 1280×800.
const TRAIN_TAB = [215, 14];
const DRAW = [172, 59];
const TRAIN = [1208, 55];
const PAD = { left: 16, top: 97, side: 400 };
const EXAMPLES = [500, 437];

test('a finger draws, examples fill the classes, and a model learns them within a minute', async (t) => {
  const { page, errors, until } = await open(t, '?per_class=1&num_steps=2', { kind: 'no webgpu', hasTouch: true });
  await until('the end', (s) => s.shown_step === 2 && !s.is_running);
  await page.mouse.click(...TRAIN_TAB);
  await sleep(500);
  await page.mouse.click(...DRAW);
  await sleep(500);
  await page.touchscreen.tap(PAD.left + PAD.side / 2, PAD.top + PAD.side / 2);
  await page.mouse.move(PAD.left + 60, PAD.top + 60);
  await page.mouse.down();
  await page.mouse.move(PAD.left + 200, PAD.top + 300, { steps: 10 });
  await page.mouse.up();
  // The pause after which the drawing joins its class.
  await sleep(3000);
  await photograph(page, 'draw');
  const drawn = await until('a drawing', (s) => s.num_drawings > 0, 10);
  assert.equal(drawn.num_drawings, 1);
  await page.mouse.click(...EXAMPLES);
  await until('the examples', (s) => s.num_drawings === 30, 10);
  // The button is enabled in the next frame.
  await sleep(500);
  const begin = Date.now();
  const secs = () => ((Date.now() - begin) / 1000).toFixed(1);
  await page.mouse.click(...TRAIN);
  await until('a training step', (s) => s.is_training && s.training_step > 0);
  t.diagnostic(`from the click to the first training step: ${secs()} s`);
  const before = await page.locator('#canvas').screenshot();
  await until('chains that move', (s) => s.training_step > 50);
  assert.ok(!before.equals(await page.locator('#canvas').screenshot()));
  t.diagnostic(`from the click to step 50: ${secs()} s`);
  await photograph(page, 'draw-training');
  const end = await until('the end of training', (s) => !s.is_training && s.training_step === 600, 400);
  t.diagnostic(`from the click to the end of training: ${secs()} s`);
  assert.match(end.model, /drawings/);
  await sleep(1000);
  await photograph(page, 'draw-end');
  assert.deepEqual(errors, []);
});
