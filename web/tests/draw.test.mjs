// Drawing one's own data in the page, and training on it with the CPU back end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, kept, open, photograph, sleep, swipe } from './browser.mjs';

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

// Where the buttons and the pad are, in points, on a phone of 390×844.
const PHONE = { draw: [195, 67], train: [327, 61], stroke: { from: [100, 220], by: [14, 18], moves: 10 } };

test('on a phone, a finger draws and trains', async (t) => {
  const options = { kind: 'no webgpu', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  const { page, origin, errors, until } = await open(t, '?tab=train&per_class=1', options);
  await until('a model', (s) => s.energies.length > 0);
  // One drawing less than a model needs: three of each class.
  const drawing = [[[0.2, 0.2], [0.8, 0.2], [0.5, 0.8]]];
  const classes = [['line', 2], ['triangle', 3]].map(([name, count]) => ({ name, drawings: Array(count).fill(drawing) }));
  await kept(page, 'drawings', JSON.stringify({ classes }));
  await page.goto(`${origin}?tab=train&per_class=1`);
  await until('the drawings of the last visit', (s) => s.num_drawings === 5 && s.energies.length > 0);
  await page.touchscreen.tap(...PHONE.draw);
  await sleep(500);
  // What the browser says when it takes a finger away from the page, to scroll or to zoom.
  await page.evaluate(() => {
    globalThis.taken = [];
    for (const type of ['touchcancel', 'scroll']) addEventListener(type, () => taken.push(type), { capture: true });
  });
  const { from, by, moves } = PHONE.stroke;
  await swipe(page, Array.from({ length: moves + 1 }, (_, move) => [from[0] + move * by[0], from[1] + move * by[1]]));
  const moved = await page.evaluate(() => [taken, scrollX, scrollY, visualViewport.pageTop, visualViewport.scale]);
  await photograph(page, 'draw-phone');
  assert.deepEqual(moved, [[], 0, 0, 0, 1], 'the page stayed where it was');
  await until('the sixth drawing', (s) => s.num_drawings === 6, 20);
  // The line is as the finger drew it: neither the browser nor the page scrolled the pad below it.
  const stored = async () => JSON.parse(await kept(page, 'drawings')).classes[0].drawings;
  await eventually('the drawing is kept', async () => (await stored()).length === 3);
  const [stroke, ...others] = (await stored())[2];
  assert.deepEqual(others, [], 'one stroke');
  assert.ok(stroke.length >= 4, `more than its ends: ${JSON.stringify(stroke)}`);
  const [dx, dy] = [0, 1].map((axis) => stroke.at(-1)[axis] - stroke[0][axis]);
  assert.ok(dx > 0.3 && Math.abs(dy / dx - by[1] / by[0]) < 0.1, `${dx}, ${dy}`);
  await page.touchscreen.tap(...PHONE.train);
  await until('a training step', (s) => s.is_training && s.training_step > 0);
  assert.deepEqual(errors, []);
});
