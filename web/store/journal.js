/**
 * The last changes, told at once and in words: for a page that ends before the database has written them.
 *
 * Invariant: nothing in here waits or throws; what the browser refuses to keep is only kept by the database, as it would be without
 * this. An entry that is older than what the database has is never read.
 */

import { packed, unpacked } from '../model/bytes.js';
import { careful } from '../model/storage.js';

/** @typedef {import('../model/types.js').Settings} Settings */
/** @typedef {import('../model/types.js').State['fusion']} Fusion */
/**
 * What the database may not have. `stored`: the sheet, if it had changed; `steps`: those that are not stored, as far as they fit.
 * @typedef {{at: number, settings: Settings, fusion: Fusion, window: import('../model/types.js').Rect, ratio: string,
 *   stored?: import('../model/document.js').Stored, steps?: any[]}} Entry
 */

/** Of the about five million characters that a browser gives. */
const MOST = 2_000_000;
const [CHANGES, WORDS, LAST] = ['kandinsky.unsaved.', 'kandinsky.words', 'kandinsky.sheet'];

/** @param {{tab?: () => Storage, device?: () => Storage}} [places] */
export function createJournal({ tab = () => sessionStorage, device = () => localStorage } = {}) {
  const [here, everywhere] = [careful(tab), careful(device)];

  /** @param {string|null} text */
  function read(text) {
    try {
      return text && unpacked(text);
    } catch {
      return null;
    }
  }

  return {
    /**
     * Each of these is tried until one fits: the whole first.
     * @param {string} id
     * @param {Entry[]} entries
     */
    write: (id, entries) =>
      entries.some((entry) => {
        const text = packed(entry);
        return text.length <= MOST && everywhere.set(CHANGES + id, text);
      }),
    /** @param {string} id @returns {Entry|null} */
    read: (id) => read(everywhere.get(CHANGES + id)),
    /** @param {string} id */
    remove(id) {
      everywhere.remove(CHANGES + id);
    },
    /** Documents of which something is told. */
    ids: () => everywhere.names().filter((name) => name.startsWith(CHANGES)).map((name) => name.slice(CHANGES.length)),

    /** What was chosen in a tab that may not write its sheet. @param {Pick<Entry, 'settings'|'fusion'>|null} words */
    keepWords(words) {
      if (words) here.set(WORDS, packed(words));
      else here.remove(WORDS);
    },
    /** @returns {Pick<Entry, 'settings'|'fusion'>|null} */
    words: () => read(here.get(WORDS)),

    /** The sheet that a tab opens again; a new tab that of the last one. @param {string} id @param {boolean} own */
    remember(id, own) {
      here.set(LAST, id);
      if (own) everywhere.set(LAST, id);
    },
    /** This tab's first. */
    lastSheets: () => [here.get(LAST), everywhere.get(LAST)].filter((id) => id !== null),
  };
}
