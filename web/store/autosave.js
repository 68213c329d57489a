/**
 * Saves shortly after the last change, and lets one tab alone write a document.
 *
 * Invariant: a save is of the document as it is when it begins, so a change that comes during one is saved after it; a tab writes
 * only what it has claimed.
 */

/** ms after the last change. */
const DELAY = 500;

/**
 * @param {object} options
 * @param {() => Promise<void>} options.save
 * @param {(error: unknown) => void} options.onError
 * @param {(leaving: boolean) => void} [options.note]  tells at once what is not saved; leaving: nothing can be told later
 * @param {number} [options.delay] ms
 */
export function createAutosave({ save, onError, note = () => {}, delay = DELAY }) {
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  /** Saves that are being written. @type {Set<Promise<void>>} */
  const running = new Set();
  let changed = false;

  /** Saves what has changed now; resolves when it is saved. The database writes in the order in which it is asked. */
  async function flush() {
    clearTimeout(timer);
    if (changed) {
      changed = false;
      const one = save().catch(onError);
      running.add(one);
      void one.finally(() => running.delete(one));
    }
    await Promise.all(running);
  }

  /** A page that goes away hears of no end of a save, and the browser may drop those that have begun. */
  function leave() {
    if (!changed && running.size === 0) return;
    note(true);
    void flush();
  }

  // A phone drops a page in the background without a word.
  addEventListener('pagehide', leave);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') leave();
  });

  return {
    schedule() {
      changed = true;
      note(false);
      clearTimeout(timer);
      timer = setTimeout(() => void flush(), delay);
    },
    flush,
  };
}

/** @type {Map<string, () => void>} documents of this tab → what gives them up */
const claims = new Map();

/**
 * Claims a document for this tab, until it is given up or the tab closes.
 * @param {string} documentId
 * @returns {Promise<boolean>} false: another tab has it
 */
export function claim(documentId) {
  if (claims.has(documentId)) return Promise.resolve(true);
  // One at a time: others may open what this tab has left.
  for (const other of claims.keys()) release(other);
  // Locks are there on https and localhost only. Elsewhere the last tab to save wins, as it would without this.
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    void navigator.locks.request(`kandinsky.document.${documentId}`, { ifAvailable: true }, (lock) => {
      if (!lock) return resolve(false);
      return new Promise((giveUp) => {
        claims.set(documentId, () => giveUp(undefined));
        resolve(true);
      });
    });
  });
}

/** Whether no other tab has the document. @param {string} documentId @returns {Promise<boolean>} */
export async function isFree(documentId) {
  if (claims.has(documentId) || !navigator.locks) return true;
  return navigator.locks.request(`kandinsky.document.${documentId}`, { ifAvailable: true }, (lock) => lock !== null);
}

/** Resolves once no tab has the document. @param {string} documentId */
export const freed = (documentId) => navigator.locks.request(`kandinsky.document.${documentId}`, () => {});

/** @param {string} documentId */
function release(documentId) {
  claims.get(documentId)?.();
  claims.delete(documentId);
}

/** Whether a write failed for want of space. @param {unknown} error */
export function isQuota(error) {
  const name = /** @type {any} */ (error)?.name;
  return name === 'QuotaExceededError' || name === 'NS_ERROR_DOM_QUOTA_REACHED';
}
