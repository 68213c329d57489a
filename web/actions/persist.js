/**
 * The document in this browser: saved as it changes, opened again, given away as one file.
 *
 * Invariant: a blob is stored before a document that names it; what does not fit is said, and costs old undo first, never the
 * document.
 */

import { claim, freed, isFree, isQuota } from '../store/autosave.js';
import { fromJson, toJson } from '../model/document_json.js';
import { decode } from '../model/rle.js';
import { decodeStrips } from '../sheet/images.js';
import { download, fileName } from './transfer.js';
import { madeAt, makeId, showDocument } from './context.js';
import { createUnsaved } from './unsaved.js';

/** @typedef {import('./unsaved.js').Opened} Opened */

/** ms of rest before the small copy is drawn. */
const SMALL_MS = 1000;

/** Ids of the files that documents and their steps name. @param {{patches: {blobId: string}[], steps?: {blobs: string[]}}[]} documents */
const filesOf = (documents) => documents.flatMap(({ patches, steps }) => [...(steps?.blobs ?? []), ...patches.map(({ blobId }) => blobId)]);

/** @param {import('./context.js').Context} context */
export function createPersist(context) {
  const { store, doc, db, sheet, inner } = context;
  /** The small copy for the list of documents. @type {{id: string, blob: Blob|null, revision: number, timer: ReturnType<typeof setTimeout>|undefined}} */
  const small = { id: '', blob: null, revision: -1, timer: undefined };

  /** The document that this tab may write. */
  let own = '';
  /** The prompt as the document gave it: another one was typed here. @type {string|null} */
  let given = null;

  /** Steps of this document that were asked to be stored, and when they were made: a step that went on is another. @type {Map<string, number>} */
  let steps = new Map();
  /** Those of them that are stored. @type {Map<string, number>} */
  const sure = new Map();
  /** Until there was no space for them. */
  let keepsSteps = true;

  const unsaved = createUnsaved(context, { isOwn: () => own === doc.id, isStored: ({ id, at }) => sure.get(`${doc.id}/${id}`) === at });

  /** Steps are stored once each; what is no longer in the list is deleted. */
  function saveSteps() {
    const now = new Map(doc.storedSteps().map((step) => [`${doc.id}/${step.id}`, step]));
    for (const [id, step] of now) if (steps.get(id) !== step.at) void db.putStep(id, step).then(() => sure.set(id, step.at), storeFailed);
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
    const { id } = doc;
    if (own !== id) return;
    // Asked of the database before anything is waited for: what comes next may be another sheet.
    if (keepsSteps) saveSteps();
    const at = unsaved.stamp();
    const { settings } = store.state;
    const written = Promise.all([
      db.putHeld(),
      db.putDocument({ ...doc.stored(at), settings, fusion: unsaved.fusion(), thumbnail: small.id === id ? small.blob : null }),
    ]);
    clearTimeout(small.timer);
    small.timer = setTimeout(drawSmall, SMALL_MS);
    await written;
    unsaved.done(id, at);
    if (store.state.storage.full) store.set({ storage: { full: false, available: true } });
  }

  /** Before another sheet comes: this one is stored as it is, with its small copy. */
  async function leave() {
    await drawSmall();
    await context.autosave.flush();
  }

  async function claimDocument() {
    const { id } = doc;
    const free = await claim(id);
    if (doc.id !== id) return;
    own = free ? id : '';
    unsaved.remember(id, free);
    store.set({ document: { ...store.state.document, readOnly: !free } });
    if (free) context.autosave.schedule();
    else void freed(id).then(takeOver);
  }

  /** The other tab has closed: this one goes on with what that one left. */
  async function takeOver() {
    const { id } = doc;
    if (!store.state.document.readOnly || !(await claim(id))) return;
    const stored = await unsaved.latest(id);
    if (!stored || doc.id !== id) return;
    if (store.state.settings.prompt === given) takeSettings(stored);
    await showStored(stored);
  }

  /** @param {Pick<Opened, 'settings'>} stored */
  function takeSettings({ settings }) {
    if (settings) store.set({ settings: { ...store.state.settings, ...settings } });
    given = settings?.prompt ?? null;
  }

  /** @param {Opened} stored */
  async function showStored(stored) {
    doc.reset({ ...stored, key: 'step.opened', params: { name: stored.name } });
    for (const patch of stored.patches) {
      const blob = await unsaved.patchFile(patch);
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
    steps = new Map(found.filter(Boolean).map(({ id, at }) => [`${stored.id}/${id}`, at]));
    for (const [id, at] of steps) sure.set(id, at);
    const newer = new Map(stored.unsavedSteps?.map((step) => [step.id, step]));
    if (stored.steps) doc.adoptSteps(found.map((step, i) => newer.get(stored.steps?.ids[i]) ?? step), stored.steps);
    inner.reshow();
    await claimDocument();
    context.actions.fit('sheet');
    await inner.restage();
  }

  /** Files that no document names any more: patches that were undone before the page was closed. */
  async function collectGarbage() {
    const documents = await db.listDocuments();
    unsaved.collect(documents);
    const named = new Set(filesOf([...documents, doc]));
    for (const { cards } of [...documents.map(({ fusion }) => fusion ?? { cards: [] }), store.state.fusion]) for (const { id } of cards) named.add(id);
    const old = Date.now() - 24 * 3600 * 1000;
    for (const { id, patches, savedAt } of documents) if (patches.length === 0 && id !== doc.id && savedAt < old) await db.deleteDocument(id);
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
    note: unsaved.note,
    /**
     * Settings and the fusion tray of last time.
     * @param {Opened|undefined} stored
     * @param {import('../model/types.js').Settings} before  at the start: what was typed since then stays
     */
    async restoreChoices(stored, before) {
      const own = unsaved.words();
      const { settings, fusion } = own ?? stored ?? {};
      const { prompt } = store.state.settings;
      if (settings) takeSettings({ settings: { ...settings, ...(prompt !== before.prompt && { prompt }) } });
      if (own) given = null;
      if (!fusion) return;
      const all = await Promise.all(fusion.cards.map(async (card) => ({ ...card, blob: (card.kind === 'image' && (await db.getBlob(card.id))) || null })));
      store.set({ fusion: { ...fusion, cards: all.filter((card) => card.kind === 'text' || card.blob || card.pictureId) } });
    },
    /** The sheet of this tab, or the last one of this browser. @returns {Promise<Opened|undefined>} */
    async lastDocument() {
      for (const id of [...unsaved.lastSheets(), await db.getSetting('document').catch(() => null)]) {
        const stored = id && (await unsaved.latest(id));
        if (stored) return stored;
      }
    },
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
        await leave();
        const stored = await unsaved.latest(id);
        if (!stored) return;
        takeSettings(stored);
        await showStored(stored);
      },
      /** @param {string} id */
      async deleteDocument(id) {
        if (!(await isFree(id))) return context.actions.notify({ kind: 'warning', key: 'notice.open_elsewhere', params: {} });
        const stored = await db.getDocument(id);
        await db.deleteDocument(id);
        unsaved.forget(id);
        // A copy has the same files.
        const used = new Set(filesOf(await db.listDocuments()));
        for (const { blobId } of stored?.patches ?? []) if (!used.has(blobId)) await db.deleteBlob(blobId);
        if (id === doc.id) context.actions.newDocument();
      },
      /** The sheet of another tab goes on here as one of its own. */
      async copyDocument() {
        doc.id = makeId();
        steps = new Map();
        showDocument(store, doc);
        await claimDocument();
      },
      async listDocuments() {
        const all = (await db.listDocuments()).filter(({ id, patches }) => patches.length > 0 || id === doc.id);
        const list = all.map(({ id, name, patches, savedAt, thumbnail: small }) => ({ id, name: name || (patches[0]?.name ?? ''), savedAt, thumbnail: small ?? null }));
        return list.sort((a, b) => b.savedAt - a.savedAt);
      },
    },
  };
}
