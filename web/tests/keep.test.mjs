// Tests of what the browser keeps: models, finished lessons, and the build of an open page.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DIST, address, drop, dropUnread, eventually, kept, killWorker, open, pressNext, sleep, untilIn } from './browser.mjs';

const KIND = { kind: 'no webgpu' };
const DIGITS = '../../assets/mnist/mnist.safetensors';
const MOONS = '../../assets/two-moons.safetensors';
const isThere = (name) => (s) => s.model === name && s.energies.length > 0;

test('a model file is offered on the next visit', async (t) => {
  const { page, origin, until } = await open(t, '?per_class=1', KIND);
  await until('a model', isThere('fashion'));
  await drop(page, 'broken.safetensors');
  await until('a message', (s) => /broken/.test(s.notices.join()));
  assert.equal(await kept(page, 'model'), null, 'what does not open is not kept');
  await drop(page, 'digits.safetensors', DIGITS);
  await until('the own model', isThere('digits.safetensors'));
  await eventually('it is kept', async () => (await kept(page, 'model')) === 'digits.safetensors');
  await page.goto(origin);
  await page.waitForFunction(() => /digits/.test(globalThis.jempp?.state?.()?.notices.join()), null, { timeout: 60_000 });
  await until('the list', (s) => s.model === 'fashion' && s.models.includes('digits.safetensors'));
  // What a choice in the list does.
  await page.evaluate(() => {
    history.pushState(null, '', '?model=digits.safetensors&per_class=1');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  const again = await until('the own model again', isThere('digits.safetensors'));
  assert.ok(!again.models.includes('digits.safetensors'), `${again.models}`);
});

test('a model that is too large to be kept is told, and so are files', async (t) => {
  const answer = async (route) => {
    const body = (await (await route.fetch()).text()).replace('64 * 2 ** 20', '1000');
    await route.fulfill({ contentType: 'text/javascript', body });
  };
  const { page, until } = await open(t, '?per_class=1', { ...KIND, routes: { '**/host.js': answer, '**/files.js': answer } });
  await until('a model', isThere('fashion'));
  await drop(page, 'digits.safetensors', DIGITS);
  await until('a message', (s) => /digits\.safetensors is not kept in the browser, because it has more than 0 MiB. After a reload/.test(s.notices.join()));
  await until('the model all the same', isThere('digits.safetensors'));
  assert.equal(await kept(page, 'model'), null);
  // What the program does when the files to train on change.
  await page.evaluate(() => globalThis.jempp.keepFiles(['a title', 'digits.safetensors', '0 digits.safetensors'].join('\x1f')));
  await until('a message', (s) => /Your files have more than .* MiB, so they are not kept/.test(s.notices.join()), 10);
  assert.equal(await kept(page, 'files'), null);
});

test('undo finds an earlier file, and another worker gets the open one', async (t) => {
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', KIND);
  await until('a model', isThere('fashion'));
  await drop(page, 'digits.safetensors', DIGITS);
  const digits = await until('a file', isThere('digits.safetensors'));
  if (!digits.is_running) await page.keyboard.press('Space');
  await until('its chains', (s) => s.last_step >= 1);
  await drop(page, 'moons.safetensors', MOONS);
  await until('another file', isThere('moons.safetensors'));
  await page.keyboard.press('Control+z');
  await until('the file before', isThere('digits.safetensors'));
  await drop(page, 'last.safetensors', MOONS);
  await until('the last file', isThere('last.safetensors'));
  await killWorker(page, until);
  await until('the last file again', (s) => !s.failure && isThere('last.safetensors')(s));
});

test('a file of PyTorch is refused without being read', async (t) => {
  const { page, until } = await open(t, '?per_class=1', KIND);
  await until('a model', isThere('fashion'));
  await dropUnread(page, 'large.pt', 300);
  const told = await until('a message', (s) => s.notices.length > 0, 30);
  assert.match(told.notices.join(), /large\.pt.*PyTorch/);
});

/** Begins a training run with the button of the tab Train, which is open. Returns the state, and the height of the button. */
async function train(page, until) {
  for (const y of [340, 332, 348, 324, 356]) {
    await page.mouse.click(46, y);
    const begun = await until('a run', (s) => s.is_training && /checkpoint/.test(s.model), 20).catch(() => null);
    if (begun) return [begun, y];
  }
  throw new Error('no button began a run');
}

test('the browser asks before a trained model is lost, and the model is there again', async (t) => {
  // As on a phone, where memory is small: it keeps what can be trained there.
  const before = () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 4 });
  const { page, origin, until } = await open(t, '?tab=train&per_class=1', { ...KIND, before });
  await until('a model', isThere('fashion'));
  const isUnsaved = () => page.evaluate(() => globalThis.jempp.unsaved());
  assert.equal(await isUnsaved(), false);
  const [begun, y] = await train(page, until);
  await until('a training step', (s) => s.training_step > 0);
  assert.equal(await isUnsaved(), true);
  const value = await page.evaluate(() => {
    const event = document.createEvent('BeforeUnloadEvent');
    event.initEvent('beforeunload', false, true);
    dispatchEvent(event);
    return event.returnValue;
  });
  assert.notEqual(value, '', 'older browsers ask too');
  await page.mouse.click(140, y);
  await until('a rest', (s) => !s.is_training);
  assert.equal(await isUnsaved(), true, 'only a person saves');
  await eventually('the model is kept', async () => (await kept(page, 'trained')) === begun.model);
  await page.waitForFunction(() => location.search.includes('checkpoint'));
  const prompts = [];
  page.on('dialog', (dialog) => {
    prompts.push(dialog.type());
    dialog.accept();
  });
  await page.reload();
  assert.deepEqual(prompts, ['beforeunload']);
  await until('the trained model', isThere(begun.model));
  await page.goto(origin);
  await until('the list', (s) => s.model === 'fashion' && s.models.includes(begun.model));
});

test('a model that the browser cannot keep is told, and is not in the list', async (t) => {
  const before = () => {
    Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 8 });
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function putOrNot(value, key) {
      if (key === 'trained') throw new DOMException('full', 'QuotaExceededError');
      return put.call(this, value, key);
    };
  };
  const { page, until } = await open(t, '?tab=train&per_class=1', { ...KIND, before });
  await until('a model', isThere('fashion'));
  const [begun, y] = await train(page, until);
  await until('a training step', (s) => s.training_step > 0);
  await page.mouse.click(140, y);
  const isTold = (text) => text.includes(`The browser could not keep ${begun.model}`) && /Save the model before you leave/.test(text);
  await until('a message', (s) => !s.is_training && s.notices.some(isTold));
  await page.evaluate(() => {
    history.pushState(null, '', '?per_class=1');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  const { models } = await until('the built-in model', isThere('fashion'));
  assert.ok(!models.includes(begun.model), `${models}`);
});

test('a trained model that is too large to be kept is told', async (t) => {
  const answer = async (route) => {
    const body = (await (await route.fetch()).text()).replace('MAX_KEPT / 4', '1000');
    await route.fulfill({ contentType: 'text/javascript', body });
  };
  const before = () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 4 });
  const { page, until } = await open(t, '?tab=train&per_class=1', { ...KIND, before, routes: { '**/host.js': answer } });
  await until('a model', isThere('fashion'));
  const [begun, y] = await train(page, until);
  await until('a training step', (s) => s.training_step > 0);
  await page.mouse.click(140, y);
  const isTold = (text) => text.includes(`${begun.model} is not kept in the browser`) && /Save the model before you leave/.test(text);
  await until('a message', (s) => !s.is_training && s.notices.some(isTold));
  assert.equal(await kept(page, 'trained'), null);
});

test('the frames of a page record less than a page of its own', async (t) => {
  const before = () => Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 8 });
  const { page } = await open(t, 'lecture.html', { ...KIND, before });
  const limits = () => Promise.all(page.frames().slice(1).map((frame) => frame.evaluate(() => globalThis.jempp?.historyMib)));
  await eventually('a frame', async () => (await limits().catch(() => [])).includes(64));
  assert.ok(!(await limits()).includes(320));
});

test('drawings and files that the browser cannot keep are told, once', async (t) => {
  const before = () => {
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function putOrNot(value, key) {
      if (key === 'drawings' || key === 'files') throw new DOMException('full', 'QuotaExceededError');
      return put.call(this, value, key);
    };
  };
  const { page, until } = await open(t, '?per_class=1', { ...KIND, before });
  await until('a model', isThere('fashion'));
  await drop(page, 'mine.safetensors');
  await until('a message', (s) => /mine\.safetensors/.test(s.notices.join()));
  // What the program does when they change.
  await page.evaluate(async () => {
    const files = ['a title', 'mine.safetensors', '0 mine.safetensors'].join('\x1f');
    for (let change = 0; change < 2; change += 1) {
      await globalThis.jempp.keepDrawings(JSON.stringify({ change }));
      await globalThis.jempp.keepFiles(files);
    }
  });
  const isTold = (s) => ['could not keep your drawings', 'could not keep your files'].every((text) => s.notices.filter((notice) => notice.includes(text)).length === 1);
  await until('both messages', isTold, 10);
});

test('finished lessons are remembered, and so is the first visit', async (t) => {
  const { page, origin, until } = await open(t, '', { ...KIND, reducedMotion: 'reduce' });
  // The chains rest at their starts, so the pictures differ only by the card Welcome.
  const middle = async () => {
    await until('chains', isThere('fashion'));
    await sleep(1500);
    return page.screenshot({ clip: { x: 480, y: 250, width: 320, height: 250 } });
  };
  const first = await middle();
  await eventually('something is remembered', async () => (await kept(page, 'memory')) !== null);
  await page.goto(origin);
  const second = await middle();
  await page.goto(`${origin}?per_class=4&max_steps_per_sec=10`);
  const linked = await middle();
  assert.ok(!first.equals(linked), 'the first visit has the card');
  assert.ok(second.equals(linked), 'the second one has not');

  await kept(page, 'memory', JSON.stringify({ lessons: [2, 5], run: null }));
  await page.goto(origin);
  const plain = await until('the lessons', (s) => s.finished_lessons.length > 0);
  assert.deepEqual(plain.finished_lessons, [2, 5]);
  await page.goto(`${origin}?lesson=3`);
  const there = await until('a lesson by its link', (s) => s.lesson && s.finished_lessons.length > 0);
  assert.match(there.query, /lesson=3/);
});

test('two tabs keep the lessons that either of them finishes', async (t) => {
  const { page, origin, until } = await open(t, '?lesson=1&lesson_step=99', KIND);
  const second = await page.context().newPage();
  await second.goto(`${origin}?lesson=3&lesson_step=99`);
  const tabs = [[page, until, 1], [second, untilIn(second), 3]];
  for (const [, until] of tabs) await until('the last step of a lesson', (s) => s.lesson && !/lesson_step=99/.test(s.query));
  const lessons = async () => JSON.parse(await kept(page, 'memory'))?.lessons ?? [];
  for (const [tab, until, number] of tabs) {
    await tab.bringToFront();
    await pressNext(tab, until, (s) => s.finished_lessons.includes(number));
    await eventually(`lesson ${number} is remembered`, async () => (await lessons()).includes(number));
  }
  assert.deepEqual(await lessons(), [1, 3]);
  await second.goto(origin);
  const later = await tabs[1][1]('the lessons', (s) => s.finished_lessons.length > 0);
  assert.deepEqual(later.finished_lessons, [1, 3]);
});

test('a page that is open outlives a new build', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'jempp-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(DIST, folder, { recursive: true, preserveTimestamps: true });
  const [before, after] = [readdirSync(folder).find((name) => /^[0-9a-f]{12}$/.test(name)), 'feedfacecafe'];
  const { page, origin, until } = await open(t, '?per_class=1&num_steps=100000', { ...KIND, folder });
  await until('chains that run', (s) => s.last_step >= 1);
  await page.waitForFunction(() => navigator.serviceWorker.controller, null, { timeout: 60_000 });

  renameSync(join(folder, before), join(folder, after));
  for (const name of ['index.html', 'embed.html', 'sw.js']) {
    const file = join(folder, name);
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(before, after));
  }
  assert.equal((await fetch(`${origin}${before}/worker.js`)).status, 404, 'the old build is gone');
  await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
  await eventually('the new build waits', () => page.evaluate(async () => Boolean((await navigator.serviceWorker.getRegistration()).waiting)));
  // The open page tries again, with its own files, also where those of another build have the same names.
  const model = join(folder, 'assets/fashion.planes');
  const whole = readFileSync(model);
  writeFileSync(model, 'a model of another build');
  await killWorker(page, until);
  await until('a model opened anew', (s) => !s.failure && isThere('fashion')(s));
  writeFileSync(model, whole);

  // A page that opens now is the new one as a whole, and both are kept.
  const second = await page.context().newPage();
  await second.goto(`${origin}?per_class=1&num_steps=100000`);
  assert.match(await second.locator('script[type=module]').getAttribute('src'), new RegExp(after));
  await second.waitForFunction(() => globalThis.jempp?.state?.()?.last_step >= 1, null, { timeout: 120_000 });
  const files = await second.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
  assert.deepEqual(files.filter((name) => name.includes(before)), []);
  const names = (one) => one.evaluate(async () => (await caches.keys()).sort());
  assert.deepEqual(await names(second), [`jempp / ${before}`, `jempp / ${after}`].sort());

  // Once no page of the old build is open, only the new one is kept, and it needs no connection. What a page below another path
  // of this server keeps stays, and builds that did not write their path are forgotten.
  const other = `jempp /other/ ${before}`;
  await second.evaluate((names) => Promise.all(names.map((name) => caches.open(name))), [other, 'jempp 0123456789ab']);
  const context = page.context();
  await page.close();
  await second.close();
  let third;
  await eventually('the old build is forgotten', async () => {
    await third?.close();
    await sleep(2000);
    third = await context.newPage();
    await third.goto(`${origin}?per_class=1&num_steps=100000`);
    return (await names(third)).join() === [`jempp / ${after}`, other].join();
  });
  await context.setOffline(true);
  await third.reload();
  await third.waitForFunction(() => globalThis.jempp?.state?.()?.last_step >= 1, null, { timeout: 120_000 });
});

/** A server before that of the page, which passes its answers on while `is.well`, and fails or says nothing otherwise. */
async function moody(t) {
  const [behind, is] = [await address(), { well: true, silent: false }];
  const server = createServer(async (request, response) => {
    if (is.silent) return;
    const answer = is.well && (await fetch(new URL(request.url, behind)));
    if (!answer) response.writeHead(503).end();
    else response.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') }).end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { is, origin: `http://127.0.0.1:${server.address().port}/` };
}

test('a kept page opens although its server fails or does not answer', async (t) => {
  const { is, origin } = await moody(t);
  const { page, until } = await open(t, '?per_class=1&num_steps=100000', { ...KIND, origin });
  await until('chains that run', (s) => s.last_step >= 1);
  await page.waitForFunction(() => navigator.serviceWorker.controller, null, { timeout: 60_000 });
  is.well = false;
  await page.reload();
  await until('chains although the server fails', (s) => s.last_step >= 1);
  is.silent = true;
  await page.reload();
  await until('chains although the server does not answer', (s) => s.last_step >= 1);
});
