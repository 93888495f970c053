// The files that a person drops on the page or chooses to train on. They stay where they are: the page lists their names,
// and hands the files themselves to its worker, which reads them. Nothing is sent anywhere.

import * as store from './store.js';

/** Limits, checked before anything is read. They are in docs/data.md. */
const MAX_FILES = 50_000;
const MAX_BYTES = 512 * 2 ** 20;
/** Files of more bytes than this are not kept for a reload, and not read by the browser in place of the program. */
const MAX_KEPT = 64 * 2 ** 20;

/** The files by the names under which the page keeps them. */
const kept = new Map();
/** Whether a person knows that their files are not kept for a reload. */
let isTold = false;
/** Hands files to the workers. */
let handOver = () => {};
/** Takes the list of files, or what a person must know: why they are not taken, or not kept. */
let take = () => {};

/** A list that stops before it grows too large. */
class List {
  files = [];
  bytes = 0;

  add(name, file) {
    this.bytes += file.size;
    this.files.push([name, file]);
    if (this.files.length > MAX_FILES) throw new Error(`More than ${MAX_FILES.toLocaleString('en')} files; the desktop program takes more`);
    if (this.bytes > MAX_BYTES) throw new Error(`More than ${MAX_BYTES / 2 ** 20} MiB of files; the desktop program takes more, or use smaller copies of the pictures`);
  }
}

/** Adds the files of an entry and of everything below it. Each read of a folder gives the browser time to draw. */
async function walk(entry, prefix, list) {
  const name = prefix + entry.name;
  if (entry.isFile) {
    list.add(name, await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives at most a hundred entries at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const child of some) await walk(child, `${name}/`, list);
  }
}

/** Pictures that the program can read by their names. */
const OWN_PICTURE = /\.(png|jpe?g|gif|webp|bmp)$/i;
/** Pictures that the browser perhaps can read, although it may not call them pictures. */
const FOREIGN_PICTURE = /\.(avif|heic|heif|ico|jxl|tiff?)$/i;
/** The longest side, in pixels, of the pictures that the browser makes of them: models see far fewer. */
const MAX_SIDE = 512;

/** A file and its name as the program can read them: what only the browser can read becomes a PNG, turned as its camera says. */
async function readable(name, file) {
  const isForeign = FOREIGN_PICTURE.test(name) || (file.type.startsWith('image/') && !OWN_PICTURE.test(name));
  if (!isForeign || file.size > MAX_KEPT) return [name, file];
  // Unlike a bitmap, an image can also be a drawing (SVG).
  const picture = Object.assign(new Image(), { src: URL.createObjectURL(file) });
  try {
    await picture.decode();
    const scale = Math.min(1, MAX_SIDE / Math.max(picture.width, picture.height));
    const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(scale * side)));
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext('2d');
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(picture, 0, 0, width, height);
    return [`${name}.png`, new File([await canvas.convertToBlob()], `${file.name}.png`)];
  } catch {
    // The program says that it cannot read such a file.
    return [name, file];
  } finally {
    URL.revokeObjectURL(picture.src);
  }
}

/** Takes files into the page: returns their names, and the names under which it has them. */
function receive(files) {
  const named = files.map(([name, file]) => {
    const place = `${kept.size} ${name}`;
    kept.set(place, file);
    return [name, place];
  });
  handOver(named.map(([, place]) => [place, kept.get(place)]));
  return named;
}

/** Takes a model into the page, from bytes or from what the browser kept. Returns the name under which it has it. */
export function takeModel(name, content) {
  const place = `model ${name}`;
  // A copy, as bytes may be memory of the program. Unlike an array, a blob is read only when the model is opened.
  kept.set(place, new Blob([content]));
  handOver([[place, kept.get(place)]]);
  return place;
}

/** The file that the page has under this name, if it has one. */
export const fileAt = (place) => kept.get(place);

/** Whether a file is one of PyTorch. The program refuses it by its name, so nothing of it need be read. */
const isForeign = (place) => /\.pth?$/i.test(place);

/** What is between the title, names and places of a list of files as text. */
const SEPARATOR = '\x1f';

/** The files of the last visit, as text for the program; nothing if there are none. */
export async function again() {
  const last = await store.kept('files');
  return last && [last.title, ...receive(last.files).flat()].join(SEPARATOR);
}

async function collect(fill) {
  const list = new List();
  try {
    const given = new List();
    await fill(given);
    // One after the other, since a picture takes much memory until it is small.
    for (const file of given.files) list.add(...(await readable(...file)));
  } catch (error) {
    take([], `These files cannot be used. ${error.message || error.name}.`);
    return;
  }
  if (list.files.length === 0) return;
  take(receive(list.files), undefined);
}

/** Asks for files, and waits for the choice: none if it is cancelled. Browsers allow this only after a click or a key press. */
function ask(options) {
  // Tests find it in the page.
  const input = Object.assign(document.createElement('input'), { type: 'file', id: 'choose', hidden: true, ...options });
  document.getElementById('choose')?.remove();
  document.body.append(input);
  return new Promise((resolve) => {
    input.onchange = input.oncancel = () => {
      input.remove();
      resolve([...input.files]);
    };
    input.click();
  });
}

/** The part of `globalThis.jempp` that concerns files. `hand` sends files to the workers that run; `refuse`, if any, is called instead. */
export function filesOf(canvas, hand, refuse) {
  handOver = hand;
  const takes = (event) => [...(event.dataTransfer?.items ?? [])].some((item) => item.kind === 'file');
  // Before the viewer's own listener, which knows no folders.
  canvas.addEventListener('drop', (event) => {
    if (!takes(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    canvas.dispatchEvent(new DragEvent('dragleave'));
    if (refuse) {
      refuse();
      return;
    }
    // The list of a drop is empty once this function returns.
    const items = [...event.dataTransfer.items].filter((item) => item.kind === 'file').map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
    collect(async (list) => {
      for (const [entry, file] of items) {
        if (entry) await walk(entry, '', list);
        else if (file) list.add(file.name, file);
      }
    });
  }, { capture: true });
  return {
    /** Asks for files or for a folder to train on. */
    choose: (isFolder) => ask({ multiple: true, webkitdirectory: isFolder })
      .then((files) => collect((list) => files.forEach((file) => list.add(file.webkitRelativePath || file.name, file)))),
    /** Asks for a file to open: its name, and the name under which the page has it; nothing for none. `accept` is as in HTML. */
    async pick(accept) {
      const [file] = await ask({ accept });
      return file && receive([await readable(file.name, file)])[0];
    },
    /** Keeps the files that a person trains on, for a reload: a title, and the name and the place of each. Says once if it cannot. */
    async keepFiles(text) {
      const [title, ...parts] = text.split(SEPARATOR);
      const files = [];
      for (let at = 0; at < parts.length; at += 2) files.push([parts[at], kept.get(parts[at + 1])]);
      const bytes = files.reduce((sum, [, file]) => sum + file.size, 0);
      const isSmall = bytes <= MAX_KEPT;
      const isKept = await store.keep('files', files.length > 0 && isSmall ? { title, files } : undefined);
      if (isTold || files.length === 0 || (isSmall && isKept)) return;
      isTold = true;
      const why = isSmall ? 'The browser could not keep your files' : `Your files have more than ${MAX_KEPT / 2 ** 20} MiB, so they are not kept`;
      take([], `${why}. After a reload, choose them again.`);
    },
    /** The size of a file, known before it is read. */
    givenSize: (place) => (isForeign(place) ? 0 : kept.get(place).size),
    /** A part of the bytes of a file. */
    given: (place, from, to) => kept.get(place).slice(from, to).arrayBuffer(),
    onFiles(taker) {
      take = taker;
    },
  };
}

/** All files, for a worker that starts. */
export const allFiles = () => [...kept];
