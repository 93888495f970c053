// Tests of the lab and the lessons in the page.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { open, photograph, sleep } from './browser.mjs';

const isPlaying = (s) => s.lab.step > 20 || s.last_step > 3;

const NUM_STEPS = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => {
  const text = readFileSync(new URL(`../../assets/lessons/${number}.md`, import.meta.url), 'utf8');
  return text.match(/^## /gm).length;
});
// What a step must show, beyond running chains.
const CLAIMS = {
  4.1: ['an explosion', (s) => s.lab.total_variation[0] > 0.95],
  7.1: ['two lanes alike', (s) => s.lab.step > 20 && s.lab.total_variation[0] > 0 && s.lab.total_variation[0] === s.lab.total_variation[1]],
  8.1: ['learning', (s) => s.lab.learning_step > 3],
  8.2: ['learning', (s) => s.lab.learning_step > 3],
  8.3: ['learning', (s) => s.lab.learning_step > 3],
};

for (const [index, count] of NUM_STEPS.entries()) {
  const number = index + 1;
  test(`the steps of lesson ${number} open by their links and play`, async (t) => {
    for (let step = 1; step <= count; step += 1) {
      const { page, errors, requests, until, close } = await open(t, `?lesson=${number}&lesson_step=${step}`);
      await until('its text', (s) => s.lesson);
      // In the first step of lesson 1, nothing moves.
      const state = await until('chains', number === 1 && step === 1 ? (s) => s.lab.has_surface : isPlaying);
      assert.match(state.query, new RegExp(`(^|&)lesson=${number}(&|$)`));
      const claim = CLAIMS[`${number}.${step}`];
      if (claim) await until(...claim);
      await sleep(number === 8 ? 6000 : 2000);
      await photograph(page, `lesson-${number}-${step}`);
      assert.equal(requests.filter((url) => /lessons\/\d\.md/.test(url)).length, 8, 'all lessons came at once');
      assert.deepEqual(errors, []);
      await close();
    }
  });
}

test('the lab holds its pace with 10,000 chains', async (t) => {
  const { page, errors, until } = await open(t, '?tab=lab&lab.num_chains=10000&play=true', { kind: 'no webgpu' });
  await until('chains that run', isPlaying);
  await sleep(500);
  const from = await until('a step', () => true);
  await sleep(5000);
  const to = await until('a later step', (s) => s.lab.step > from.lab.step);
  const rate = (1000 * (to.lab.step - from.lab.step)) / (to.now - from.now);
  t.diagnostic(`${rate.toFixed(1)} steps/s of 30 wanted`);
  await photograph(page, 'lab');
  assert.deepEqual(errors, []);
});

test('a painted density is in the address, and a lesson in a frame', async (t) => {
  const first = await open(t, '?tab=lab&lab.target=painted&lab.painted=-40,0,40,0');
  await first.until('the surface', (s) => s.lab.has_surface);
  // Choose Paint, then draw a stroke over the plane.
  await first.page.mouse.click(38, 124);
  await first.page.mouse.move(560, 300);
  await first.page.mouse.down();
  await first.page.mouse.move(600, 260, { steps: 8 });
  await first.page.mouse.up();
  const state = await first.until('more dabs', (s) => new URLSearchParams(s.query).get('lab.painted')?.split(',').length > 4);
  await photograph(first.page, 'lab-painted');
  const frame = await open(t, `embed.html?${state.query}&play=true`, { viewport: { width: 480, height: 420 } });
  await frame.until('chains that run', isPlaying);
  await photograph(frame.page, 'lab-embedded');
  assert.deepEqual(frame.errors, []);
});

test('the lab fits a phone', async (t) => {
  const options = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  const { page, errors, until } = await open(t, '?lesson=3', options);
  await until('chains that run', isPlaying);
  await sleep(2000);
  await photograph(page, 'lesson-phone');
  assert.deepEqual(errors, []);
});
