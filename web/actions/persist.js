/**
 * The document in this browser: saved as it changes, opened again, given away as one file.
 *
 * Invariant: a blob is stored before a document that names it; what does not fit is said, and costs old undo first, never the
 * document.
 */

import { claim, freed, isQuota, release } from '../store/autosave.js';
import { fromJson, toJson } from '../model/document_json.js';
import { decode } from '../model/rle.js';
import { decodeStrips } from '../sheet/images.js';
import { download, fileName } from './transfer.js';
import { madeAt, makeId, showDocument } from './context.js';

/** @typedef {import('../model/document.js').Stored} Stored */

/** ms of rest before the small copy is drawn. */
const SMALL_MS = 1000;

/** @param {import('./context.js').Context} context */
export function createPersist(context) {
  const { store, doc, db, sheet, inner } = context;
  /** The small copy for the list of documents. @type {{id: string, blob: Blob|null, revision: number, timer: ReturnType<typeof setTimeout>|undefined}} */
  const small = { id: '', blob: null, revision: -1, timer: undefined };

  /** Steps of this document that are stored, and when they were made: a step that went on is another. @type {Map<string, number>} */
  let steps = new Map();
  /** Until there was no space for them. */
  let keepsSteps = true;

  /** Steps are stored once each; what is no longer in the list is deleted. */
  function saveSteps() {
    const now = new Map(doc.storedSteps().map((step) => [`${doc.id}/${step.id}`, step]));
    for (const [id, step] of now) if (steps.get(id) !== step.at) void db.putStep(id, step).catch(storeFailed);
    for (const id of steps.keys()) if (!now.has(id) && id.startsWith(`${doc.id}/`)) void db.deleteStep(id).catch(storeFailed);
    steps = new Map([...now].map(([id, { at }]) => [id, at]));
  }

  /** Where there is no space, what was done before is given up first. */
  async function dropSteps() {
    keepsSteps = false;
    steps.clear();
    for (const id of await db.listSteps()) await db.deleteStep(id);
  }

  async function drawSmall() {
    if (doc.patches.length === 0 || (small.id === doc.id && small.revision === doc.revision)) return;
    const [id, revision] = [doc.id, doc.revision];
    const blob = await sheet.picture(doc.bounds() ?? doc.window, 160).catch(() => null);
    if (id !== doc.id) return;
    Object.assign(small, { id, revision, blob });
    context.autosave.schedule();
  }

  /** @param {unknown} error */
  function storeFailed(error) {
    console.warn(error);
    if (!isQuota(error)) return store.set({ storage: { ...store.state.storage, available: false } });
    if (store.state.storage.full) return;
    store.set({ storage: { ...store.state.storage, full: true } });
    doc.history.trim(8 * 1024 * 1024);
    void dropSteps().then(context.autosave.schedule, () => {});
    showDocument(store, doc);
  }

  async function saveDocument() {
    const { document, settings } = store.state;
    if (document.readOnly || !doc.id) return;
    // Written before anything is waited for: a page that goes away has no time.
    if (keepsSteps) saveSteps();
    const written = Promise.all([
      db.putHeld(),
      db.putDocument({ ...doc.stored(Date.now()), settings, thumbnail: small.id === doc.id ? small.blob : null }),
      db.putSetting('document', doc.id),
    ]);
    clearTimeout(small.timer);
    small.timer = setTimeout(drawSmall, SMALL_MS);
    await written;
    if (store.state.storage.full) store.set({ storage: { full: false, available: true } });
  }

  /** Before another sheet comes: this one is stored as it is, with its small copy. */
  async function leave() {
    await drawSmall();
    await context.autosave.flush();
  }

  async function claimDocument() {
    const { id } = doc;
    const own = await claim(id);
    store.set({ document: { ...store.state.document, readOnly: !own } });
    if (!own) void freed(id).then(takeOver);
  }

  /** The other tab has closed: this one goes on with what that one left. */
  async function takeOver() {
    const { id } = doc;
    if (!store.state.document.readOnly || !(await claim(id))) return;
    const stored = await db.getDocument(id);
    if (stored && doc.id === id) await showStored(stored);
  }

  /** @param {Stored} stored */
  async function showStored(stored) {
    if (doc.id && doc.id !== stored.id) release(doc.id);
    doc.reset({ ...stored, key: 'step.opened', params: { name: stored.name } });
    for (const patch of stored.patches) {
      const blob = await db.getBlob(patch.blobId);
      if (!blob) {
        context.actions.notify({ kind: 'error', key: 'notice.part_missing', params: { name: patch.name } });
        continue;
      }
      if (patch.visible) {
        const mask = patch.mask ? decode(patch.mask, patch.rect.w * patch.rect.h) : null;
        await decodeStrips(blob, () => true, (strip, rgba, own) => {
          const part = mask?.subarray(strip.y * strip.w, (strip.y + strip.h) * strip.w) ?? own;
          doc.pixels.write({ x: patch.rect.x, y: patch.rect.y + strip.y, w: Math.min(strip.w, patch.rect.w), h: strip.h }, rgba, part);
        });
      }
      doc.adopt(patch);
    }
    doc.openHoles(stored.holes);
    const found = await Promise.all((stored.steps?.ids ?? []).map((id) => db.getStep(`${stored.id}/${id}`).catch(() => undefined)));
    if (stored.steps) doc.adoptSteps(found, stored.steps);
    steps = new Map(found.filter(Boolean).map(({ id, at }) => [`${stored.id}/${id}`, at]));
    inner.reshow();
    await claimDocument();
    context.actions.fit('sheet');
    await inner.restage();
  }

  /** Files that no document names any more: patches that were undone before the page was closed. */
  async function collectGarbage() {
    const documents = await db.listDocuments();
    for (const { id, patches } of documents) if (patches.length === 0 && id !== doc.id) await db.deleteDocument(id);
    const named = new Set([...documents, doc].flatMap(({ patches, steps: own }) => [...(own?.blobs ?? []), ...patches.map((/** @type {{blobId: string}} */ patch) => patch.blobId)]));
    const old = Date.now() - 24 * 3600 * 1000;
    const kept = new Set(documents.filter(({ id, savedAt }) => id === doc.id || savedAt > old).flatMap(({ id, steps: own }) => (own?.ids ?? []).map((/** @type {number} */ step) => `${id}/${step}`)));
    for (const id of await db.listSteps()) if (!kept.has(id)) await db.deleteStep(id);
    for (const id of await db.listBlobs()) {
      const made = madeAt(String(id));
      if (made !== null && made < old && !named.has(String(id))) await db.deleteBlob(String(id));
    }
  }

  return {
    storeFailed,
    leave,
    collectGarbage,
    saveDocument,
    claimDocument,
    showStored,
    /** @param {Blob} file */
    async importDocument(file) {
      const { unpackDocument } = await import('../store/export.js');
      const { json, blobs } = await unpackDocument(file);
      const stored = fromJson(json);
      // A document of its own: the one it was made from may be here, too.
      const names = new Map([...blobs.keys()].map((name) => [name, makeId()]));
      for (const [name, blob] of blobs) await db.putBlob(String(names.get(name)), blob);
      const patches = stored.patches.map((patch) => ({ ...patch, blobId: names.get(patch.blobId) ?? patch.blobId }));
      await showStored({ ...stored, id: makeId(), patches });
      context.autosave.schedule();
    },
    actions: {
      async exportDocument() {
        inner.settle();
        /** @type {Map<string, Blob>} */
        const blobs = new Map();
        for (const { blobId } of doc.patches) {
          const blob = await db.getBlob(blobId);
          if (blob) blobs.set(blobId, blob);
        }
        const { packDocument } = await import('../store/export.js');
        const file = await packDocument({ json: toJson(doc.stored(Date.now())), blobs });
        download(file, fileName(doc.name, '').replace(/\.bin$/, '.kdoc'));
      },
      /** @param {string} id */
      async openDocument(id) {
        const stored = await db.getDocument(id);
        if (!stored) return;
        await leave();
        await showStored(stored);
        if (stored.settings) store.set({ settings: { ...store.state.settings, ...stored.settings } });
        await db.putSetting('document', id);
      },
      /** @param {string} id */
      async deleteDocument(id) {
        const stored = await db.getDocument(id);
        await db.deleteDocument(id);
        for (const { blobId } of stored?.patches ?? []) await db.deleteBlob(blobId);
        if (id === doc.id) context.actions.newDocument();
      },
      async listDocuments() {
        const all = (await db.listDocuments()).filter(({ id, patches }) => patches.length > 0 || id === doc.id);
        const list = all.map(({ id, name, patches, savedAt, thumbnail: small }) => ({ id, name: name || (patches[0]?.name ?? ''), savedAt, thumbnail: small ?? null }));
        return list.sort((a, b) => b.savedAt - a.savedAt);
      },
    },
  };
}
