/**
 * Saves shortly after the last change, and lets one tab alone write a document.
 *
 * Invariant: saves overlap only when the page goes away, and a change that comes during one is saved after it; a tab writes only
 * what it has claimed.
 */

/** ms after the last change. */
const DELAY = 500;

/**
 * @param {object} options
 * @param {() => Promise<void>} options.save
 * @param {(error: unknown) => void} options.onError
 * @param {number} [options.delay] ms
 */
export function createAutosave({ save, onError, delay = DELAY }) {
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  /** @type {Promise<void>|null} */
  let running = null;
  let changed = false;

  async function run() {
    while (changed) {
      changed = false;
      try {
        await save();
      } catch (error) {
        onError(error);
      }
    }
    running = null;
  }

  /** Saves what has changed now; resolves when it is saved. */
  function flush() {
    clearTimeout(timer);
    if (changed) running ??= run();
    return running ?? Promise.resolve();
  }

  /** A page that goes away waits for no save that has begun: the database writes in the order in which it is asked. */
  function leave() {
    clearTimeout(timer);
    if (!changed) return;
    changed = false;
    save().catch(onError);
  }

  // A phone drops a page in the background without a word.
  addEventListener('pagehide', leave);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') leave();
  });

  return {
    schedule() {
      changed = true;
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

/** Resolves once no tab has the document. @param {string} documentId */
export const freed = (documentId) => navigator.locks.request(`kandinsky.document.${documentId}`, () => {});

/** @param {string} documentId */
export function release(documentId) {
  claims.get(documentId)?.();
  claims.delete(documentId);
}

/** Whether a write failed for want of space. @param {unknown} error */
export function isQuota(error) {
  const name = /** @type {any} */ (error)?.name;
  return name === 'QuotaExceededError' || name === 'NS_ERROR_DOM_QUOTA_REACHED';
}
