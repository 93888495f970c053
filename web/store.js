// Keeps the models that a person opened and trained last, their drawings, their files, and which lessons they finished, so that a
// reload finds them again. They stay in this browser, and leave it with its site data.

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('jempp', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function ask(mode, what) {
  const base = await open();
  try {
    return await new Promise((resolve, reject) => {
      const deal = base.transaction('kept', mode);
      const request = what(deal.objectStore('kept'));
      deal.oncomplete = () => resolve(request.result);
      deal.onabort = deal.onerror = () => reject(deal.error);
    });
  } finally {
    base.close();
  }
}

/** Keeps a value. Returns whether it is kept: a private window, or one without space, keeps nothing. */
export const keep = (key, value) => ask('readwrite', (store) => store.put(value, key)).then(() => true, () => false);

/** Keeps what `make` makes of the kept value. No other tab can keep anything in between. */
export const change = (key, make) =>
  ask('readwrite', (store) => {
    const before = store.get(key);
    before.onsuccess = () => store.put(make(before.result), key);
    return before;
  }).catch(() => {});

/** A kept value, or nothing. */
export const kept = (key) => ask('readonly', (store) => store.get(key)).catch(() => undefined);
