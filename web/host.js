// What surrounds the canvas: the focus, the history, a text for screen readers, and what would be lost.

import { again } from './files.js';
import { keep, kept } from './store.js';

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const isFrame = self !== top;
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
  }
  for (const id of ['before', 'after']) byId(id).onclick = () => canvas.focus();
  addEventListener('beforeunload', (event) => {
    if (globalThis.jempp?.unsaved?.()) event.preventDefault();
  });
  if (isFrame) restOutOfSight();
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
    if (source === parent && ASKED.includes(data?.jempp)) take(data.jempp, String(data.value ?? ''));
  });
}

/** The largest model file that is kept for a reload, in bytes. */
const MAX_KEPT = 64 * 2 ** 20;
/** The kept model file, if it is the one that the link names. */
export async function modelOfLink(bundled) {
  const name = query.get('model');
  if (!name || bundled) return null;
  const model = await kept('model');
  return model?.name === name ? model : null;
}

/** Whether chains may start to run by themselves. */
const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
// A phone or a small tablet. Some browsers do not say how much memory there is.
const isSmall = (navigator.deviceMemory ?? 8) <= 4 || Math.min(screen.width, screen.height) < 500;

/** The part of `globalThis.jempp` that the program calls. */
export const host = {
  takesAll,
  isCalm,
  /** The most memory for the record of a run, in MiB. */
  historyMib: isSmall ? 64 : 320,
  isFrame,
  onAsked(taker) {
    take = taker;
    for (const asked of early.splice(0)) take(...asked);
    // In a frame, nothing is drawn.
    if (isFrame) return;
    kept('drawings').then((text) => text && take('drawings', text));
    again().then((text) => text && take('files', text));
  },
  /** Says that a file cannot be opened here. */
  refuseFile: () => take('file', ''),
  keepModel(name, bytes) {
    if (bytes.byteLength <= MAX_KEPT) keep('model', { name, bytes: bytes.slice() });
  },
  keepDrawings(text) {
    keep('drawings', text);
  },
  /** Tells the page around the frame what has changed. It holds nothing that a person did not show there. */
  report(state) {
    parent.postMessage({ jempp: 'change', state }, '*');
  },
  /** Gives the focus to the button before the canvas or to the one after it, from which Tab leads out of the page. */
  leave(isBack) {
    byId(isBack ? 'before' : 'after').focus();
  },
  /** Writes what the canvas shows for those who cannot see it. */
  tell(title, paragraphs, now) {
    document.title = `jempp: ${title}`;
    // What a person is typing into: the canvas cannot say it.
    for (const input of document.querySelectorAll('canvas ~ input[type=text]')) {
      input.setAttribute('aria-label', 'The field that is being edited');
      input.tabIndex = -1;
    }
    byId('title').textContent = title;
    const texts = paragraphs.map((text) => Object.assign(document.createElement('p'), { textContent: text }));
    byId('words').replaceChildren(...texts);
    if (byId('now').textContent !== now) byId('now').textContent = now;
  },
};
