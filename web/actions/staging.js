/**
 * Candidates: shown in place, taken or left.
 *
 * Invariant: what is taken is exactly what is shown, and only where the mask says; nothing of the document changes before that. A
 * candidate that is neither accepted nor discarded is still there after a reload.
 */

import { contains, same, union } from '../model/rect.js';
import { decode } from '../model/rle.js';
import { decodeWhole, makeCanvas, maskedCanvas } from '../sheet/images.js';
import { makeId } from './context.js';

/** @typedef {import('../model/types.js').Target} Target */
/** @typedef {import('../api/jobs.js').JobView} JobView */
/** @typedef {import('../api/jobs.js').JobImage} JobImage */
/** @typedef {{blob: Blob, rgba: Uint8ClampedArray, canvas: HTMLCanvasElement, prompt: string}} Loaded */

/** @param {import('./context.js').Context} context */
export function createStaging(context) {
  const { store, doc, sheet, db } = context;
  /** Decoded candidates, by the image's id. @type {Map<string, Loaded>} */
  const loaded = new Map();
  /** Other places' candidates, which wait until this one is decided. @type {{job: JobView, images: JobImage[]}[]} */
  const later = [];

  /**
   * @param {Blob} blob
   * @param {Target} target
   * @param {string} prompt
   * @returns {Promise<Loaded>}
   */
  async function load(blob, { rect, mask }, prompt) {
    let image = await decodeWhole(blob);
    if (image.w !== rect.w || image.h !== rect.h) image = { ...image, ...resized(image, rect) };
    const shown = mask ? composed(image.rgba, decode(mask, rect.w * rect.h), doc.pixels.read(rect)) : { rgba: image.rgba, there: null };
    return { blob, rgba: image.rgba, canvas: maskedCanvas({ ...rect, rgba: shown.rgba }, shown.there), prompt };
  }

  function show() {
    const { staging } = store.state;
    const item = staging?.items[staging.at];
    const found = item && loaded.get(item.pictureId);
    if (!staging && sheet.scene.candidate && store.state.compare.mode !== 'off') {
      sheet.scene.original = null;
      context.actions.setCompare({});
    }
    sheet.scene.candidate = staging && found ? { image: found.canvas, rect: staging.target.rect } : null;
    sheet.request();
  }

  /** Jobs of the group that have ended are decided. */
  function finish() {
    const { staging } = store.state;
    if (!staging) return;
    const keys = new Set(staging.items.map(({ jobKey }) => jobKey));
    for (const { pictureId } of staging.items) loaded.delete(pictureId);
    store.set({ staging: null });
    show();
    void forget(keys);
    const next = later.shift();
    if (next) void stage(next.job, next.images);
  }

  /** The document comes first: a page that closes in between shows them again rather than lose one. @param {Set<string>} keys */
  async function forget(keys) {
    await context.autosave.flush();
    for (const key of keys) await context.jobs.dismiss(key);
  }

  /** @param {JobView} job @param {JobImage[]} images */
  async function stage(job, images) {
    const { target } = job;
    if (!target || !job.staged || target.documentId !== doc.id) return;
    const { staging } = store.state;
    if (staging && !same(staging.target.rect, target.rect)) {
      later.push({ job, images });
      return;
    }
    const all = await Promise.all(images.map(async (image) => ({ image, got: await load(image.blob, target, job.prompt) })));
    const items = all.map(({ image, got }) => {
      const pictureId = `${job.id}/${image.index}`;
      loaded.set(pictureId, got);
      return { pictureId, jobKey: job.key, jobId: String(job.id), index: image.index, seed: image.seed };
    });
    const before = store.state.staging;
    const known = new Set(before?.items.map(({ pictureId }) => pictureId));
    const fresh = items.filter(({ pictureId }) => !known.has(pictureId));
    const at = before ? before.items.length : 0;
    // The newest mask counts: it was drawn over what is there now.
    store.set({ staging: { target, items: [...(before?.items ?? []), ...fresh], at: fresh.length > 0 ? at : (before?.at ?? 0), expected: at + fresh.length } });
    show();
    // After a click on Generate its keys, Enter and Escape, are those of the candidates.
    if (document.activeElement === document.body || document.activeElement?.matches('#prompt button')) sheet.canvas.focus({ preventScroll: true });
    context.actions.announce('live.ready', { at: at + 1, count: at + fresh.length, n: fresh.length });
  }

  /** Take what is shown. Nothing in here waits, so that a stroke can follow at once. */
  function take() {
    const { staging } = store.state;
    const item = staging?.items[staging.at];
    const image = item && loaded.get(item.pictureId);
    if (!staging || !item || !image) return false;
    const { rect, mask } = staging.target;
    const blobId = makeId();
    void db.putBlob(blobId, image.blob).catch((error) => context.inner.storeFailed(error));
    const patch = { id: makeId(), rect, blobId, mask, name: image.prompt, visible: true, jobId: item.jobId, index: item.index };
    const step = { key: 'step.accepted', params: { at: staging.at + 1, count: staging.items.length, n: staging.items.length } };
    // A window around the whole image is so after it was extended, too.
    const bounds = doc.bounds();
    const grown = bounds && contains(doc.window, bounds) && !contains(doc.window, rect) ? union(bounds, rect) : null;
    doc.place(patch, image.rgba, mask && decode(mask, rect.w * rect.h), grown ? { ...step, window: grown, ratio: 'free' } : step);
    const { settings } = store.state;
    if (settings.vary) store.set({ settings: { ...settings, vary: false } });
    finish();
    return true;
  }

  return {
    actions: /** @type {import('./types.js').StagingActions} */ ({
      async accept() {
        if (take()) context.actions.announce('live.accepted');
      },
      discard() {
        if (!store.state.staging) return;
        finish();
        context.actions.announce('live.discarded');
      },
      browse(by) {
        const { staging } = store.state;
        if (!staging) return;
        const count = staging.items.length;
        this.showCandidate((staging.at + by + count) % count);
      },
      showCandidate(index) {
        const { staging } = store.state;
        if (!staging?.items[index]) return;
        store.set({ staging: { ...staging, at: index } });
        show();
        context.actions.announce('live.candidate', { at: index + 1, count: staging.items.length });
      },
    }),
    stage,
    settle: () => void take(),
    /** The document was changed for another one. */
    reshow() {
      later.length = 0;
      loaded.clear();
      store.set({ staging: null });
      show();
    },
  };
}

/**
 * A candidate with what is known around it: smoothed together, as they will be when it is taken, so that no seam is seen before.
 * @param {Uint8ClampedArray} made
 * @param {Uint8Array} mask
 * @param {import('../model/pixels.js').Snapshot} under
 */
function composed(made, mask, { rgba }) {
  const there = new Uint8Array(mask.length);
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] > 0) rgba.set(made.subarray(i * 4, i * 4 + 3), i * 4);
    if (mask[i] > 0 || rgba[i * 4 + 3] === 255) there[i] = 1;
  }
  return { rgba, there };
}

/**
 * @param {{w: number, h: number, rgba: Uint8ClampedArray}} image
 * @param {{w: number, h: number}} size
 */
function resized(image, { w, h }) {
  const { context } = makeCanvas(w, h);
  context.imageSmoothingQuality = 'high';
  context.drawImage(maskedCanvas(image, null), 0, 0, w, h);
  return { w, h, rgba: context.getImageData(0, 0, w, h).data };
}
