/**
 * What a page that ends at once would lose: told when it changes, and put together with what was stored when it is opened again.
 *
 * Invariant: words and settings are told at each change, the sheet and its newest steps when the page goes away; of both the newer
 * one counts, and what is told is forgotten once it is stored.
 */

import { createJournal } from '../store/journal.js';

/** @typedef {import('../model/document.js').Stored} Stored */
/** A stored document, and what was newer than it. @typedef {Stored & {settings?: import('../model/types.js').Settings, fusion?: import('../model/types.js').State['fusion'], unsavedSteps?: any[]}} Opened */

/** A document that is nowhere stored was deleted, or has just been begun in another tab, ms. */
const DAY_MS = 24 * 3600 * 1000;
/** Bytes of steps that are told: strokes fit, large images do not. */
const STEP_BYTES = 500_000;

/**
 * @param {import('./context.js').Context} context
 * @param {{isOwn: () => boolean, isStored: (step: any) => boolean}} of  the document: whether this tab may write it, which steps are stored
 */
export function createUnsaved(context, { isOwn, isStored }) {
  const { store, doc, db } = context;
  const journal = createJournal();
  let last = 0;
  /** Documents of which something is told, and when. @type {Map<string, number>} */
  const told = new Map();

  /** Each is later than the one before, whatever the clock does. */
  const stamp = () => (last = Math.max(Date.now(), last + 1));

  /** What the tray holds, but for its files. */
  function fusion() {
    const { open, cards } = store.state.fusion;
    return { open, cards: cards.map((card) => ({ ...card, blob: null })) };
  }

  function newestSteps() {
    const steps = [];
    let room = STEP_BYTES;
    for (const step of doc.storedSteps().reverse()) {
      if (isStored(step)) continue;
      room -= step.bytes;
      if (room < 0) break;
      steps.unshift(step);
    }
    return steps;
  }

  /** Whether every image of a sheet can be had. @param {Stored} stored */
  async function isWhole({ patches }) {
    const found = await Promise.all(patches.map((patch) => patchFile(patch)));
    return found.every(Boolean);
  }

  /** The file of a patch: its own, or that of the image that it was. @param {import('../model/types.js').Patch} patch */
  async function patchFile({ blobId, jobId, index }) {
    const own = await db.getBlob(blobId);
    if (own || !jobId) return own;
    const made = await context.inner.pictureFile(`${jobId}/${index}`).catch(() => undefined);
    if (made) await db.putBlob(blobId, made).catch(() => {});
    return made;
  }

  return {
    stamp,
    fusion,
    patchFile,
    remember: journal.remember,
    lastSheets: journal.lastSheets,
    words: journal.words,

    /** @param {boolean} leaving */
    note(leaving) {
      const { settings } = store.state;
      if (!doc.id) return;
      if (!isOwn()) {
        if (store.state.document.readOnly) journal.keepWords({ settings, fusion: fusion() });
        return;
      }
      const at = stamp();
      const words = { at, settings, fusion: fusion(), window: doc.window, ratio: doc.ratio };
      told.set(doc.id, at);
      if (!leaving) return void journal.write(doc.id, [words]);
      const whole = { ...words, stored: doc.stored(at) };
      journal.write(doc.id, [{ ...whole, steps: newestSteps() }, whole, words]);
    },

    /** It is stored as it was then. @param {string} id @param {number} at */
    done(id, at) {
      if ((told.get(id) ?? 0) > at) return;
      journal.remove(id);
      journal.keepWords(null);
    },
    /** @param {string} id */
    forget: (id) => journal.remove(id),

    /** What was stored after all, by pages that did not live to hear of it. @param {Stored[]} documents  all that are stored */
    collect(documents) {
      for (const id of journal.ids()) {
        const at = journal.read(id)?.at ?? 0;
        const savedAt = documents.find((one) => one.id === id)?.savedAt ?? Date.now() - DAY_MS;
        if (savedAt >= at) journal.remove(id);
      }
    },

    /**
     * A document with all that is known of it.
     * @param {string} id
     * @returns {Promise<Opened|undefined>}
     */
    async latest(id) {
      /** @type {Opened|undefined} */
      const stored = await db.getDocument(id).catch(() => undefined);
      const entry = journal.read(id);
      last = Math.max(last, stored?.savedAt ?? 0, entry?.at ?? 0);
      if (!entry || (stored && stored.savedAt >= entry.at)) return stored;
      const { at, settings, fusion, window, ratio } = entry;
      told.set(id, at);
      if (entry.stored && (await isWhole(entry.stored))) return { ...stored, ...entry.stored, settings, fusion, unsavedSteps: entry.steps };
      return { ...(stored ?? { id, name: '', savedAt: at, window, ratio, patches: [], holes: [] }), settings, fusion };
    },
  };
}
