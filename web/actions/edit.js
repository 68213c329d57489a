/**
 * Tool, brush, window, view, patches.
 *
 * Invariant: a gesture sets the window many times and makes one step; what is looked at only, the view, makes none.
 */

import { cell, ratio as findRatio, windowLimits } from '../model/capabilities.js';
import { Pixels } from '../model/pixels.js';
import { area, intersect, union } from '../model/rect.js';
import { decode } from '../model/rle.js';
import { bounded, recentred } from '../model/window.js';
import { decodeWhole, maskedCanvas } from '../sheet/images.js';
import { clampZoom, nextStop, toScreen, zoomed } from '../sheet/transform.js';

/** @typedef {import('../model/types.js').Rect} Rect */
/** @typedef {import('../model/types.js').Patch} Patch */

/** Candidates of more px are compared with the sheet as it is. */
const MOST_COMPARED = 16_000_000;

/** Diameters of the brush, CSS px. */
const BRUSH = { least: 2, most: 400 };

/**
 * @param {import('./context.js').Context} context
 * @returns {import('./types.js').EditActions & {zoomStep: (direction: 1|-1) => void, brushSize: (factor: number) => void, brushSoftness: (by: number) => void, resizeWindow: (dw: number, dh: number) => void}}
 */
export function createEdit(context) {
  const { store, doc, sheet, db, inner } = context;
  /** Where the window was when the gesture began. @type {Rect|null} */
  let from = null;

  /** The view as it was last fitted: as long as it was not moved by hand, it follows the room. @type {{what: 'window'|'sheet'|Rect, view: object}|null} */
  let fitted = null;
  sheet.listenToRoom(() => {
    if (fitted && store.state.view === fitted.view) context.actions.fit(fitted.what);
  });

  /** The name of the ratio that a window still has. @param {Rect} window */
  function ratioOf(window) {
    const named = findRatio(store.state.capabilities, doc.ratio);
    const off = named ? Math.abs((window.w * named.height) / (window.h * named.width) - 1) : 1;
    return off <= 1 / Math.min(window.w, window.h) + 0.005 ? doc.ratio : 'free';
  }

  /** What to compare with: under a candidate the sheet without its holes, otherwise the opened file. */
  async function loadOriginal() {
    const { staging } = store.state;
    if (staging && area(staging.target.rect) <= MOST_COMPARED) {
      const { rect } = staging.target;
      const { rgba, cover } = doc.pixels.read(rect);
      sheet.scene.original = { image: maskedCanvas({ ...rect, rgba }, cover), rect };
      return sheet.request();
    }
    const first = doc.patches[0];
    const blob = first && !first.mask ? await db.getBlob(first.blobId) : undefined;
    if (!first || !blob || first !== doc.patches[0]) return;
    sheet.scene.original = { image: await createImageBitmap(blob, { imageOrientation: 'from-image' }), rect: first.rect };
    sheet.request();
  }

  /**
   * The pixels of a rectangle as other patches give them; holes stay holes.
   * @param {Patch[]} patches
   * @param {Rect} rect
   */
  async function rebuilt(patches, rect) {
    const pixels = new Pixels();
    for (const patch of patches) {
      if (!patch.visible || !intersect(patch.rect, rect)) continue;
      const blob = await db.getBlob(patch.blobId);
      if (!blob) continue;
      const image = await decodeWhole(blob);
      const own = patch.mask ? decode(patch.mask, patch.rect.w * patch.rect.h) : image.mask;
      pixels.write(patch.rect, image.rgba, own);
    }
    const after = pixels.read(rect);
    const now = doc.pixels.read(rect);
    for (let i = 0; i < now.cover.length; i++) {
      if (now.cover[i] && after.cover[i]) after.rgba[i * 4 + 3] = now.rgba[i * 4 + 3];
    }
    return after;
  }

  /**
   * Other patches in place of these. What is done while the pixels are being put together counts, too: then they are put together anew.
   * @param {string} id
   * @param {(patch: Patch) => Patch[]} instead  what becomes of this one
   * @param {string} key  of the step
   */
  async function changePatch(id, instead, key) {
    for (;;) {
      const { patches: before } = doc;
      const patch = before.find((one) => one.id === id);
      if (!patch) return;
      const patches = before.flatMap((one) => (one === patch ? instead(one) : one));
      const after = await rebuilt(patches, patch.rect);
      if (doc.patches === before) return doc.replacePatches(patches, after, { key, params: { name: patch.name } });
    }
  }

  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let telling;
  /** Say where keys have put the window, once they rest. */
  function tellWindow() {
    clearTimeout(telling);
    telling = setTimeout(() => {
      const { x, y, w, h } = doc.window;
      context.actions.announce('sheet.window', { x, y, width: w, height: h });
    }, 500);
  }

  return {
    setTool(tool) {
      const mode = tool === 'compare' ? 'slider' : 'off';
      // The divider begins in the middle of what is compared, where panels may have pushed it.
      const { view, window } = store.state;
      const size = sheet.screen();
      const { x, w } = toScreen(view, size, window);
      const position = Math.min(0.95, Math.max(0.05, (x + w / 2) / size.w));
      if (store.state.compare.mode !== mode) context.actions.setCompare(mode === 'slider' ? { mode, position } : { mode });
      store.set({ tool });
    },
    setBrush(change) {
      const brush = { ...store.state.brush, ...change };
      const softness = Math.min(1, Math.max(0, brush.softness));
      store.set({ brush: { size: Math.min(BRUSH.most, Math.max(BRUSH.least, brush.size)), softness } });
    },
    brushSize: (factor) => context.actions.setBrush({ size: Math.round(store.state.brush.size * factor + (factor > 1 ? 0.5 : -0.5)) }),
    brushSoftness: (by) => context.actions.setBrush({ softness: Math.round((store.state.brush.softness + by) * 10) / 10 }),

    setWindow(rect, step = true) {
      if (!step) {
        if (!from) {
          from = doc.window;
          inner.settle();
        }
        doc.window = rect;
        store.set({ window: rect });
        return;
      }
      const started = from ?? doc.window;
      from = null;
      inner.settle();
      doc.setWindow(rect, ratioOf(rect), { key: 'step.window', from: started });
    },
    setRatio(name) {
      if (name === 'free') return doc.setWindow(doc.window, 'free', { key: 'step.ratio', params: { ratio: name } });
      const { capabilities } = store.state;
      const entry = findRatio(capabilities, name);
      if (!capabilities || !entry) return;
      inner.settle();
      const native = capabilities.sizes.default_width * capabilities.sizes.default_height;
      const scale = Math.sqrt(area(doc.window) / native);
      // The model's own sizes, unless the window is of quite another scale, as on a photo; a second click asks for them.
      const keep = name !== doc.ratio && doc.patches.length > 0 && (scale < 0.75 || scale > 1.3);
      const size = bounded(entry.width * (keep ? scale : 1), entry.height * (keep ? scale : 1), windowLimits(capabilities));
      const window = recentred(doc.window, keep ? size.w : entry.width, keep ? size.h : entry.height);
      doc.setWindow(window, name, { key: 'step.ratio', params: { ratio: name } });
      if (doc.patches.length === 0) context.actions.fit('window');
    },
    nudgeWindow(dx, dy, big) {
      const { capabilities } = store.state;
      const by = big ? (capabilities?.sizes.step ?? 1) : cell(capabilities);
      inner.settle();
      const window = { ...doc.window, x: doc.window.x + dx * by, y: doc.window.y + dy * by };
      doc.setWindow(window, doc.ratio, { key: 'step.window', merge: 'nudge' });
      tellWindow();
    },
    resizeWindow(dw, dh) {
      const { capabilities } = store.state;
      const step = capabilities?.sizes.step ?? 1;
      inner.settle();
      const size = bounded(doc.window.w + dw * step, doc.window.h + dh * step, windowLimits(capabilities));
      const window = { ...doc.window, ...size };
      doc.setWindow(window, ratioOf(window), { key: 'step.window', merge: 'resize' });
      tellWindow();
    },

    eraseWindow() {
      inner.settle();
      doc.setAlpha(doc.window, new Uint8Array(area(doc.window)), 'step.erased_window');
    },
    restoreAll: () => doc.restoreAll(),
    showPatch: (id, visible) => changePatch(id, (patch) => [{ ...patch, visible }], visible ? 'step.shown' : 'step.hidden'),
    removePatch: (id) => changePatch(id, () => [], 'step.removed'),

    zoomBy: (factor, at) => store.set({ view: zoomed(store.state.view, sheet.screen(), factor, at) }),
    zoomTo(zoom) {
      const { view } = store.state;
      store.set({ view: { ...view, zoom: clampZoom(zoom) } });
    },
    zoomStep: (direction) => context.actions.zoomTo(nextStop(store.state.view.zoom, direction)),
    fit(what = 'sheet') {
      const { document, window } = store.state;
      const rect = typeof what === 'object' ? what : what === 'window' ? window : union(document.bounds, window);
      if (!rect) return;
      const view = sheet.viewOf(rect);
      fitted = { what, view };
      store.set({ view });
    },
    setCompare(change) {
      const compare = { ...store.state.compare, ...change };
      store.set({ compare });
      if (compare.mode === 'off') {
        sheet.scene.original = null;
        sheet.request();
      } else if (!sheet.scene.original) void loadOriginal();
    },
  };
}
