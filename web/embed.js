// Puts jempp into a page of yours, as wide as its column and in its colours:
//   <script src="https://HOST/embed.js" data-query="lesson=4"></script>
// The script can also stand in the head of a page; then write <jempp-frame query="lesson=4"></jempp-frame> where you want
// a frame. Attributes, in the script's tag with `data-` before them: query (a copied link, or what it has after `?`), height (in
// pixels), theme (light or dark; otherwise that of the page, also when it changes), title (for screen readers), capture (take keys
// and wheel at once). All but the last can be changed later.
// For those who build slides, the element has play(), pause(), restart(), show(query), state, and the event `change`.
(() => {
  const script = document.currentScript;
  if (!script) throw new Error('jempp: embed.js is a plain script of the page: load it without type="module", and outside a shadow root');
  const base = new URL('.', script.src);
  const NAME = 'jempp-frame';
  const ATTRIBUTES = ['query', 'height', 'theme', 'title', 'capture'];
  const TITLE = 'jempp: chains of an energy-based model';
  /** The longest time between a change of the page and a look at its colours, in ms. */
  const LOOK = 100;

  /** The red, green, blue and opacity of a colour, from 0 to 255. It may be written as `rgb(…)`, `oklch(…)`, `color(…)`… */
  function parts(colour) {
    const pen = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d');
    // It stays so if the canvas does not know the colour.
    pen.fillStyle = 'transparent';
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return pen.getImageData(0, 0, 1, 1).data;
  }

  /** Whether what an element stands on is dark. */
  function isDark(element) {
    // In a slot or a shadow root, it stands on the element around that.
    for (let one = element; one; one = one.assignedSlot ?? one.parentElement ?? one.getRootNode().host) {
      const [r, g, b, opacity] = parts(getComputedStyle(one).backgroundColor);
      if (opacity > 127) return 0.299 * r + 0.587 * g + 0.114 * b < 128;
    }
    // Nothing has a colour: the browser paints the background.
    const scheme = getComputedStyle(document.documentElement).colorScheme;
    return scheme.includes('dark') && (!scheme.includes('light') || matchMedia('(prefers-color-scheme: dark)').matches);
  }

  class JemppFrame extends HTMLElement {
    static observedAttributes = ATTRIBUTES;
    /** The last state that the frame told: step, is_running, energy, model, lesson, lesson_step, query. */
    state = null;
    #frame = null;
    #tasks = null;
    /** The colours that the frame was told to have. */
    #told = '';
    /** What was asked of a frame that has not told a state yet, and does not listen. */
    #early = [];

    connectedCallback() {
      if (this.#frame) return;
      // Of a whole link, only what it asks for.
      const query = new URLSearchParams((this.getAttribute('query') ?? '').replace(/#.*/s, '').replace(/^http[^?]*$|^[^?]*\?/, ''));
      query.set('theme', (this.#told = this.#theme()));
      if (this.hasAttribute('capture')) query.set('capture', '1');
      const title = this.getAttribute('title') ?? TITLE;
      this.#frame = Object.assign(document.createElement('iframe'), { src: `${new URL('embed.html', base)}?${query}`, title, loading: 'lazy' });
      Object.assign(this.style, { display: 'block' });
      Object.assign(this.#frame.style, { display: 'block', width: '100%', border: '0' });
      this.append(this.#frame);
      this.#tasks = new AbortController();
      const { signal } = this.#tasks;
      const sizes = new ResizeObserver(() => this.#fit());
      sizes.observe(this);
      signal.addEventListener('abort', () => sizes.disconnect());
      this.#fit();
      this.#followColours(signal);
      addEventListener('message', ({ source, data }) => {
        if (source !== this.#frame.contentWindow) return;
        if (data?.jempp === 'begins') {
          // A frame that is loaded again has the colours of its address, and hears nothing before it tells a state.
          this.state = null;
          this.#told = query.get('theme');
          this.#tellTheme();
        }
        if (data?.jempp !== 'change') return;
        this.state = data.state;
        for (const asked of this.#early.splice(0)) this.#ask(...asked);
        this.dispatchEvent(new CustomEvent('change', { detail: data.state }));
      }, { signal });
    }

    attributeChangedCallback(name, before, now) {
      if (!this.#frame || before === now) return;
      if (name === 'query') this.show(now ?? '');
      else if (name === 'height') this.#fit();
      else if (name === 'theme') this.#tellTheme();
      else if (name === 'title') this.#frame.title = now ?? TITLE;
    }

    /** With this callback, `moveBefore()` moves the frame as it is. */
    connectedMoveCallback() {
      this.#tellTheme();
    }

    disconnectedCallback() {
      this.#tasks?.abort();
      this.#frame?.remove();
      this.#frame = null;
      this.#early = [];
      this.state = null;
    }

    play() { this.#ask('play'); }
    pause() { this.#ask('pause'); }
    restart() { this.#ask('restart'); }
    /** Shows another state: a copied link, or what it has after `?`. */
    show(query) { this.#ask('show', String(query)); }

    #fit() {
      const height = Number(this.getAttribute('height')) || Math.min(Math.max(0.7 * this.clientWidth, 280), 520);
      this.#frame.style.height = `${height}px`;
    }

    /** Looks at the colours of the page whenever the system, or a class or another attribute of the page, may have changed them. */
    #followColours(signal) {
      let timer;
      const look = () => {
        timer ??= setTimeout(() => {
          timer = undefined;
          this.#tellTheme();
        }, LOOK);
      };
      const changes = new MutationObserver(look);
      for (const element of [document.documentElement, document.body]) if (element) changes.observe(element, { attributes: true });
      // Colours may fade into each other, and a style sheet may come late.
      document.addEventListener('transitionend', look, { signal });
      document.addEventListener('load', look, { capture: true, signal });
      matchMedia('(prefers-color-scheme: dark)').addEventListener('change', look, { signal });
      signal.addEventListener('abort', () => {
        changes.disconnect();
        clearTimeout(timer);
      });
    }

    #tellTheme() {
      const theme = this.#theme();
      if (theme === this.#told) return;
      this.#told = theme;
      this.#ask('theme', theme);
    }

    #theme() {
      const theme = this.getAttribute('theme');
      if (theme === 'light' || theme === 'dark') return theme;
      return isDark(this) ? 'dark' : 'light';
    }

    #ask(what, value = '') {
      if (this.state) this.#frame.contentWindow.postMessage({ jempp: what, value }, base.origin);
      else this.#early.push([what, value]);
    }
  }
  if (!customElements.get(NAME)) customElements.define(NAME, JemppFrame);

  const given = ATTRIBUTES.filter((name) => name in script.dataset);
  if (given.length > 0) {
    const element = document.createElement(NAME);
    for (const name of given) element.setAttribute(name, script.dataset[name]);
    // In the head nothing is seen, and there may be no body yet.
    const begin = () => document.body.prepend(element);
    if (script.parentElement !== document.head) script.after(element);
    else if (document.body) begin();
    else document.addEventListener('DOMContentLoaded', begin);
  }
})();
