// What surrounds the canvas: the focus, the history, a text for screen readers, what would be lost, and what the browser keeps.

import { again, fileAt, takeModel } from './files.js';
import { change, keep, kept } from './store.js';

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const isFrame = self !== top;
const isEmbedded = document.documentElement.hasAttribute('data-embed');
/** Whether the page takes the keyboard and the wheel at once, as it does on its own. A frame does so with `capture=1`. */
const takesAll = !isFrame || query.get('capture') === '1';

/** Until a person enters the frame, its host keeps the focus. Called before the viewer starts, which takes it. */
export function wait() {
  const canvas = byId('canvas');
  if (takesAll) canvas.style.touchAction = 'none';
  else {
    const { focus } = HTMLElement.prototype;
    HTMLElement.prototype.focus = function focusIfInside(options) {
      if (document.hasFocus()) focus.call(this, options);
    };
    if (!isEmbedded) {
      // The full page takes the wheel and the finger, but not before a person has entered the frame.
      canvas.style.touchAction = 'pan-y pinch-zoom';
      canvas.addEventListener('touchend', () => self.focus());
    }
  }
  for (const id of ['before', 'after']) byId(id).onclick = () => canvas.focus();
  addEventListener('beforeunload', (event) => {
    // Chrome and Edge before version 119 want a value.
    if (globalThis.jempp?.unsaved?.()) event.returnValue = true;
  });
  if (isFrame) restOutOfSight();
  followRatio(canvas);
  leaveKeys(canvas);
}

/** The keys that the viewer takes away although they do nothing in it, where they are pressed with Ctrl or Cmd. */
const UNUSED = new RegExp(`^(arrow.+|,|(key)?[p${isEmbedded ? 'os' : ''}])$`, 'i');

/** Leaves the browser its own keys: those with Alt, as for the way back, and those with Ctrl or Cmd that the viewer does not use. */
function leaveKeys(canvas) {
  const isUnused = ({ key, code }) => UNUSED.test(key) || UNUSED.test(code);
  document.addEventListener('keydown', (event) => {
    // On many keyboards, AltGraph writes a question mark or the like.
    if (event.getModifierState('AltGraph')) return;
    // In a field, which is beside the canvas while a person types, arrows go by words, and Alt writes letters.
    if (event.target !== canvas && (event.altKey || event.key.startsWith('Arrow'))) return;
    const isLeft = event.altKey ? event.key !== 'Alt' : (event.ctrlKey || event.metaKey) && isUnused(event);
    if (isLeft) event.stopImmediatePropagation();
  }, { capture: true });
}

/**
 * At another pixel ratio, as after a zoom or on another screen, gives the canvas its pixels and asks for a drawing. The program
 * only scales the pixels that it had, which is wrong if the size changes too, and does not draw.
 */
function followRatio(canvas) {
  matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener('change', () => {
    setTimeout(() => {
      for (const [side, length] of [['width', canvas.clientWidth], ['height', canvas.clientHeight]]) {
        const pixels = Math.round(length * devicePixelRatio);
        // The browser's own measure may be a pixel more or less.
        if (Math.abs(canvas[side] - pixels) > 1) canvas[side] = pixels;
      }
      dispatchEvent(new Event('pageshow'));
    }, 100);
    followRatio(canvas);
  }, { once: true });
}

/**
 * Draws nothing while the frame is scrolled out of sight, so its chains rest. Browsers do this for frames of another origin
 * only.
 */
function restOutOfSight() {
  const [draw, cancel] = [requestAnimationFrame.bind(globalThis), cancelAnimationFrame.bind(globalThis)];
  const waiting = new Map();
  let [isSeen, last] = [true, 0];
  globalThis.requestAnimationFrame = (call) => {
    if (isSeen) return draw(call);
    // The browser's own numbers are above 0.
    last -= 1;
    waiting.set(last, call);
    return last;
  };
  globalThis.cancelAnimationFrame = (number) => waiting.delete(number) || cancel(number);
  new IntersectionObserver((entries) => {
    isSeen = entries.at(-1).isIntersecting;
    if (!isSeen) return;
    for (const call of waiting.values()) draw(call);
    waiting.clear();
  }).observe(document.documentElement);
}

/** What was asked for before the program takes it. */
const early = [];
/** Takes what the page around the frame asks for. */
let take = (...asked) => early.push(asked);
const ASKED = ['play', 'pause', 'restart', 'show', 'theme'];
if (isFrame) {
  addEventListener('message', ({ source, data }) => {
    if (source !== parent || !ASKED.includes(data?.jempp)) return;
    if (data.jempp === 'theme') document.documentElement.dataset.theme = data.value;
    take(data.jempp, String(data.value ?? ''));
  });
  // Also when the frame was loaded again: whoever made it then tells its colours anew, and waits with the rest.
  parent.postMessage({ jempp: 'begins' }, '*');
}

/** The largest model file that is kept for the next visit, in bytes. */
const MAX_KEPT = 64 * 2 ** 20;
/** Where models are kept: the last one that was opened as a file, and the last one that was trained. */
const SLOTS = ['model', 'trained'];
async function keptModel(name) {
  for (const slot of SLOTS) {
    const model = await kept(slot);
    if (model?.name === name) return model;
  }
  return undefined;
}

/** The finished lessons in what a window remembered; none if that cannot be read. */
function lessonsIn(text) {
  try {
    return JSON.parse(text).lessons ?? [];
  } catch {
    return [];
  }
}

/** The name of the model in the link, if it is a kept one. */
export async function keptName(bundled) {
  const name = query.get('model');
  return name && !bundled && (await keptModel(name)) ? name : null;
}

/** Whether a person wants nothing to move by itself. */
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const isCalm = calm.matches;
calm.addEventListener('change', ({ matches }) => take('calm', matches ? 'yes' : 'no'));
// A phone or a tablet. Some browsers do not say how much memory there is: where a finger is the pointer, it may be little.
const memory = navigator.deviceMemory ?? (matchMedia('(pointer: coarse)').matches ? 4 : 8);
const isSmall = memory <= 4 || Math.min(screen.width, screen.height) < 500;

/** Whether a person knows that their drawings are not kept. */
let isTold = false;

/** The words that are written, and the timer of what is said next. */
let [written, saying] = [];

/** The part of `globalThis.jempp` that the program calls. */
export const host = {
  takesAll,
  isCalm,
  /** The most bytes of a trained model that is kept: unlike a file, it is copied several times on its way. */
  maxTrained: isSmall ? MAX_KEPT / 4 : MAX_KEPT,
  /** The most memory for the record of a run and the one before it, in MiB. A page may have several frames. */
  historyMib: isSmall || isFrame ? 64 : 320,
  isFrame,
  onAsked(taker) {
    take = taker;
    for (const asked of early.splice(0)) take(...asked);
    // In a frame, and for a single lesson, nothing is drawn, trained or remembered.
    if (isFrame || isEmbedded) return;
    kept('drawings').then((text) => text && take('drawings', text));
    again().then((text) => text && take('files', text));
    kept('memory').then((text) => take('memory', text ?? ''));
    for (const slot of SLOTS) kept(slot).then((model) => model && take('kept', model.name));
  },
  /** Says that a file cannot be opened here. */
  refuseFile: () => take('complain', 'Files cannot be opened here. Open the full page with the link Open in jempp.'),
  /** Keeps the model at a place in one of the SLOTS, and says so if it does not. One that is too large may have no place. */
  async keepModel(slot, name, place) {
    const isTrained = slot === 'trained';
    const advice = isTrained ? 'Save the model before you leave.' : 'After a reload, open the file again.';
    const file = fileAt(place);
    if (!file || file.size > MAX_KEPT) {
      const most = Math.round((isTrained ? host.maxTrained : MAX_KEPT) / 2 ** 20);
      take('complain', `${name} is not kept in the browser, because it has more than ${most} MiB. ${advice}`);
      return;
    }
    const isKept = await keep(slot, { name, bytes: file });
    if (!isKept) take('complain', `The browser could not keep ${name}: it has no space, or keeps nothing in a private window. ${advice}`);
    else if (isTrained) take('is kept', name);
  },
  /** Copies a link and says so: `said`, or that it could not. A page without encryption has no clipboard. */
  async copy(link, said) {
    const isCopied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
    const instead = isFrame ? 'Open the page in a tab of its own.' : 'Copy the address from the address bar.';
    if (isCopied) take('notify', said);
    else take('complain', `The browser does not let the page copy. ${instead}`);
  },
  takeModel,
  /** Takes a kept model into the page. Returns the name under which the page has it, or nothing. */
  async keptPlace(name) {
    const model = await keptModel(name);
    return model && takeModel(name, model.bytes);
  },
  async keepDrawings(text) {
    if ((await keep('drawings', text)) || isTold) return;
    isTold = true;
    take('complain', 'The browser could not keep your drawings: it has no space, or keeps nothing in a private window. A reload loses them.');
  },
  /** Keeps what the window remembers. Another tab may have finished other lessons meanwhile. */
  keepMemory(text) {
    change('memory', (before) => {
      const lessons = new Set([...lessonsIn(before), ...lessonsIn(text)]);
      return JSON.stringify({ ...JSON.parse(text), lessons: [...lessons].sort((a, b) => a - b) });
    });
  },
  /** Tells the page around the frame what has changed. It holds nothing that a person did not show there. */
  report(state) {
    parent.postMessage({ jempp: 'change', state }, '*');
  },
  /** Gives the focus to the button before the canvas or to the one after it, from which Tab leads out of the page. */
  leave(isBack) {
    byId(isBack ? 'before' : 'after').focus();
  },
  /** Says what has the focus in the canvas, or what a person has just changed there: the last of several at once. */
  say(text) {
    clearTimeout(saying);
    saying = setTimeout(() => (byId('news').textContent = text), 250);
  },
  /** Writes what the canvas shows for those who cannot see it. A screen reader says an `alarm` and `news` at once. */
  tell(title, paragraphs, answer, now, alarm, news) {
    document.title = `jempp: ${title}`;
    // What a person is typing into: the canvas cannot say it.
    for (const input of document.querySelectorAll('canvas ~ input[type=text]')) {
      input.setAttribute('aria-label', 'The field that is being edited');
      input.tabIndex = -1;
    }
    byId('title').textContent = title;
    // What stays the same is left alone: a screen reader may be in the middle of it.
    const text = JSON.stringify([paragraphs, answer]);
    if (text !== written) {
      written = text;
      const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
      const lines = (texts) => texts.map((text) => element('p', text));
      byId('words').replaceChildren(...lines(paragraphs));
      if (answer.length > 0) {
        const details = element('details', '');
        // A screen reader finds it. For the Tab key it would be a stop that nobody sees.
        details.append(Object.assign(element('summary', 'Answer'), { tabIndex: -1 }), ...lines(answer));
        byId('words').append(details);
      }
    }
    for (const [id, text] of Object.entries({ now, alarm })) if (byId(id).textContent !== text) byId(id).textContent = text;
    // The same news may come twice.
    if (news) byId('news').textContent = news;
  },
};
