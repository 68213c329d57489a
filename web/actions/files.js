/**
 * Files in and out.
 *
 * Invariant: the opened file is kept as its own bytes; what is saved as PNG has the pixels of the sheet, bit for bit, and if the
 * sheet is one image as it came, it is that image's file. Nothing that was erased is in a saved file.
 */

import { windowLimits } from '../model/capabilities.js';
import { withoutAlpha } from '../model/png.js';
import { area, intersect } from '../model/rect.js';
import { beside } from '../model/window.js';
import { decodeStrips, decodeWhole, encodeLossy } from '../sheet/images.js';
import { NoClipboard, choose, copyImage, download, fileName } from './transfer.js';
import { makeId } from './context.js';

/** @typedef {import('../model/types.js').Rect} Rect */
/** @typedef {Blob & {name?: string}} Named */

/** Loaded when a file is opened: the page begins without it. @param {Blob} file */
const parametersOf = async (file) => (await import('../api/metadata.js')).readParameters(file);

/**
 * @param {import('./context.js').Context} context
 * @param {(file: Blob) => Promise<void>} importDocument
 */
export function createFiles(context, importDocument) {
  const { store, doc, db, encode, inner } = context;

  function nativeWindow() {
    const { default_width: w, default_height: h } = store.state.capabilities?.sizes ?? { default_width: 512, default_height: 512 };
    return { x: 0, y: 0, w, h };
  }

  /** The aspect ratio whose size this is. @param {{w: number, h: number}} size */
  function ratioOf({ w, h }) {
    const { capabilities } = store.state;
    return capabilities?.sizes.aspect_ratios.find((entry) => entry.width === w && entry.height === h)?.name ?? 'free';
  }

  /** @param {string} key @param {string} name @param {unknown} [error] */
  const refuse = (key, name, error) => context.actions.notify({ kind: 'error', key, params: { name }, detail: error ? String(error) : undefined });

  /** A document with one file on it. @param {Named} file */
  async function openImage(file) {
    const limits = windowLimits(store.state.capabilities);
    await inner.leave();
    const before = { id: doc.id, used: doc.patches.length > 0 };
    const name = file.name ?? '';
    let started = false;
    const size = await decodeStrips(
      file,
      ({ w, h }) => {
        if (w * h > limits.mostPixels || Math.max(w, h) > limits.mostSide) return false;
        const window = { x: 0, y: 0, w, h };
        doc.reset({ id: makeId(), name, window, ratio: ratioOf(window), key: 'step.opened', params: { name } });
        inner.reshow();
        started = true;
        return true;
      },
      (strip, rgba, mask) => doc.pixels.write(strip, rgba, mask),
    );
    if (!started) return refuse('notice.too_large', name, `${size.w} × ${size.h}`);
    const rect = { x: 0, y: 0, ...size };
    const blobId = makeId();
    await db.putBlob(blobId, file.slice(0, file.size, file.type)).catch((error) => inner.storeFailed(error));
    doc.adopt({ id: makeId(), rect, blobId, mask: null, name, visible: true });
    await inner.claimDocument();
    // Words that were drawn are those of the former sheet: who erases from a photo next would get them in the hole.
    const { settings, pictures } = store.state;
    if (before.used && pictures.some(({ prompt }) => prompt === settings.prompt)) context.actions.setSettings({ prompt: '' });
    if (before.used) context.actions.notify({ kind: 'info', key: 'notice.former_document', params: {}, action: { key: 'notice.go_back', run: 'openDocument', args: [before.id] } });
  }

  /** @param {Named} file  put where the window is */
  async function placeImage(file) {
    const image = await decodeWhole(file);
    const { window } = doc;
    const rect = { x: Math.round(window.x + (window.w - image.w) / 2), y: Math.round(window.y + (window.h - image.h) / 2), w: image.w, h: image.h };
    const blobId = makeId();
    await db.putBlob(blobId, file.slice(0, file.size, file.type)).catch((error) => inner.storeFailed(error));
    const name = file.name ?? '';
    doc.place({ id: makeId(), rect, blobId, mask: null, name, visible: true }, image.rgba, image.mask, { key: 'step.placed', params: { name } });
  }

  /** Settings that a dropped file of ours gives back; an empty window of its size beside it. @param {Record<string, any>} parameters */
  function takeParameters(parameters) {
    inner.useParameters(parameters, 'all');
    const { width, height } = parameters;
    if (parameters.window || parameters.strength !== undefined || !parameters.prompt) return;
    const window = beside(doc.bounds(), { w: width, h: height });
    doc.setWindow(window, ratioOf(window), { key: 'step.window' });
    context.actions.notify({ kind: 'success', key: 'notice.parameters', params: { seed: parameters.seed } });
  }

  /** @param {Rect} rect @param {string} format @param {number} quality @returns {Promise<Blob>} */
  async function file(rect, format, quality) {
    const type = `image/${format}`;
    const whole = doc.wholePatch(rect);
    const original = whole && (await db.getBlob(whole.blobId));
    // It has its own words, the mark of origin among them.
    if (original?.type === type) return original;
    const made = await encoded(rect, format, quality);
    if (!doc.patches.some((patch) => patch.visible && patch.jobId && intersect(patch.rect, rect))) return made;
    const { marked } = await import('../model/mark.js');
    const bytes = marked(new Uint8Array(await made.arrayBuffer()), rect);
    return new Blob([/** @type {BlobPart} */ (bytes)], { type: made.type });
  }

  /** @param {Rect} rect @param {string} format @param {number} quality @returns {Promise<Blob>} */
  async function encoded(rect, format, quality) {
    const type = `image/${format}`;
    const { rgba } = doc.pixels.read(rect);
    if (format !== 'png') return encodeLossy({ ...rect, rgba }, type, quality);
    let opaque = true;
    for (let i = 3; i < rgba.length; i += 4) {
      if (rgba[i] === 255) continue;
      opaque = false;
      if (rgba[i] === 0) rgba.fill(0, i - 3, i);
    }
    return opaque ? encode(withoutAlpha(rgba), rect.w, rect.h, 3) : encode(new Uint8Array(rgba.buffer), rect.w, rect.h, 4);
  }

  return /** @type {Omit<import('./types.js').FileActions, 'exportDocument'|'copyDocument'|'openDocument'|'deleteDocument'|'listDocuments'> & {dropFile: (file: Named) => Promise<void>, takeParameters: (parameters: Record<string, any>) => void}} */ ({
    newDocument() {
      void context.autosave.flush();
      const window = nativeWindow();
      doc.reset({ id: makeId(), name: '', window, ratio: ratioOf(window) });
      inner.reshow();
      void inner.claimDocument();
      context.actions.fit('window');
    },
    async openFile(given, how = 'new') {
      const name = given.name ?? '';
      try {
        if (name.endsWith('.kdoc')) return await importDocument(given);
        if (how === 'place' && doc.patches.length > 0) {
          inner.settle();
          await placeImage(given);
        } else await openImage(given);
        context.actions.fit('sheet');
        const parameters = await parametersOf(given);
        if (parameters) context.actions.notify({ kind: 'info', key: 'notice.has_parameters', params: {}, action: { key: 'notice.use_parameters', run: 'takeParameters', args: [parameters] } });
      } catch (error) {
        console.warn(error);
        refuse('notice.not_an_image', name);
      }
    },
    /** Of our own images a drop also gives the settings back. */
    async dropFile(given) {
      const parameters = await parametersOf(given);
      await context.actions.openFile(given);
      if (parameters) {
        store.set({ notices: store.state.notices.filter(({ key }) => key !== 'notice.has_parameters') });
        takeParameters(parameters);
        context.actions.fit('sheet');
      }
    },
    takeParameters(parameters) {
      takeParameters(parameters);
      context.actions.fit('sheet');
    },
    async chooseFile() {
      const given = await choose();
      if (given) await context.actions.openFile(given);
    },
    async paste() {
      if (!navigator.clipboard?.read) return refuse('notice.no_clipboard', '');
      try {
        for (const item of await navigator.clipboard.read()) {
          const type = item.types.find((one) => one.startsWith('image/'));
          if (type) return await context.actions.openFile(await item.getType(type), 'place');
        }
        refuse('notice.nothing_to_paste', '');
      } catch (error) {
        refuse('notice.no_clipboard', '', error);
      }
    },
    async save({ format, quality, area: which }) {
      inner.settle();
      const rect = which === 'window' ? doc.window : doc.bounds();
      if (!rect) return refuse('notice.nothing_to_save', '');
      try {
        const made = await file(rect, format, quality);
        download(made, fileName(doc.name || doc.patches[0]?.name || '', `image/${format}`));
      } catch (error) {
        refuse('notice.not_saved', '', error);
      }
    },
    async copy() {
      inner.settle();
      try {
        await copyImage(file(doc.window, 'png', 1));
        context.actions.notify({ kind: 'success', key: 'notice.copied', params: {} });
      } catch (error) {
        refuse('notice.no_clipboard', '', error instanceof NoClipboard ? undefined : error);
      }
    },
    async exportMask() {
      const { window } = doc;
      const mask = doc.pixels.alpha(window).map((alpha) => 255 - alpha);
      download(await encode(mask, window.w, window.h, 1), fileName(`${doc.name || 'kandinsky'} mask`, 'image/png'));
    },
    async importMask(given) {
      try {
        const image = await decodeWhole(given);
        const { window } = doc;
        const alpha = new Uint8Array(area(window));
        for (let y = 0; y < window.h; y++) {
          for (let x = 0; x < window.w; x++) {
            const i = (Math.floor((y * image.h) / window.h) * image.w + Math.floor((x * image.w) / window.w)) * 4;
            const white = image.rgba[i] * 0.3 + image.rgba[i + 1] * 0.59 + image.rgba[i + 2] * 0.11;
            // What is transparent is a hole, as in masks of other programs; soft edges are soft, but not the noise of a JPEG.
            alpha[y * window.w + x] = image.mask ? (image.mask[i / 4] ? 255 : 0) : given.type === 'image/png' ? 255 - Math.round(white) : white < 128 ? 255 : 0;
          }
        }
        doc.setAlpha(window, alpha, 'step.mask');
      } catch {
        refuse('notice.not_an_image', '');
      }
    },
  });
}
