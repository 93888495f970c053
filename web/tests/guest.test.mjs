// Tests of the page as a guest: in a frame of another page, with links that others changed, and when its files do not come.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DIST, address, drop, dropUnread, eventually, killWorker, open, photograph, pressNext, sleep, swipe } from './browser.mjs';

const KIND = { kind: 'no webgpu' };

/** Opens a page of somebody else's with jempp in a frame, between a link above and a link below. */
async function host(t, frame, options = {}) {
  const body = `<!doctype html><html lang="en"><title>A lecture</title><body style="margin: 0; height: 3000px">
    <a id="above" href="#">above</a><br><iframe id="frame" title="jempp" src="${frame}" style="width: 480px; height: 360px"></iframe><br><a id="below" href="#">below</a>`;
  const routes = { '**/host.html': { contentType: 'text/html', body, headers: {} } };
  const opened = await open(t, 'host.html', { ...KIND, ...options, routes });
  const inside = () => opened.page.frames().find((one) => one.url().includes(frame.split('?')[0]));
  /** Waits for a state of the frame's viewer. */
  async function until(what, isSo, secs = 120) {
    for (const end = Date.now() + secs * 1000; Date.now() < end; await sleep(100)) {
      const state = await inside()?.evaluate(() => globalThis.jempp?.state?.()).catch(() => null);
      if (state?.device && isSo(state)) return state;
    }
    throw new Error(`${what}: not so within ${secs} s`);
  }
  const active = () => opened.page.evaluate(() => document.activeElement.id || document.activeElement.tagName);
  return { ...opened, inside, until, active };
}

test('a frame leaves the focus, the wheel and the Tab key to its host', async (t) => {
  const { page, inside, until, active } = await host(t, 'embed.html?per_class=2&num_steps=100000');
  await until('chains that run', (s) => s.last_step >= 2);
  assert.equal(await active(), 'BODY', 'no focus at load');

  await page.mouse.move(200, 150);
  await page.mouse.wheel(0, 300);
  await page.waitForFunction(() => scrollY > 100, null, { timeout: 5000 });
  await page.evaluate(() => scrollTo(0, 0));

  // Tab goes through the frame and leaves it at its end, and Shift+Tab at its beginning.
  await page.locator('#above').focus();
  const [way, rings] = [[], []];
  for (let press = 0; press < 30 && way.at(-1) !== 'below'; press += 1) {
    await page.keyboard.press('Tab');
    await sleep(120);
    way.push(await active());
    if (way.at(-1) === 'frame') rings.push(await inside().evaluate(() => [document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle].join()));
  }
  // The frame shows that it has the focus, also before one of its controls does.
  assert.ok(rings.includes('canvas,solid') && !rings.includes('canvas,none'), `${rings}`);
  assert.equal(way.at(-1), 'below', `${way}`);
  assert.ok(way.filter((id) => id === 'frame').length >= 6, `its controls have the focus in turn: ${way}`);
  const back = [];
  for (let press = 0; press < 30 && back.at(-1) !== 'above'; press += 1) {
    await page.keyboard.press('Shift+Tab');
    await sleep(120);
    back.push(await active());
  }
  assert.equal(back.at(-1), 'above', `${back}`);
});

test('a finger scrolls the host, but not on a slider', async (t) => {
  const { page, inside, until } = await host(t, 'embed.html?per_class=2&num_steps=100000&play=true', { hasTouch: true, isMobile: true, viewport: { width: 500, height: 600 } });
  await until('chains that run', (s) => s.last_step >= 2);
  await swipe(page, Array.from({ length: 11 }, (_, step) => [150, 250 - 15 * step]));
  await sleep(300);
  assert.ok((await page.evaluate(() => scrollY)) > 50, 'over the chains');
  const before = await until('a state', () => true);
  await sleep(500);
  const after = await until('a state', () => true);
  assert.ok(after.last_step > before.last_step, 'the chains still run');
  assert.equal(await inside().evaluate(() => getComputedStyle(document.getElementById('canvas')).touchAction), 'pan-y pinch-zoom');
  // Two fingers zoom the host: the frame leaves them to the browser too.
  const isTaken = await inside().evaluate(() => {
    const target = document.getElementById('canvas');
    const touches = [150, 200].map((clientX, identifier) => new Touch({ identifier, target, clientX, clientY: 150 }));
    const event = new TouchEvent('touchstart', { bubbles: true, cancelable: true, touches, changedTouches: touches });
    return !target.dispatchEvent(event);
  });
  assert.equal(isTaken, false);
});

test('a frame with capture takes keys and wheel at once', async (t) => {
  const { page, until } = await host(t, 'embed.html?per_class=2&capture=1');
  await until('chains', (s) => s.energies.length > 0);
  await page.mouse.move(200, 150);
  await page.mouse.wheel(0, 300);
  await sleep(500);
  assert.equal(await page.evaluate(() => scrollY), 0);
});

test('a link that others changed still leads to its lesson', async (t) => {
  const { page, until } = await open(t, '?lesson=4&fbclid=abc&utm_source=mail&per_class=many', KIND);
  const state = await until('the lesson', (s) => s.lesson);
  assert.match(state.query, /lesson=4/);
  const told = state.notices.join();
  assert.match(told, /per_class.*whole number/);
  assert.match(told, /fbclid.*utm_source/);
  assert.doesNotMatch(told, /u64|usize|expected/);
  await page.waitForFunction(() => !location.search.includes('fbclid'));
});

test('back and forward go through tabs and steps of a lesson', async (t) => {
  const { page, until } = await open(t, '?lesson=2&lesson_step=99', KIND);
  const first = await until('the lesson', (s) => s.lesson && s.energies !== undefined && !/lesson_step=99/.test(s.query));
  await page.waitForFunction(() => !location.search.includes('lesson_step=99') && location.search.includes('lesson=2'));
  const length = await page.evaluate(() => history.length);
  await page.evaluate(() => history.pushState(null, '', '?tab=plots'));
  await page.evaluate(() => history.back());
  await until('the lesson again', (s) => s.lesson === first.lesson);
  await page.evaluate(() => history.forward());
  await until('the plots', (s) => /tab=plots/.test(s.query) && !s.lesson);
  await page.goBack();
  await until('the lesson once more', (s) => s.lesson === first.lesson);
  assert.ok((await page.evaluate(() => history.length)) >= length);
});

test('a link to a lesson is one entry of the history, and so is each step', async (t) => {
  const { page, until } = await open(t, '?lesson=2&fbclid=abc', KIND);
  const length = await page.evaluate(() => history.length);
  await until('the lab', (s) => s.lab.has_surface);
  await page.waitForFunction(() => location.search.includes('tab=lab') && !location.search.includes('fbclid'));
  await sleep(1500);
  assert.equal(await page.evaluate(() => history.length), length, 'nobody went anywhere');
  // The first step has 400 chains, and the second one 2000.
  const isNext = (s) => /lesson_step=2/.test(s.query) && /num_chains=2000/.test(s.query);
  await pressNext(page, until, isNext);
  await page.waitForFunction(() => location.search.includes('lesson_step=2') && location.search.includes('lab.num_chains=2000'));
  assert.equal(await page.evaluate(() => history.length), length + 1);
  await page.goBack();
  await until('the first step', (s) => s.lesson && !/lesson_step/.test(s.query) && /num_chains=400/.test(s.query));
  await sleep(1500);
  await page.goForward();
  await until('the second step', isNext);
});

test('a frame leaves the history to its host', async (t) => {
  const { page, until } = await host(t, 'embed.html?lesson=2');
  const length = await page.evaluate(() => history.length);
  await until('the lab', (s) => s.lab.has_surface && /tab=lab/.test(s.query));
  await sleep(1500);
  assert.equal(await page.evaluate(() => history.length), length);
});

test('a link that lets a lesson play opens the lesson, and so does a link that is shown later', async (t) => {
  const { page, until } = await open(t, '?lesson=3&play=true', KIND);
  await until('the lab that plays', (s) => s.lesson && /tab=lab/.test(s.query) && /target=gaussian/.test(s.query) && s.lab.step > 0);
  await page.evaluate(() => {
    history.pushState(null, '', '?lesson=1&play=true');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  // By itself, nothing moves in this step.
  await until('another lesson that plays', (s) => /lesson=1/.test(s.query) && /target=model/.test(s.query) && s.lab.step > 0);
});

test('a link that only others changed opens the page as it is without a link', async (t) => {
  const { until } = await open(t, '?fbclid=abc&utm_source=x', KIND);
  const state = await until('chains', (s) => s.energies.length > 0);
  const query = new URLSearchParams(state.query);
  assert.deepEqual([Number(query.get('per_class')), Number(query.get('max_steps_per_sec'))], [4, 10]);
});

test('what is asked of a frame before it is ready is done', async (t) => {
  const body = `<!doctype html><body><script src="embed.js"></script><jempp-frame id="runs" height="300" query="lesson=1"></jempp-frame>
    <jempp-frame id="rests" height="300" query="lesson=3"></jempp-frame><jempp-frame id="shows" height="300" query="per_class=1"></jempp-frame>
    <script>runs.play(); rests.pause(); shows.show('tab=lab&lab.num_chains=60'); shows.play();</script>`;
  const options = { ...KIND, viewport: { width: 600, height: 1200 }, routes: { '**/host.html': { contentType: 'text/html', body } } };
  const { page } = await open(t, 'host.html', options);
  const until = (isSo) => page.waitForFunction(isSo, null, { timeout: 120_000 });
  const state = (id) => page.evaluate((id) => document.getElementById(id).state, id);
  await until(() => document.getElementById('runs').state?.step > 0);
  await until(() => document.getElementById('shows').state?.step > 0);
  assert.match((await state('shows')).query, /tab=lab.*num_chains=60/);
  await until(() => /tab=lab/.test(document.getElementById('rests').state?.query));
  await sleep(1500);
  const before = await state('rests');
  await sleep(1000);
  const { is_running: isRunning, step } = await state('rests');
  assert.deepEqual([isRunning, step], [false, before.step]);
});

test('a frame reads a pasted link, at first and later, and keys of the page are none of its state', async (t) => {
  const body = `<!doctype html><body><script src="embed.js"></script>
    <jempp-frame height="300" query="https://elsewhere.example/?num_steps=7&amp;per_class=1#top"></jempp-frame>`;
  const { page } = await open(t, 'host.html', { ...KIND, routes: { '**/host.html': { contentType: 'text/html', body } } });
  const number = (key) => page.evaluate((key) => Number(new URLSearchParams(document.querySelector('jempp-frame').state?.query).get(key)), key);
  const shows = (what, perClass) => eventually(what, async () => (await number('per_class')) === perClass, 120);
  const show = (query) => page.evaluate((query) => document.querySelector('jempp-frame').show(query), query);
  await shows('the link at first', 1);
  await show('per_class=2&theme=dark&device=auto&capture=1');
  await shows('another state', 2);
  const inside = page.frames().find((one) => one.url().includes('embed.html'));
  assert.deepEqual(await inside.evaluate(() => globalThis.jempp.state().notices), []);
  await show('https://elsewhere.example/?per_class=3#:~:text=chains');
  await shows('a link later', 3);
  for (const query of ['https://elsewhere.example/', '', 'fbclid=abc']) {
    await show(query);
    await shows(`what the page shows without a link: ${query}`, 4);
    assert.equal(await number('max_steps_per_sec'), 10);
    await show('per_class=2');
    await shows('the other state', 2);
    assert.doesNotMatch((await inside.evaluate(() => globalThis.jempp.state().notices)).join(), /elsewhere/);
  }
  const source = await page.evaluate(() => {
    const frame = Object.assign(document.createElement('jempp-frame'), { style: 'margin-top: 9999px' });
    frame.setAttribute('query', 'https://elsewhere.example/#top');
    document.body.append(frame);
    return frame.firstChild.src;
  });
  assert.deepEqual([...new URL(source).searchParams.keys()], ['theme'], 'an address without a query asks for nothing');
});

test('a file that is dropped on a frame is told where it can be opened', async (t) => {
  const { page, until } = await open(t, 'embed.html?per_class=1', KIND);
  await until('chains', (s) => s.energies.length > 0);
  await drop(page, 'mine.safetensors');
  const told = await until('a message', (s) => s.notices.length > 0, 20);
  assert.match(told.notices.join(), /cannot be opened here/);
});

test('what the canvas shows is there in words', async (t) => {
  const { page, until } = await open(t, '?lesson=1', KIND);
  await until('the lesson', (s) => s.lesson);
  await page.waitForFunction(() => document.getElementById('words').children.length > 0);
  assert.match(await page.title(), /lesson 1 of 8/);
  assert.match(await page.locator('#title').textContent(), /lesson 1/);
  await page.waitForFunction(() => /median energy|Step/.test(document.getElementById('now').textContent));
  const names = await page.evaluate(() => [...document.querySelectorAll('canvas, input')].map((one) => one.getAttribute('aria-label')));
  assert.ok(names.length >= 2 && names.every(Boolean), `${names}`);
});

test('a screen reader says what is new, and leaves the numbers of every step alone', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000&max_steps_per_sec=10', KIND);
  await until('chains that run', (s) => s.last_step >= 1);
  const says = (text) => page.waitForFunction((text) => document.getElementById('news').textContent.includes(text), text, { timeout: 20_000 });
  await says('The chains run.');
  const numbers = () => page.locator('#now').textContent();
  const before = await numbers();
  await page.evaluate(() => {
    globalThis.said = [];
    const listener = new MutationObserver((changes) => changes.forEach(({ target }) => globalThis.said.push(target.textContent)));
    for (const live of document.querySelectorAll('section :is([role=status], [role=alert], [aria-live])')) listener.observe(live, { childList: true, characterData: true, subtree: true });
  });
  await sleep(12_000);
  assert.notEqual(await numbers(), before, 'the numbers are there for who asks');
  assert.equal(await page.locator('#canvas').getAttribute('aria-describedby'), 'now');
  const said = await page.evaluate(() => globalThis.said);
  assert.ok(said.length <= 1, `nothing was new: ${said}`);
  await page.keyboard.press('Space');
  await says('The chains rest at step ');
  await page.workers()[0].evaluate(() => void setTimeout(() => { throw new Error('a test'); }));
  await eventually('an alarm', async () => /^Stopped: .*a test/.test(await page.locator('#alarm[role=alert]').textContent()), 20);
});

test('another lesson is told at once, although chains run', async (t) => {
  const { page, until } = await open(t, '?lesson=3&play=true', KIND);
  await until('chains that run', (s) => s.lesson && s.lab.step > 0);
  await page.waitForFunction(() => /lesson 3/.test(document.getElementById('title').textContent));
  await page.evaluate(() => {
    history.pushState(null, '', '?lesson=1&play=true');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  await until('its text', (s) => /lesson=1/.test(s.query) && s.lesson);
  await page.waitForFunction(() => /lesson 1/.test(document.getElementById('title').textContent), null, { timeout: 2000 });
});

/** Asserts that axe finds no serious fault in the page. */
async function assertNoFault(page) {
  await page.evaluate(readFileSync(fileURLToPath(new URL('../node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8'));
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
}

const SHOWN = {
  light: ['?per_class=1', 'embed.html?per_class=1', '?per_class=1&lesson=3', 'embed.html?lesson=3'],
  dark: ['?per_class=1', 'embed.html?lesson=3'],
};
for (const [colorScheme, paths] of Object.entries(SHOWN)) {
  for (const path of paths) {
    test(`axe finds no serious fault in ${path}, ${colorScheme}`, async (t) => {
      const { page, until } = await open(t, path, { ...KIND, colorScheme });
      await until('chains', (s) => s.energies.length > 0 || s.lab.has_surface);
      await sleep(1000);
      await assertNoFault(page);
    });
  }

  test(`axe finds no serious fault in a page that cannot start, ${colorScheme}`, async (t) => {
    const { page } = await open(t, '', { ...KIND, colorScheme, routes: { '**/jempp_bg.wasm': { status: 503, body: '' } } });
    await page.locator('#failure').waitFor({ state: 'visible' });
    await assertNoFault(page);
  });
}

test('less motion means that nothing starts by itself', async (t) => {
  const { until } = await open(t, '?per_class=1', { ...KIND, reducedMotion: 'reduce' });
  const state = await until('chains', (s) => s.energies.length > 0);
  await sleep(1000);
  assert.equal(state.is_running, false);
  assert.equal((await until('a state', () => true)).last_step, 0);
});

test('less motion that is asked for later stops what runs', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', KIND);
  await until('chains that run', (s) => s.is_running && s.last_step >= 1);
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await until('a rest', (s) => !s.is_running, 20);
  await page.evaluate(() => {
    history.pushState(null, '', '?lesson=3');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  await until('the lab', (s) => s.lab.has_surface && /tab=lab/.test(s.query));
  await sleep(1000);
  const { lab } = await until('a state', () => true);
  assert.deepEqual([lab.is_running, lab.step], [false, 0]);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  await sleep(300);
  await page.evaluate(() => {
    history.pushState(null, '', '?lesson=3&lesson_step=2');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  await until('a step that plays by itself again', (s) => s.lab.step > 0, 60);
});

for (const query of ['?tab=lab&play=true', '?lesson=3', '?lesson=3&play=true']) {
  test(`less motion holds for the lab: ${query}`, async (t) => {
    const { page, until } = await open(t, query, { ...KIND, reducedMotion: 'reduce' });
    await until('the lab', (s) => s.lab.has_surface);
    await sleep(1000);
    const { lab } = await until('a state', () => true);
    assert.deepEqual([lab.is_running, lab.step], [false, 0]);
    // A person still can.
    await page.keyboard.press('Space');
    await until('chains that run', (s) => s.lab.step > 0, 30);
  });
}

// The viewer has then started without its worker.
const LATE = 6000;
for (const [file, ms] of [['main.js', 0], ['sizes.js', 0], ['host.js', 0], ['files.js', 0], ['store.js', 0], ['jempp.js', 0], ['worker.js', 0], ['worker.js', LATE], ['jempp_bg.wasm', 0]]) {
  test(`a missing ${file} is named, and can be tried again${ms ? ', also when the page has started' : ''}`, async (t) => {
    const answer = async (route) => {
      await sleep(ms);
      await route.fulfill({ status: 404, body: '' }).catch(() => {});
    };
    const { page } = await open(t, '', { ...KIND, routes: { [`**/${file}*`]: answer } });
    const message = page.locator('#late:visible, #failure:visible').first();
    await message.waitFor({ timeout: 30_000 });
    assert.match(await message.innerText(), new RegExp(file.replace('.', '\\.')));
    assert.equal(await message.locator('button').count(), 1);
  });
}

test('a frame in a sandbox says what it lacks', async (t) => {
  const body = '<!doctype html><iframe id="frame" sandbox="allow-scripts" src="embed.html" style="width: 480px; height: 360px"></iframe>';
  const { page } = await open(t, 'host.html', { ...KIND, routes: { '**/host.html': { contentType: 'text/html', body } } });
  const inside = page.frameLocator('#frame');
  await inside.locator('#late', { hasText: 'allow-same-origin' }).waitFor({ state: 'visible' });
  assert.equal(await inside.locator('#late button').isVisible(), false, 'to try again is of no use');
});

test('a page that is opened as a file says what it lacks', async (t) => {
  const { page } = await open(t, 'icon.svg', KIND);
  await page.goto(pathToFileURL(`${DIST}/index.html`).href);
  await page.locator('#late', { hasText: 'web/serve.sh' }).waitFor({ state: 'visible' });
  assert.equal(await page.locator('#late button').isVisible(), false);
});

test('without start.js the page starts all the same', async (t) => {
  const { until } = await open(t, '?per_class=1', { ...KIND, routes: { '**/start.js': { status: 404, body: '' } } });
  await until('chains', (s) => s.energies.length > 0);
});

test('without start.js and main.js the page itself says what may be wrong', async (t) => {
  const gone = { status: 404, body: '' };
  const { page } = await open(t, '', { ...KIND, routes: { '**/start.js': gone, '**/main.js': gone } });
  assert.match(await page.locator('#loading').innerText(), /files of this page may be missing or blocked/);
  await page.evaluate(() => (globalThis.isOld = true));
  await page.locator('#unwatched a').click();
  await page.waitForFunction(() => !globalThis.isOld && document.getElementById('unwatched') !== null);
  // Otherwise start.js watches, and nobody reads this.
  const whole = await open(t, '', { ...KIND, stalls: '**/jempp_bg.wasm' });
  await whole.page.locator('#late').waitFor({ state: 'attached' });
  assert.equal(await whole.page.locator('#unwatched').count(), 0);
});

for (const file of ['jempp_bg.wasm', 'host.js']) {
  test(`a page to which ${file} never comes says so`, async (t) => {
    const { page } = await open(t, '', { ...KIND, stalls: `**/${file}`, quick: true, waitUntil: 'commit' });
    await page.locator('#late', { hasText: 'Nothing has arrived' }).waitFor({ state: 'visible', timeout: 20_000 });
    const text = await page.locator('#late').textContent();
    assert.match(text, new RegExp(`Still missing: .*${file.replace('.', '\\.')}`));
  });
}

test('a worker that ends without a word is noticed, and another takes over', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', { ...KIND, quick: true });
  await until('chains that run', (s) => s.last_step >= 3);
  await page.workers()[0].evaluate(() => self.close());
  const failed = await until('a failure', (s) => s.failure, 60);
  assert.match(failed.failure, /not answered/);
});

for (const [device, what] of [['quantum', 'does not exist'], ['webgpu', 'this browser does not give']]) {
  test(`a device that ${what} is refused in words, and chains run all the same`, async (t) => {
    const { page, until } = await open(t, `?device=${device}&per_class=1&num_steps=100000`, KIND);
    const told = await until('words', (s) => s.notices.length > 0);
    // The value, and what would do.
    assert.match(told.notices.join(), new RegExp(`\`${device}\`.*cpu`));
    const state = await until('chains that run', (s) => s.last_step >= 2);
    assert.equal(state.failure, null);
    await page.waitForFunction(() => !location.search.includes('device'));
    // Trying again does not ask for that device again.
    await killWorker(page, until);
    await until('a model opened anew', (s) => !s.failure && s.model === 'fashion' && s.energies.length > 0);
  });
}

/**
 * Sizes in points, each with a number of pixels per point. From one to the next the layout changes: between small and large
 * (600×480), tall and wide, one, two and three rows, or in a part that is narrow or low. None has more than 3840×2160 pixels.
 */
const WINDOWS = [
  [1, 1, 1], [2, 400, 2], [400, 2, 3], [120, 600, 1], [600, 120, 2], [320, 240, 3], [390, 300, 1], [440, 300, 2], [448, 449, 3], [449, 448, 1],
  [390, 844, 3], [844, 390, 2], [545, 479, 1], [547, 480, 2], [599, 480, 3], [600, 479, 1], [600, 480, 2], [717, 480, 3], [853, 413, 1],
  [1000, 640, 2], [1001, 640, 1], [1280, 800, 1], [1920, 1080, 2], [3840, 2160, 1],
];
/** The same for a frame, whose text grows with it, whose controls stand below or beside the chains, and which has a strip for a lesson. */
const FRAMES = [
  [1, 1, 3], [2, 300, 1], [400, 2, 2], [130, 150, 1], [200, 170, 3], [239, 239, 2], [240, 240, 1], [400, 300, 3], [300, 400, 2], [320, 459, 1],
  [480, 461, 2], [640, 480, 3], [880, 600, 1],
];

/** Gives a page or a frame all these sizes, one after the other, and waits each time until its canvas has the pixels. */
async function goThrough(frame, sizes, resize) {
  // A pixel more or less is rounding.
  const has = (pixels) => {
    const { width, height } = document.getElementById('canvas');
    return Math.abs(width - pixels[0]) <= 1 && Math.abs(height - pixels[1]) <= 1;
  };
  for (const [width, height, ratio] of sizes) {
    await resize(width, height, ratio);
    const never = async () => {
      const [is, of] = await frame.evaluate(() => {
        const { width, height, clientWidth, clientHeight } = document.getElementById('canvas');
        return [`${width}×${height}`, `${clientWidth}×${clientHeight} at ${devicePixelRatio}`];
      });
      assert.fail(`at ${width}×${height} with ratio ${ratio}, the canvas has ${is} pixels, for ${of}`);
    };
    await frame.waitForFunction(has, [width * ratio, height * ratio], { polling: 30, timeout: 10_000 }).catch(never);
  }
}

/** Returns a function that gives the window of a page a size in points and a number of pixels per point. */
async function resizer(page) {
  const client = await page.context().newCDPSession(page);
  return (width, height, deviceScaleFactor) => client.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor, mobile: false });
}

// With a ratio from the start, as on a phone, the helper lets canvases follow the ratio that is emulated.
const RATIO = { deviceScaleFactor: 1 };

test('every size can be had at every pixel ratio, and comes back', async (t) => {
  const { page, errors, until } = await open(t, '?per_class=1&play=true&num_steps=100000', { ...KIND, ...RATIO });
  await until('chains', (s) => s.energies.length > 0);
  const resize = await resizer(page);
  for (const [nth, tab] of ['', '&tab=plots', '&tab=lab', '&tab=train', '&lesson=1'].entries()) {
    await page.evaluate((query) => history.pushState(null, '', query), `?per_class=1&play=true&num_steps=100000${tab}`);
    await page.evaluate(() => dispatchEvent(new PopStateEvent('popstate')));
    // Growing and shrinking in turn.
    await goThrough(page, nth % 2 ? WINDOWS.toReversed() : WINDOWS, resize);
  }
  const state = await until('a state', () => true);
  assert.equal(state.failure, null);
  assert.equal(await page.locator('#failure').isVisible(), false);
  assert.deepEqual(errors, []);
});

test('a frame can have every size at every pixel ratio, and comes back', async (t) => {
  const options = { ...RATIO, viewport: { width: 900, height: 700 } };
  const { page, errors, inside, until } = await host(t, 'embed.html?per_class=1&play=true&num_steps=100000', options);
  await until('chains', (s) => s.energies.length > 0);
  const emulate = await resizer(page);
  const resize = async (width, height, ratio) => {
    await emulate(900, 700, ratio);
    await page.evaluate(([width, height]) => Object.assign(document.getElementById('frame').style, { width: `${width}px`, height: `${height}px` }), [width, height]);
  };
  for (const query of ['per_class=1&play=true&num_steps=100000', 'lesson=3&play=true', 'tab=lab&lab.view=slice']) {
    await page.evaluate((value) => document.getElementById('frame').contentWindow.postMessage({ jempp: 'show', value }), query);
    await goThrough(inside(), [...FRAMES, ...FRAMES.toReversed()], resize);
  }
  const state = await until('a state', () => true);
  assert.equal(state.failure, null);
  assert.equal(await inside().locator('#failure').isVisible(), false);
  assert.deepEqual(errors, []);
});

// The text of a lesson is open at first in a frame as high as this one.
const AT_REST = [
  ['per_class=1', 300, () => globalThis.jempp?.state?.()?.energies.length > 0],
  ['lesson=3', 500, () => globalThis.jempp?.state?.()?.lab.has_surface],
];
for (const [query, height, isThere] of AT_REST) {
  test(`a frame that is opened late looks as one that was never folded: ${query}`, async (t) => {
    const frame = (id, height) => `<iframe id="${id}" title="${id}" src="embed.html?${query}" style="display: block; border: 0; width: 400px; height: ${height}px"></iframe>`;
    const body = `<!doctype html><html lang="en"><title>A lecture</title><body>${frame('early', height)}${frame('late', 2)}`;
    const routes = { '**/host.html': { contentType: 'text/html', body } };
    // Chains would move: with less motion, they rest at their starts.
    const { page, errors } = await open(t, 'host.html', { ...KIND, routes, reducedMotion: 'reduce', viewport: { width: 900, height: 1100 } });
    for (const inside of page.frames().slice(1)) await inside.waitForFunction(isThere, null, { timeout: 120_000 });
    await sleep(500);
    await page.evaluate((height) => (document.getElementById('late').style.height = `${height}px`), height);
    const picture = (id) => page.locator(`#${id}`).screenshot();
    await eventually('one picture', async () => (await picture('early')).equals(await picture('late')), 20);
    assert.deepEqual(errors, []);
  });
}

test('one line puts a frame into a page, which can play it and hear what it does', async (t) => {
  const { page, errors } = await open(t, 'lecture.html', { ...KIND, viewport: { width: 900, height: 900 } });
  const frames = page.locator('jempp-frame iframe');
  assert.equal(await frames.count(), 4);
  const [column, frame] = [await page.locator('article').boundingBox(), await frames.first().boundingBox()];
  assert.ok(frame.width > 0.9 * column.width && frame.height >= 280, JSON.stringify(frame));
  const state = () => page.evaluate(() => document.querySelector('jempp-frame').state);
  const until = async (what, isSo) => {
    for (let tries = 0; tries < 900; tries += 1, await sleep(100)) if (isSo(await state().catch(() => null))) return state();
    throw new Error(`${what}: ${JSON.stringify(await state())}`);
  };
  await until('a state', (s) => s?.model === 'fashion');
  const call = (what, value) => page.evaluate(([what, value]) => document.querySelector('jempp-frame')[what](value), [what, value]);
  await call('play');
  const running = await until('chains that run', (s) => s.is_running && s.step >= 2);
  assert.ok(Number.isFinite(running.energy));
  await call('pause');
  await until('a pause', (s) => !s.is_running);
  await call('restart');
  await until('the start', (s) => s.step === 0 || s.step < running.step);
  await call('show', 'model=two-moons&per_class=8&nonsense=1');
  await until('another model', (s) => s.model === 'two-moons');
  // The last frame loads when it comes into sight, and the buttons of the page play it.
  await page.locator('#slide').scrollIntoViewIfNeeded();
  await page.waitForFunction(() => document.getElementById('slide').state?.lesson === 4, null, { timeout: 90_000 });
  await page.waitForTimeout(1500);
  await page.locator('#play').click();
  await page.waitForFunction(() => document.getElementById('slide').state?.is_running, null, { timeout: 30_000 });
  await page.waitForFunction(() => /Step \d+, running/.test(document.getElementById('step').textContent), null, { timeout: 30_000 });
  await photograph(page, 'lecture');
  await page.evaluate(() => scrollTo(0, 0));
  await sleep(500);
  await photograph(page, 'lecture-top');
  assert.deepEqual(errors, []);
});

test('chains rest while their frame is out of sight', async (t) => {
  const { page, until } = await host(t, 'embed.html?per_class=2&num_steps=100000&play=true');
  await until('chains that run', (s) => s.last_step >= 2);
  await page.evaluate(() => scrollTo(0, 2000));
  await sleep(1500);
  const before = await until('a state', () => true);
  await sleep(3000);
  const after = await until('a state', () => true);
  // The worker may finish what it was asked for before.
  assert.ok(after.last_step - before.last_step <= 1, `${before.last_step} to ${after.last_step}`);
  await page.evaluate(() => scrollTo(0, 0));
  await until('chains that go on', (s) => s.last_step >= after.last_step + 5, 30);
});

test('a frame has the colours of its page', async (t) => {
  const colours = { '#101010': 'dark', '#fafafa': 'light', 'oklch(0.98 0 0)': 'light', 'oklch(0.2 0 0)': 'dark', 'color(srgb 1 1 1)': 'light' };
  for (const [colour, theme] of Object.entries(colours)) {
    const body = `<!doctype html><body style="background: ${colour}"><script src="embed.js" data-query="per_class=1"></script>`;
    const { page, close } = await open(t, 'host.html', { ...KIND, routes: { '**/host.html': { contentType: 'text/html', body } } });
    assert.match(await page.locator('iframe').getAttribute('src'), new RegExp(`theme=${theme}`));
    await close();
  }
});

test('a frame follows its attributes and the colours of its page', async (t) => {
  const body = `<!doctype html><style>body { background: #fafafa } .night body { background: #101010 }</style><body>
    <script src="embed.js"></script><jempp-frame height="300" query="per_class=1"></jempp-frame>`;
  const late = { contentType: 'text/css', body: 'html.night body { background: #fafafa }' };
  const options = { ...KIND, viewport: { width: 600, height: 600 }, routes: { '**/host.html': { contentType: 'text/html', body }, '**/late.css': late } };
  const { page } = await open(t, 'host.html', options);
  await page.waitForFunction(() => document.querySelector('jempp-frame').state, null, { timeout: 120_000 });
  const inside = page.frames().find((one) => one.url().includes('embed.html'));
  await inside.evaluate(() => {
    globalThis.heard = [];
    addEventListener('message', ({ data }) => data?.jempp === 'theme' && globalThis.heard.push(data.value));
  });
  const change = (name, value) => page.evaluate(([name, value]) => document.querySelector('jempp-frame').setAttribute(name, value), [name, value]);
  const hears = (themes) => inside.waitForFunction((themes) => globalThis.heard.join() === themes, themes, { timeout: 10_000 });
  await page.evaluate(() => document.documentElement.classList.add('night'));
  await hears('dark');
  await change('theme', 'light');
  await hears('dark,light');
  await change('theme', 'auto');
  await hears('dark,light,dark');
  await change('height', '400');
  await page.waitForFunction(() => document.querySelector('iframe').clientHeight === 400);
  await change('query', 'lesson=3');
  await page.waitForFunction(() => document.querySelector('jempp-frame').state.lesson === 3, null, { timeout: 60_000 });
  // A style sheet that comes late.
  await page.evaluate(() => document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: 'late.css' })));
  await hears('dark,light,dark,light');
  // The frame is moved as it is.
  const lesson = await page.evaluate(() => {
    const frame = document.querySelector('jempp-frame');
    document.body.moveBefore(frame, document.body.firstChild);
    return frame.state?.lesson;
  });
  assert.equal(lesson, 3);
  await sleep(500);
  await hears('dark,light,dark,light');
});

test('embed.js takes the colours around a shadow root, and says where it cannot be', async (t) => {
  const body = `<!doctype html><html lang="en"><head><title>A lecture</title><script src="embed.js" data-title="In the head" data-query="per_class=1"></script></head>
    <body style="background: #fafafa"><main style="margin-top: 9999px; background: #101010"></main>
    <script>document.querySelector('main').attachShadow({ mode: 'open' }).innerHTML = '<jempp-frame></jempp-frame>';</script>
    <script type="module" src="embed.js"></script>`;
  const { page, errors } = await open(t, 'host.html', { ...KIND, routes: { '**/host.html': { contentType: 'text/html', body } } });
  const [first, inRoot] = await page.evaluate(() => [
    document.body.querySelector(':scope > jempp-frame > iframe'),
    document.querySelector('main').shadowRoot.querySelector('iframe'),
  ].map(({ src, title }) => ({ title, theme: new URL(src).searchParams.get('theme') })));
  assert.deepEqual(first, { title: 'In the head', theme: 'light' });
  assert.equal(inRoot.theme, 'dark');
  await eventually('the reason', async () => /embed\.js is a plain script/.test(errors.join()), 10);
});

test('a page that is isolated shows a frame', async (t) => {
  // Another port is another origin.
  const server = createServer(async (request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.writeHead(200, { 'Content-Type': 'text/html' }).end(`<!doctype html><html lang="en"><title>A lecture</title><body><script src="${await address()}embed.js" data-query="per_class=1"></script>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { page } = await open(t, '', { ...KIND, origin: `http://127.0.0.1:${server.address().port}/` });
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  await page.waitForFunction(() => document.querySelector('jempp-frame').state?.model === 'fashion', null, { timeout: 120_000 });
});

test('a frame that is loaded again has the colours of its page, and does what it is asked for', async (t) => {
  const body = `<!doctype html><style>body { background: #fafafa } .night body { background: #101010 }</style><body>
    <script src="embed.js"></script><jempp-frame height="300" query="per_class=1&amp;num_steps=100000"></jempp-frame>`;
  const before = () => {
    globalThis.heard = [];
    addEventListener('message', ({ data }) => data?.jempp === 'theme' && globalThis.heard.push(data.value));
  };
  const options = { ...KIND, before, viewport: { width: 600, height: 600 }, routes: { '**/host.html': { contentType: 'text/html', body } } };
  const { page } = await open(t, 'host.html', options);
  const until = (isSo) => page.waitForFunction(isSo, null, { timeout: 120_000 });
  await until(() => document.querySelector('jempp-frame').state?.is_running);
  const inside = page.frames().find((one) => one.url().includes('embed.html'));
  const isDark = () => inside.waitForFunction(() => globalThis.heard.join() === 'dark', null, { timeout: 60_000 });
  await page.evaluate(() => document.documentElement.classList.add('night'));
  await isDark();
  await inside.evaluate(() => void setTimeout(() => location.reload(), 100));
  await until(() => document.querySelector('jempp-frame').state === null);
  await page.evaluate(() => document.querySelector('jempp-frame').pause());
  await until(() => document.querySelector('jempp-frame').state?.is_running === false);
  await isDark();
  await sleep(1500);
  assert.equal(await page.evaluate(() => document.querySelector('jempp-frame').state.is_running), false);
});

for (const [theme, colorScheme, colour] of [['dark', 'light', 'rgb(27, 27, 27)'], ['light', 'dark', 'rgb(248, 248, 248)']]) {
  test(`a frame that loads is ${theme} if it is asked to be, whatever the system is`, async (t) => {
    const { page } = await open(t, `embed.html?theme=${theme}`, { ...KIND, colorScheme, stalls: '**/jempp_bg.wasm' });
    const background = () => page.evaluate(() => getComputedStyle(document.getElementById('loading')).backgroundColor);
    await eventually(colour, async () => (await background()) === colour, 10);
  });
}

test('the browser keeps its own keys, and zooms', async (t) => {
  /** Whether the browser may do in this page what it does by itself. */
  async function leaves(page, kind, options, where = 'canvas') {
    await page.locator('#canvas').focus();
    return page.evaluate(([kind, options, where]) => {
      const event = new globalThis[kind](kind === 'WheelEvent' ? 'wheel' : 'keydown', { bubbles: true, cancelable: true, ...options });
      return document.querySelector(where).dispatchEvent(event);
    }, [kind, options, where]);
  }
  const [alt, control, command] = [{ altKey: true }, { ctrlKey: true }, { metaKey: true }];
  const own = [['ArrowLeft', alt], ['ArrowRight', alt], ['d', alt], ['p', control], ['p', command], ['ArrowLeft', command], ['ArrowRight', command]];
  const saves = [['s', control], ['o', command]];
  for (const [path, left, taken] of [['?per_class=1', own, [['ArrowLeft', {}], ['s', control]]], ['embed.html?per_class=1', [...own, ...saves], [['ArrowLeft', {}]]]]) {
    const { page, until, close } = await open(t, path, KIND);
    await until('chains', (s) => s.energies.length > 0);
    const press = ([key, how]) => leaves(page, 'KeyboardEvent', { key, code: key.length === 1 ? `Key${key.toUpperCase()}` : key, ...how });
    for (const one of left) assert.equal(await press(one), true, `${path}: ${JSON.stringify(one)}`);
    for (const one of taken) assert.equal(await press(one), false, `${path}: ${JSON.stringify(one)}`);
    // In a field, the arrows are for the text.
    for (const [key, keyCode, how, isLeft] of [['p', 80, control, true], [',', 188, control, true], ['ArrowLeft', 37, alt, false], ['ArrowLeft', 37, control, false]]) {
      const typed = { key, keyCode, ...how };
      assert.equal(await leaves(page, 'KeyboardEvent', typed, 'canvas ~ input[type=text]'), isLeft, `${path}, in a field: ${JSON.stringify(typed)}`);
    }
    if (!path.includes('embed')) assert.equal(await leaves(page, 'WheelEvent', { deltaY: 10 }), false, 'the viewer scrolls');
    assert.equal(await leaves(page, 'WheelEvent', { deltaY: 10, ...control }), true, 'the browser zooms');
    await close();
  }
});

const TABLET = { hasTouch: true, isMobile: true, viewport: { width: 1024, height: 1366 } };
for (const [who, options, mib] of [['tablet', TABLET, 64], ['computer', {}, 320]]) {
  test(`a ${who} that does not say how much memory it has records up to ${mib} MiB`, async (t) => {
    const before = () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: undefined });
    const { page, until } = await open(t, '?per_class=1', { ...KIND, ...options, before });
    await until('chains', (s) => s.energies.length > 0);
    assert.equal(await page.evaluate(() => matchMedia('(pointer: coarse)').matches), who === 'tablet');
    assert.equal(await page.evaluate(() => globalThis.jempp.historyMib), mib);
  });
}

test('a reload finds the own model and the drawings again', async (t) => {
  const { page, until } = await open(t, '?per_class=1', KIND);
  const first = await until('a model', (s) => s.model === 'fashion' && s.energies.length > 0);
  await drop(page, 'digits.safetensors', '../../assets/mnist/mnist.safetensors');
  const own = await until('the own model', (s) => s.model !== first.model && s.energies.length > 0);
  await page.waitForFunction(() => location.search.includes('digits'));
  await sleep(1000);
  await page.reload();
  const again = await until('the own model again', (s) => s.model === own.model && s.energies.length > 0);
  assert.deepEqual(again.notices, []);
  // In another browser there is no such file: the bundled model opens, with its own rules, and a message says why.
  const other = await open(t, new URL(page.url()).search, KIND);
  const told = await other.until('a message', (s) => s.notices.length > 0 && s.model === 'fashion');
  assert.match(told.notices.join(), /digits/);
  // Another file of that name is another model.
  await drop(page, 'digits.safetensors', '../../assets/two-moons.safetensors');
  await until('a second name', (s) => /digits \(2\)/.test(s.model) && s.energies.length > 0);
});

test('after a first visit the page needs no connection', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', KIND);
  await until('chains that run', (s) => s.last_step >= 1);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller, null, { timeout: 60_000 });
  await page.context().setOffline(true);
  await page.reload();
  await until('chains without a connection', (s) => s.last_step >= 1 && s.energies.length > 0);
  // A model that was never loaded is named, with the reason.
  await page.goto(page.url().replace(/\?.*/, '?model=mnist'));
  const told = await until('a message', (s) => s.failure || s.notices.length > 0);
  assert.match(`${told.failure} ${told.notices}`, /mnist/);
  // The lessons have all that they need.
  await page.goto(page.url().replace(/\?.*/, '?lesson=1&lesson_step=2'));
  await until('the first lesson', (s) => s.lesson && /two-moons-classifier/.test(s.query) && s.lab.step > 0);
});

test('a file that is too large is refused before it is read', async (t) => {
  const { page, until } = await open(t, '?per_class=1', KIND);
  await until('a model', (s) => s.energies.length > 0);
  await dropUnread(page, 'huge.safetensors', 400);
  const told = await until('a message', (s) => s.notices.length > 0, 30);
  assert.match(told.notices.join(), /huge\.safetensors has 400 MiB.*256 MiB/);
});
