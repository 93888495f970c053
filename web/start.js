// The watch over the start: a message if a file of the program is missing, or if nothing arrives any more. It is a plain
// script of its own, so that it works when the others cannot be loaded. Nothing waits for it, so it may come after them.
globalThis.jemppStart ??= (() => {
  const PATIENCE = 30_000;
  const byId = (id) => document.getElementById(id);
  let timer;
  let isOver = false;
  // The screens before and after the program have the colours that a frame is asked to have.
  document.documentElement.dataset.theme = new URLSearchParams(location.search).get('theme') ?? '';

  /** Why no module can be loaded here; empty if they can. */
  let obstacle = '';
  if (location.protocol === 'file:') obstacle = 'The page must come from a web server: web/serve.sh starts one.';
  else if (self.origin === 'null') obstacle = 'The frame is in a sandbox: whoever made this page must add allow-same-origin to it.';

  /** Shows a message below the progress, with a button that loads the page again. Texts only: a name may come from a link. */
  function tell(text) {
    if (isOver || !byId('late')) return;
    const [words, button] = byId('late').children;
    words.textContent = obstacle || text;
    byId('late').hidden = false;
    button.hidden = obstacle !== '';
    button.onclick = () => location.reload();
  }

  const nameOf = (url) => new URL(url, location.href).pathname.split('/').pop();

  /** Names the files that could not be loaded. A script that imports a missing file fails itself, so the missing one is looked up. */
  function tellBroken(...urls) {
    const broken = performance.getEntriesByType('resource').filter(({ responseStatus }) => responseStatus >= 400);
    const names = [...new Set((broken.length > 0 ? broken.map(({ name }) => name) : urls).map(nameOf))];
    if (obstacle || names.length > 0) tell(`The page cannot start: ${names.join(', ')} could not be loaded. Something may block it, or the connection failed.`);
  }

  // Errors of files do not bubble.
  addEventListener('error', ({ target }) => {
    const url = target?.src ?? target?.href;
    if (typeof url === 'string' && target.tagName !== 'CANVAS') tellBroken(url);
  }, true);

  /** The names of the files that the page asks for in its head and that have not arrived. */
  function missing() {
    const entries = performance.getEntriesByType('resource').filter(({ responseStatus }) => responseStatus !== 0);
    const arrived = new Set(entries.map(({ name }) => name));
    const asked = document.querySelectorAll('script[src], link[rel=stylesheet], link[rel=modulepreload], link[rel=preload]');
    const urls = [...asked].map(({ src, href }) => src ?? href);
    return [...new Set(urls.filter((url) => !arrived.has(url)).map(nameOf))];
  }

  function tellMissing() {
    const names = missing();
    const what = names.length > 0 ? `Still missing: ${names.join(', ')}. ` : '';
    tell(`Nothing has arrived for half a minute. ${what}The connection may be slow or broken.`);
    // A style sheet that does not come keeps the page white, and its scripts waiting.
    for (const link of document.querySelectorAll('link[rel=stylesheet]')) if (!link.sheet) link.replaceWith(link.cloneNode());
  }

  const start = {
    /** Something arrived: the watch begins anew. */
    goesOn() {
      clearTimeout(timer);
      if (isOver) return;
      if (byId('late')) byId('late').hidden = true;
      timer = setTimeout(tellMissing, PATIENCE);
    },
    /** The page has started, or shows a message of its own. */
    over() {
      isOver = true;
      clearTimeout(timer);
      if (byId('late')) byId('late').hidden = true;
    },
  };
  start.goesOn();

  /** From here on this script watches: the sentence for a page without it is not needed, and what failed before is told. */
  function begin() {
    byId('unwatched')?.remove();
    tellBroken();
  }
  if (document.readyState === 'loading') document.addEventListener('readystatechange', begin, { once: true });
  else begin();
  return start;
})();
