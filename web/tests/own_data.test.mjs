// Tests that a person's own pictures are dropped, named, looked at and trained on in the page.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32, deflateRawSync, deflateSync } from 'node:zlib';
import { mean, open, photograph } from './browser.mjs';

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n >>> 0); return b; };
const le = (...pairs) => Buffer.concat(pairs.map(([size, n]) => { const b = Buffer.alloc(size); b.writeUIntLE(n >>> 0, 0, size); return b; }));

/** A grey PNG of stripes; no two numbers give the same. */
function png(number, slant, side = 12) {
  const rows = Array.from({ length: side }, (_, y) => Buffer.from([0, ...Array.from({ length: side }, (_, x) => ((x + slant * y + number) % 5 ? 20 + number : 230))]));
  const chunk = (name, data) => Buffer.concat([u32(data.length), Buffer.from(name), data, u32(crc32(Buffer.concat([Buffer.from(name), data])))]);
  const header = Buffer.concat([u32(side), u32(side), Buffer.from([8, 0, 0, 0, 0])]);
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.concat(rows))), chunk('IEND', Buffer.alloc(0))]);
}

/** A zip archive of files: name, content. */
function zip(files) {
  const [parts, directory] = [[], []];
  let at = 0;
  for (const [name, content] of files) {
    const [label, packed] = [Buffer.from(name), deflateRawSync(content)];
    const sizes = [[4, crc32(content)], [4, packed.length], [4, content.length], [2, label.length], [2, 0]];
    const local = Buffer.concat([le([4, 0x04034b50], [2, 20], [2, 0], [2, 8], [4, 0], ...sizes), label, packed]);
    directory.push(Buffer.concat([le([4, 0x02014b50], [2, 20], [2, 20], [2, 0], [2, 8], [4, 0], ...sizes, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]), label]));
    parts.push(local);
    at += local.length;
  }
  const end = Buffer.concat(directory);
  return Buffer.concat([...parts, end, le([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, end.length], [4, at], [2, 0])]);
}

/** Drops files on the canvas. */
function drop(page, files) {
  return page.evaluate((files) => {
    const dataTransfer = new DataTransfer();
    for (const [name, base64] of files) dataTransfer.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name));
    for (const type of ['dragover', 'drop']) {
      document.getElementById('canvas').dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    }
  }, files.map(([name, content]) => [name, content.toString('base64')]));
}

const waiting = (s) => s.own_data[0];
const found = (s) => s.own_data[1].Ok ?? [];
const problem = (s) => s.own_data[1].Err ?? '';
const hasRecipe = (s) => s.own_data[2];
const numbered = (count, slant, name = (n) => `${n}.png`) => Array.from({ length: count }, (_, n) => [name(n), png(n, slant)]);

/**
 * Presses the button that trains: the page has one canvas, so the button is looked for. After each click the state has time
 * to tell of a run, since a second click at the same place would stop it.
 */
async function train(page, until) {
  const begun = (s) => s.is_training || s.training_step > 0;
  for (let y = 90; y < 460; y += 14) {
    await page.mouse.click(430, y);
    if (await until('a run', begun, 1).catch(() => null)) return;
  }
  throw new Error('no button began a run');
}

test('pictures are dropped class by class, named and trained on', async (t) => {
  const { page, errors, requests, origin, until } = await open(t, '?tab=train&model=two-moons&per_class=1', { kind: 'no webgpu' });
  await until('a model', (s) => s.model);
  await photograph(page, 'own-data-empty');
  const begin = Date.now();
  await drop(page, numbered(12, 0));
  await until('pictures that wait', (s) => waiting(s) === 12);
  await page.waitForTimeout(300);
  await page.keyboard.type('lines');
  await page.keyboard.press('Enter');
  await until('one class', (s) => found(s).length === 1);
  await drop(page, numbered(12, 1));
  await until('more pictures', (s) => waiting(s) === 12);
  await page.waitForTimeout(300);
  await photograph(page, 'own-data-waiting');
  await page.keyboard.type('slants');
  await page.keyboard.press('Enter');
  const seen = await until('a recipe', (s) => hasRecipe(s) && found(s).length === 2);
  assert.deepEqual(found(seen).map(([, count]) => count), [12, 12]);
  await photograph(page, 'own-data');
  await train(page, until);
  await until('a training step', (s) => s.training_step >= 1);
  t.diagnostic(`two classes, with names typed: first training step after ${((Date.now() - begin) / 1000).toFixed(1)} s`);
  await until('more steps', (s) => s.training_step >= 20);
  await page.waitForTimeout(2500);
  await photograph(page, 'own-data-trains');
  assert.deepEqual(errors, []);
  const isOwn = (url) => url.startsWith(origin) || url.startsWith(`blob:${origin}`) || url.startsWith('data:');
  assert.deepEqual(requests.filter((url) => !isOwn(url)), [], 'nothing leaves the page');
});

test('a folder is chosen and a zip is dropped, and training begins soon', async (t) => {
  const { page, errors, until } = await open(t, '?tab=train&model=two-moons&per_class=1', { kind: 'no webgpu' });
  await until('a model', (s) => s.model);
  const folder = mkdtempSync(join(tmpdir(), 'jempp-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, slant] of [['lines', 0], ['slants', 1], ['ärgste 문', 2]]) {
    mkdirSync(join(folder, name));
    for (const [file, content] of numbered(30, slant)) writeFileSync(join(folder, name, file), content);
  }
  await page.evaluate(() => void jempp.choose(true));
  await page.locator('#choose').setInputFiles(folder);
  const chosen = await until('three classes', (s) => found(s).length === 3);
  assert.deepEqual(found(chosen), [['lines', 30], ['slants', 30], ['ärgste 문', 30]]);
  // A zip of the same kind, from the drop to the first training step.
  const files = ['a', 'b', 'c'].flatMap((name, slant) => numbered(200, slant, (n) => `set/${name}/${n}.png`));
  const archive = zip(files);
  const begin = Date.now();
  await drop(page, [['pictures.zip', archive]]);
  await until('its classes', (s) => found(s).length === 3 && found(s)[0][1] === 200);
  const seen = Date.now();
  await until('a recipe', hasRecipe);
  const ready = Date.now();
  await train(page, until);
  await until('a training step', (s) => s.training_step >= 1);
  const secs = (from, to) => ((to - from) / 1000).toFixed(1);
  t.diagnostic(`600 pictures in a zip of ${archive.length >> 10} KiB: contact sheet after ${secs(begin, seen)} s, recipe and time after ${secs(begin, ready)} s, first training step ${secs(ready, Date.now())} s later`);
  await photograph(page, 'own-data-zip');
  assert.deepEqual(errors, []);
});

test('bad zips and too many files are told, and nothing else happens', async (t) => {
  const { page, errors, until } = await open(t, '?tab=train&model=two-moons&per_class=1', { kind: 'no webgpu' });
  await until('a model', (s) => s.model);
  const whole = zip(numbered(12, 0, (n) => `a/${n}.png`));
  for (const [name, content, expected] of [
    ['cut.zip', whole.subarray(0, whole.length / 2), /damaged/],
    ['bomb.zip', zip([['a/0.png', Buffer.alloc(80 << 20)]]), /zip bomb/],
    ['outside.zip', zip([['../../a/0.png', png(0, 0)]]), /leads out of the archive/],
    ['text.zip', Buffer.from('no archive'), /./],
  ]) {
    await drop(page, [[name, content]]);
    const state = await until(name, (s) => expected.test(problem(s)), 60);
    assert.equal(state.failure, null, name);
  }
  // A file larger than the limit is refused by its size, before anything is read.
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    const file = new File(['x'], 'large.zip');
    Object.defineProperty(file, 'size', { value: 2 ** 31 });
    Object.defineProperty(DataTransferItem.prototype, 'webkitGetAsEntry', { value: () => null });
    Object.defineProperty(DataTransferItem.prototype, 'getAsFile', { value: () => file });
    dataTransfer.items.add(file);
    document.getElementById('canvas').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
  });
  await until('a refusal', (s) => s.notices.some((text) => /512 MiB/.test(text)), 30);
  assert.deepEqual(errors, []);
});

test('a reload finds the own files again', async (t) => {
  const { page, until } = await open(t, '?tab=train&per_class=1', { kind: 'no webgpu' });
  await until('a model', (s) => s.model);
  await drop(page, [['set.zip', zip([...numbered(8, 1, (n) => `cats/${n}.png`), ...numbered(9, 2, (n) => `dogs/${n}.png`)])]]);
  const first = await until('classes', (s) => found(s).length === 2);
  // The page looks at what it should keep every two seconds.
  await page.waitForTimeout(4000);
  await page.reload();
  const again = await until('the same classes', (s) => found(s).length === 2);
  assert.deepEqual(found(again), found(first));
  assert.match(again.notices.join(), /Your last files are back/);
});

test('files are kept although their tab is left at once', async (t) => {
  const { page, origin, until } = await open(t, '?tab=train&per_class=1', { kind: 'no webgpu' });
  await until('a model', (s) => s.model);
  await drop(page, [['set.zip', zip([...numbered(8, 1, (n) => `cats/${n}.png`), ...numbered(9, 2, (n) => `dogs/${n}.png`)])]]);
  const first = await until('classes', (s) => found(s).length === 2);
  await page.evaluate(() => {
    history.pushState(null, '', '?per_class=1');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  await until('the chains', (s) => !/tab=train/.test(s.query));
  await page.waitForTimeout(500);
  await page.goto(`${origin}?tab=train&per_class=1`);
  const again = await until('the same classes', (s) => found(s).length === 2);
  assert.deepEqual(found(again), found(first));
});

/**
 * A picture of 32×64 pixels that the browser makes: whole blocks of 8×8 pixels in black and white, which a JPEG keeps as they
 * are. If it lies, its pixels are those that a camera stores that was held on its side.
 */
async function picture(page, type, isLying) {
  const bytes = await page.evaluate(async ([type, isLying]) => {
    const canvas = isLying ? new OffscreenCanvas(64, 32) : new OffscreenCanvas(32, 64);
    const pen = canvas.getContext('2d');
    pen.fillRect(0, 0, 64, 64);
    pen.fillStyle = 'white';
    for (const [x, y, width, height] of [[0, 0, 16, 8], [0, 8, 8, 32]]) {
      if (isLying) pen.fillRect(y, 32 - x - width, height, width);
      else pen.fillRect(x, y, width, height);
    }
    const blob = await canvas.convertToBlob({ type, quality: 1 });
    return [...new Uint8Array(await blob.arrayBuffer())];
  }, [type, isLying]);
  return Buffer.from(bytes);
}

/** A JPEG with the EXIF tag of a camera: it is seen upright after a quarter turn clockwise. */
function tagged(jpeg) {
  const exif = Buffer.from('Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0', 'latin1');
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1, 0, exif.length + 2]), exif, jpeg.subarray(2)]);
}

// The same picture, upright, as AVIF, which browsers read and do not write. Made by Pillow 13.0 with quality 100.
const AVIF = 'AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAA'
  + 'EAAAETAAAAIwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAIAAAAEAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwA'
  + 'AAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAK21kYXQSAAoJGBF//yQENBoQMhREAADgzKCTEBSzMG4nqLapiD9s8g==';

// And as a drawing.
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="64"><path d="M0 0h32v64h-32z"/><path fill="white" d="M0 0h16v8h-8v32h-8z"/></svg>';

test('chains start from pictures as they are seen: turned by a camera, WebP, and AVIF', async (t) => {
  // With less motion, the chains rest at their starts.
  const { page, errors, until } = await open(t, '?per_class=1', { kind: 'no webgpu', reducedMotion: 'reduce' });
  let shown = await until('chains', (s) => s.energies.length > 0);
  /** The mean energy of the chains that start from a picture. */
  async function energyOf(name, content, give = (file) => drop(page, [file])) {
    await give([name, content]);
    const isOther = (s) => s.energies.length > 0 && JSON.stringify(s.energies) !== JSON.stringify(shown.energies);
    shown = await until(`chains that start from ${name}`, isOther, 30);
    return mean(shown.energies[0]);
  }
  const upright = await energyOf('upright.png', await picture(page, 'image/png', false));
  const lying = await energyOf('lying.jpg', await picture(page, 'image/jpeg', true));
  const jpeg = await energyOf('camera.jpg', tagged(await picture(page, 'image/jpeg', true)));
  const webp = await energyOf('lying.webp', await picture(page, 'image/webp', true));
  const avif = await energyOf('upright.avif', Buffer.from(AVIF, 'base64'));
  await energyOf('lying.png', await picture(page, 'image/png', true));
  /** Returns a function that opens a file of this type with the dialog. */
  const openAs = (mimeType) => async ([name, buffer]) => {
    await page.keyboard.press('Control+o');
    const dialog = page.locator('#choose');
    assert.match(await dialog.getAttribute('accept'), /image\/\*/, 'the dialog offers what the browser can read');
    await dialog.setInputFiles({ name, mimeType, buffer });
  };
  const opened = await energyOf('upright.avif', Buffer.from(AVIF, 'base64'), openAs('image/avif'));
  // What only the browser calls a picture.
  const jfif = await energyOf('lying.jfif', await picture(page, 'image/jpeg', true), openAs('image/jpeg'));
  const svg = await energyOf('upright.svg', Buffer.from(SVG), openAs('image/svg+xml'));
  t.diagnostic(`energies: ${JSON.stringify({ upright, lying, jpeg, webp, avif, opened, jfif, svg })}`);
  const isSame = (one, other) => Math.abs(one - other) < 0.05 * Math.abs(upright - lying);
  assert.ok(isSame(jpeg, upright), 'the tag of the camera turns the picture');
  assert.ok(isSame(webp, lying), 'WebP');
  assert.ok(isSame(avif, upright), 'AVIF');
  assert.ok(isSame(opened, upright), 'AVIF that was opened');
  assert.ok(isSame(jfif, lying), 'JPEG by another name');
  assert.ok(isSame(svg, upright), 'SVG');
  assert.deepEqual(errors, []);
});

/** Notes what the worker says of the large files that it reads: of each, how many bytes were there. */
const noteProgress = () => {
  globalThis.progress = {};
  globalThis.Worker = class extends Worker {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', ({ data }) => {
        if (!(data?.length < 60)) return;
        // Events, one of them, of the kind Loading: the length of a name, the name, and a number with seven bits in each byte.
        const found = /^\0\x01\x01[^](large-\d\.safetensors)/.exec(String.fromCharCode(...data));
        if (!found) return;
        const numBytes = data.subarray(found[0].length).reduceRight((sum, byte) => sum * 128 + (byte & 127), 0);
        (progress[found[1]] ??= []).push(numBytes);
      });
    }
  };
};

test('a large model is read beside the page, which shows how much of it is there', async (t) => {
  const { page, until } = await open(t, '?per_class=1', { kind: 'no webgpu', reducedMotion: 'reduce', before: noteProgress });
  await until('chains', (s) => s.energies.length > 0);
  await page.waitForTimeout(1000);
  const MIB = 150;
  let [tasks, name] = [[Infinity], ''];
  // A page that reads the file itself freezes in every round. Another load on the machine hardly affects three rounds.
  for (let round = 0; round < 3 && Math.max(0, ...tasks) >= 300; round += 1) {
    name = `large-${round}.safetensors`;
    await page.evaluate(([name, mib]) => {
      // A file of another program: one tensor of zeros. Its parts are all the same, so it takes no time to make.
      const size = mib * 2 ** 20;
      const header = new TextEncoder().encode(JSON.stringify({ weights: { dtype: 'U8', shape: [size], data_offsets: [0, size] } }));
      const part = new Blob([new Uint8Array(2 ** 20)]);
      globalThis.large = new File([new BigUint64Array([BigInt(header.length)]), header, ...Array(mib).fill(part)], name);
    }, [name, MIB]);
    await page.waitForTimeout(500);
    const begin = Date.now();
    await page.evaluate(() => {
      longTasks.length = 0;
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(globalThis.large);
      for (const type of ['dragover', 'drop']) {
        document.getElementById('canvas').dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      }
    });
    await until('a message', (s) => s.notices.some((text) => text.includes(name)));
    const secs = (Date.now() - begin) / 1000;
    // The browser tells of a task a little later.
    await page.waitForTimeout(500);
    tasks = await page.evaluate(() => globalThis.longTasks);
    t.diagnostic(`${MIB} MiB are refused after ${secs.toFixed(1)} s; tasks over 50 ms: ${tasks.join(', ') || 'none'}`);
  }
  assert.ok(Math.max(0, ...tasks) < 300, `tasks of ${tasks} ms`);
  const seen = (await page.evaluate(() => globalThis.progress))[name] ?? [];
  assert.deepEqual(seen, seen.toSorted((a, b) => a - b), 'it grows');
  assert.ok(seen.length > 10 && seen[0] === 0 && seen.at(-1) > 0.9 * MIB * 2 ** 20, `${seen}`);
  const after = await until('a state', () => true);
  assert.deepEqual([after.model, after.failure], ['fashion', null], 'the last model stays');
});

test('a dialog that is cancelled gives nothing, and ends', async (t) => {
  const { page, until } = await open(t, '?per_class=1', { kind: 'no webgpu' });
  const before = await until('a model', (s) => s.energies.length > 0);
  const end = await page.evaluate(() => {
    const chosen = jempp.pick('image/*').then((file) => file ?? 'nothing');
    document.getElementById('choose').dispatchEvent(new Event('cancel'));
    return Promise.race([chosen, new Promise((resolve) => setTimeout(resolve, 5000, 'it waits'))]);
  });
  assert.equal(end, 'nothing');
  assert.equal(await page.locator('#choose').count(), 0);
  // The program's own question, too.
  await page.keyboard.press('Control+o');
  await page.locator('#choose').dispatchEvent('cancel');
  await page.waitForTimeout(500);
  const after = await until('a state', () => true);
  assert.deepEqual([after.model, after.notices, after.failure], [before.model, [], null]);
});
