// The watch over the start: a message if a file of the program is missing, or if nothing arrives any more. It is a plain
// script of its own, so that it works when the others cannot be loaded.
globalThis.jemppStart = (() => {
  const PATIENCE = 30_000;
  const byId = (id) => document.getElementById(id);
  let timer;
  let isOver = false;

  /** Shows a message below the progress, with a button that loads the page again. Texts only: a name may come from a link. */
  function tell(text) {
    if (isOver || !byId('late')) return;
    byId('late').querySelector('p').textContent = text;
    byId('late').hidden = false;
    byId('late').querySelector('button').onclick = () => location.reload();
  }
  // From here on this script watches, and the sentence for a page without it is not needed.
  document.addEventListener('readystatechange', () => byId('unwatched')?.remove(), { once: true });

  const nameOf = (url) => new URL(url, location.href).pathname.split('/').pop();

  // Errors of files do not bubble. A script that imports a missing file fails itself, so the missing one is looked up.
  addEventListener('error', ({ target }) => {
    const url = target?.src ?? target?.href;
    if (typeof url !== 'string' || target.tagName === 'CANVAS') return;
    const broken = performance.getEntriesByType('resource').filter(({ responseStatus }) => responseStatus >= 400);
    const names = [...new Set([...broken.map(({ name }) => name), ...(broken.length ? [] : [url])].map(nameOf))];
    tell(`The page cannot start: ${names.join(', ')} could not be loaded. Something may block it, or the connection failed.`);
  }, true);

  /** The names of the files that the page asks for in its head and that have not arrived. */
  function missing() {
    const arrived = new Set(performance.getEntriesByType('resource').map(({ name }) => name));
    const asked = document.querySelectorAll('script[src], link[rel=stylesheet], link[rel=modulepreload], link[rel=preload]');
    const urls = [...asked].map(({ src, href }) => src ?? href);
    return [...new Set(urls.filter((url) => !arrived.has(url)).map(nameOf))];
  }

  function tellMissing() {
    const names = missing();
    const what = names.length > 0 ? `Still missing: ${names.join(', ')}. ` : '';
    tell(`Nothing has arrived for half a minute. ${what}The connection may be slow or broken.`);
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
  return start;
})();
