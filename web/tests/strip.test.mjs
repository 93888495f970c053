// Tests of lessons in frames and of what is said of them: who scrolls, what a missing text does, and the names of controls.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, open, sleep, swipe } from './browser.mjs';

const KIND = { kind: 'no webgpu' };

/** Opens a page of somebody else's with jempp in a frame of this height at its top. */
async function host(t, frame, height, options = {}) {
  const body = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>A lecture</title><body style="margin: 0; height: 4000px">
    <iframe title="jempp" src="${frame}" style="display: block; border: 0; width: 640px; height: ${height}px"></iframe>`;
  const routes = { '**/host.html': { contentType: 'text/html', body } };
  const { page } = await open(t, 'host.html', { ...KIND, viewport: { width: 660, height: 1000 }, ...options, routes });
  const inside = () => page.frames().find((one) => one !== page.mainFrame());
  const state = () => inside()?.evaluate(() => globalThis.jempp?.state?.()).catch(() => null);
  const until = (what, isSo) => eventually(what, async () => isSo((await state()) ?? { lab: {} }), 120);
  const scrolled = () => page.evaluate(() => scrollY);
  return { page, inside, state, until, scrolled };
}

const OF_TOUCH = { hasTouch: true, isMobile: true };
const isThere = (s) => s.lesson && s.lab.has_surface;

test('the wheel over the text of a lesson moves the text, and at its end the host', async (t) => {
  // In a frame of 480 pixels this text is longer than its place, and in the other one it fits.
  for (const [link, height, fits] of [['lesson=4&lesson_step=4', 480, false], ['lesson=4&lesson_step=2', 900, true]]) {
    const { page, until, scrolled } = await host(t, `embed.html?${link}`, height);
    await until('the lesson', isThere);
    await sleep(1000);
    await page.mouse.move(300, 150);
    await page.mouse.wheel(0, 40);
    await sleep(500);
    assert.equal((await scrolled()) > 0, fits, `at once, ${link}`);
    for (let turn = 0; turn < 30 && (await scrolled()) === 0; turn += 1) {
      await page.mouse.wheel(0, 100);
      await sleep(300);
    }
    assert.ok((await scrolled()) > 0, link);
  }
});

test('a finger scrolls the host over a text that fits, and moves a slider', async (t) => {
  const first = await host(t, 'embed.html?lesson=4&lesson_step=2', 900, OF_TOUCH);
  await first.until('the lesson', isThere);
  await sleep(1000);
  await swipe(first.page, Array.from({ length: 11 }, (_, step) => [300, 300 - 15 * step]));
  await eventually('the host scrolls', async () => (await first.scrolled()) > 50);

  const { page, state, until, scrolled } = await host(t, 'embed.html?per_class=2', 360, OF_TOUCH);
  await until('chains', (s) => s.energies?.length > 0);
  const { query } = await state();
  let hasMoved = false;
  // The sliders are below the chains or beside them.
  for (let y = 60; y < 355 && !hasMoved; y += 8) {
    for (const x of [60, 520]) {
      await page.evaluate(() => scrollTo(0, 0));
      await swipe(page, Array.from({ length: 9 }, (_, step) => [x + 10 * step, y - 5 * step]));
      await sleep(150);
      if ((await state()).query === query) continue;
      hasMoved = true;
      assert.equal(await scrolled(), 0, `${x}, ${y}`);
      break;
    }
  }
  assert.ok(hasMoved, 'a slider moves');
});

test('the full page in a frame leaves the wheel to its host until a person enters it', async (t) => {
  const { page, until, scrolled } = await host(t, 'index.html?per_class=2&num_steps=100000', 480);
  await until('chains', (s) => s.energies?.length > 0);
  const turn = async () => {
    await page.evaluate(() => scrollTo(0, 0));
    await page.mouse.move(300, 200);
    await page.mouse.wheel(0, 300);
    await sleep(500);
    return scrolled();
  };
  assert.ok((await turn()) > 100, 'at first');
  await page.evaluate(() => scrollTo(0, 0));
  await page.mouse.click(300, 200);
  await sleep(300);
  assert.equal(await turn(), 0, 'once it was entered');
  await page.mouse.click(300, 700);
  await sleep(300);
  assert.ok((await turn()) > 100, 'once it was left');
});

test('the full page in a frame leaves the finger to its host until a person enters it', async (t) => {
  const { page, inside, until, scrolled } = await host(t, 'index.html?per_class=2&num_steps=100000', 480, OF_TOUCH);
  await until('chains', (s) => s.energies?.length > 0);
  const move = () => swipe(page, Array.from({ length: 11 }, (_, step) => [300, 300 - 15 * step]));
  await move();
  await eventually('the host scrolls', async () => (await scrolled()) > 50);
  await page.evaluate(() => scrollTo(0, 0));
  await sleep(300);
  await page.touchscreen.tap(300, 200);
  await eventually('it has the focus', () => inside().evaluate(() => document.hasFocus()), 10);
  await move();
  await sleep(500);
  assert.equal(await scrolled(), 0);
});

const words = (page) => page.locator('#now').textContent();

/** Presses the button Load it again, below the reason, until the lesson is there. */
async function loadAgain(page, until, x, [from, to]) {
  for (let y = from; y < to; y += 6) {
    await page.mouse.click(x, y);
    if (await until('the lesson', (s) => s.lesson, 1).catch(() => null)) return;
  }
  throw new Error('it cannot be loaded again');
}

test('why a lesson does not come stays in its place, and it can be loaded again', async (t) => {
  const path = '**/assets/lessons/8.md*';
  const causes = [[/404/, { routes: { [path]: { status: 404, body: '' } } }], [/half a minute/, { stalls: path }]];
  const places = [['?lesson=8', { width: 1280, height: 800 }, 1010, [90, 300]], ['embed.html?lesson=8', { width: 480, height: 360 }, 40, [52, 178]]];
  for (const [link, viewport, x, range] of places) {
    for (const [why, cause] of causes) {
      const { page, until, close } = await open(t, link, { ...KIND, viewport, quick: true, ...cause });
      await eventually('the reason', async () => /The lesson cannot be shown: .*lessons\/8\.md/.test(await words(page)));
      assert.match(await words(page), why);
      // Longer than a notice stays, and no other chains play meanwhile.
      await sleep(14_000);
      assert.match(await words(page), /The lesson cannot be shown/);
      const state = await until('the model', (s) => s.model);
      assert.deepEqual([state.is_running, state.last_step, state.lesson ?? null, state.why_not ?? null], [false, 0, null, null]);
      await page.context().unroute(path);
      await loadAgain(page, until, x, range);
      await until('what the lesson sets up', (s) => s.lab.has_surface);
      assert.doesNotMatch(await words(page), /cannot be shown/);
      await close();
    }
  }
});

test('a lesson comes although another one is missing', async (t) => {
  const { until } = await open(t, '?lesson=3', { ...KIND, routes: { '**/assets/lessons/8.md*': { status: 404, body: '' } } });
  const state = await until('the lesson', (s) => s.lesson && s.lab.has_surface);
  assert.deepEqual(state.notices, []);
});

test('chains run while the text of a lesson does not come', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', { ...KIND, stalls: '**/assets/lessons/3.md*' });
  await until('chains that run', (s) => s.last_step >= 2);
  await page.evaluate(() => {
    history.pushState(null, '', '?lesson=3');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  await sleep(1500);
  const before = await until('a state', () => true);
  await until('later steps', (s) => s.last_step > before.last_step + 1, 15);
});

test('a screen reader says each control that the Tab key leads to, once', async (t) => {
  const { page, until } = await open(t, 'embed.html?per_class=2', { ...KIND, viewport: { width: 480, height: 360 }, reducedMotion: 'reduce' });
  await until('chains', (s) => s.energies.length > 0);
  await page.evaluate(() => {
    globalThis.said = [];
    const listener = new MutationObserver(() => globalThis.said.push(document.getElementById('news').textContent));
    listener.observe(document.getElementById('news'), { childList: true, characterData: true, subtree: true });
  });
  const said = () => page.evaluate(() => globalThis.said);
  await page.locator('#canvas').focus();
  for (let press = 0; press < 4; press += 1) {
    await page.keyboard.press('Tab');
    await sleep(800);
  }
  for (const control of [/^▶ Play, button$/, /^step size α, slider, [\d.]+$/]) {
    assert.equal((await said()).filter((text) => control.test(text)).length, 1, `${control} in ${await said()}`);
  }
  // Nothing is said by itself.
  const count = (await said()).length;
  await sleep(1500);
  assert.equal((await said()).length, count);
});

test('the answer of a lesson is there for screen readers, folded', async (t) => {
  const { page } = await open(t, '?lesson=4&lesson_step=2', KIND);
  const answer = page.locator('#words details');
  await answer.waitFor({ state: 'attached', timeout: 120_000 });
  assert.match(await answer.textContent(), /^Answer.*0\.0162/s);
  const [isOpen, stop] = await answer.evaluate((details) => [details.open, details.firstChild.tabIndex]);
  assert.deepEqual([isOpen, stop], [false, -1]);
  assert.doesNotMatch((await page.locator('#words > p').allTextContents()).join(), /0\.0162/);
});
