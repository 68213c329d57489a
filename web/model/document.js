/**
 * The document: its patches, its pixels, its window, and every change of them as a command that can be taken back.
 *
 * Invariant: pixels change only through here, and what a command undoes is exactly what it did: bytes, not drawings of them.
 */

import { History } from './history.js';
import { Pixels, TILE } from './pixels.js';
import { intersect, same, union } from './rect.js';
import { decode, encode } from './rle.js';
import { followed } from './window.js';

/** @typedef {import('./types.js').Rect} Rect */
/** @typedef {import('./types.js').Patch} Patch */
/** @typedef {{rect: Rect, runs: Uint8Array}} HoleTile  alpha of a tile that has holes, run-length coded */
/**
 * What is stored of a document, besides its blobs.
 * @typedef {{id: string, name: string, savedAt: number, window: Rect, ratio: string, patches: Patch[], holes: HoleTile[],
 *   settings?: any, thumbnail?: Blob|null, steps?: Steps}} Stored
 */
/** Which of its steps are stored, and the blobs that they name. @typedef {{ids: number[], done: number, first: import('./types.js').Step, blobs: string[]}} Steps */
/**
 * One direction of a command, as data: an image, all bytes of a rectangle, or alpha alone is put on the sheet, and then the rest is set.
 * @typedef {{write?: {rect: Rect, rgba: Uint8ClampedArray, mask: Uint8Array|null}, restore?: import('./pixels.js').Snapshot,
 *   alpha?: {rect: Rect, runs: Uint8Array}, set: {patches?: Patch[], window?: Rect, ratio?: string}}} Change
 */

/** Of the steps that are stored. */
const STORED_BYTES = 64 * 1024 * 1024;

export class Document {
  /** @param {{onChange?: () => void, history?: History}} [options] */
  constructor({ onChange = () => {}, history = new History() } = {}) {
    this.onChange = onChange;
    this.history = history;
    this.pixels = new Pixels();
    this.revision = 0;
    this.id = '';
    this.name = '';
    /** @type {Patch[]} */
    this.patches = [];
    /** @type {Rect} */
    this.window = { x: 0, y: 0, w: 1, h: 1 };
    this.ratio = '1:1';
  }

  /**
   * Begin anew, with nothing on the sheet.
   * @param {{id: string, name: string, window: Rect, ratio: string, key?: string, params?: Record<string, string|number>}} from
   */
  reset({ id, name, window, ratio, key = 'step.new', params = {} }) {
    Object.assign(this, { id, name, window, ratio, patches: [] });
    this.pixels.clear();
    this.history.reset(key, params);
    this.#changed();
  }

  /** What is on the sheet. @returns {Rect|null} */
  bounds() {
    return this.patches.reduce((all, patch) => (patch.visible ? union(all, patch.rect) : all), /** @type {Rect|null} */ (null));
  }

  #changed() {
    this.revision += 1;
    this.onChange();
  }

  /** @param {Change} change */
  #apply({ write, restore, alpha, set }) {
    if (write) this.pixels.write(write.rect, write.rgba, write.mask);
    if (restore) this.pixels.restore(restore);
    if (alpha) this.pixels.setAlpha(alpha.rect, decode(alpha.runs, alpha.rect.w * alpha.rect.h));
    Object.assign(this, set);
  }

  /**
   * @template {{back: Change, forth: Change}} T
   * @param {T} command
   */
  #command = (command) => ({ ...command, undo: () => this.#apply(command.back), redo: () => this.#apply(command.forth) });

  /**
   * Do something, and remember how to take it back.
   * @param {{key: string, params: Record<string, string|number>, bytes: number, merge?: string, back: Change, forth: Change}} command
   */
  #run(command) {
    this.#apply(command.forth);
    this.history.push(this.#command(command));
    this.#changed();
  }

  /**
   * Put an image on the sheet.
   * @param {Patch} patch
   * @param {Uint8ClampedArray} rgba        of patch.rect
   * @param {Uint8Array|null} mask          of patch.rect: drawn where > 0
   * @param {{key: string, params: Record<string, string|number>, window?: Rect, ratio?: string}} step   window: it goes there, too
   */
  place(patch, rgba, mask, { key, params, window = this.window, ratio = this.ratio }) {
    const before = this.pixels.read(patch.rect);
    const was = { patches: this.patches, window: this.window, ratio: this.ratio };
    this.#run({
      key,
      params,
      bytes: before.rgba.length * 2.25 + before.cover.length,
      forth: { write: { rect: patch.rect, rgba, mask }, set: { patches: [...was.patches, patch], window, ratio } },
      back: { restore: before, set: was },
    });
  }

  /**
   * A stroke that was drawn already. The window goes to what it erased.
   * @param {import('./stroke.js').AlphaChange} change
   * @param {string} key
   */
  stroke({ rect, before, after }, key) {
    const was = { window: this.window, ratio: this.ratio };
    const bounds = this.bounds();
    const touched = key === 'step.eraser' || key === 'step.rectangle' ? intersect(bounds, rect) : null;
    const window = bounds && touched ? followed(was.window, touched, bounds) : was.window;
    const ratio = window.w === was.window.w && window.h === was.window.h ? was.ratio : 'free';
    Object.assign(this, { window, ratio });
    const bytes = before.length + after.length;
    const [forth, back] = [{ alpha: { rect, runs: after }, set: { window, ratio } }, { alpha: { rect, runs: before }, set: was }];
    this.history.push(this.#command({ key, params: {}, bytes, forth, back }));
    this.#changed();
  }

  /**
   * Set how much of a rectangle is there.
   * @param {Rect} rect
   * @param {Uint8Array} alpha
   * @param {string} key
   */
  setAlpha(rect, alpha, key) {
    const before = this.pixels.alpha(rect);
    this.pixels.setAlpha(rect, alpha);
    const after = this.pixels.alpha(rect);
    if (after.every((value, i) => value === before[i])) return;
    this.stroke({ rect, before: encode(before), after: encode(after) }, key);
  }

  /** Mend all holes. */
  restoreAll() {
    const bounds = this.bounds();
    if (bounds) this.setAlpha(bounds, new Uint8Array(bounds.w * bounds.h).fill(255), 'step.restored_all');
  }

  /**
   * Move or resize the window.
   * @param {Rect} window
   * @param {string} ratio
   * @param {{key: string, params?: Record<string, string|number>, from?: Rect, merge?: string}} step  from: where it was before a gesture
   */
  setWindow(window, ratio, { key, params = {}, from = this.window, merge }) {
    const was = { window: from, ratio: this.ratio };
    if (same(from, window) && was.ratio === ratio) {
      this.window = window;
      return;
    }
    this.#run({
      key,
      params,
      merge,
      bytes: 64,
      forth: { set: { window, ratio } },
      back: { set: was },
    });
  }

  /**
   * Other patches in place of these, with the pixels that come of it.
   * @param {Patch[]} patches
   * @param {import('./pixels.js').Snapshot} after
   * @param {{key: string, params?: Record<string, string|number>}} step
   */
  replacePatches(patches, after, { key, params = {} }) {
    const before = this.pixels.read(after.rect);
    const was = this.patches;
    this.#run({
      key,
      params,
      bytes: before.rgba.length * 2.5,
      forth: { restore: after, set: { patches } },
      back: { restore: before, set: { patches: was } },
    });
  }

  undo() {
    if (this.history.undo()) this.#changed();
  }

  redo() {
    if (this.history.redo()) this.#changed();
  }

  /** @param {number} index */
  goTo(index) {
    this.history.goTo(index);
    this.#changed();
  }

  /** What to store, besides the blobs that patches name. @param {number} now @returns {Stored} */
  stored(now) {
    const { id, name, window, ratio, patches } = this;
    const { commands, done, first } = this.history.newest(STORED_BYTES);
    const named = commands.flatMap(({ back, forth }) => [...(back.set.patches ?? []), ...(forth.set.patches ?? [])].map(({ blobId }) => blobId));
    return { id, name, savedAt: now, window, ratio, patches, holes: this.holes(), steps: { ids: commands.map(({ id }) => id), done, first, blobs: [...new Set(named)] } };
  }

  /** The steps that are stored beside it: without what they do, which is said as data. */
  storedSteps() {
    return this.history.newest(STORED_BYTES).commands.map(({ undo: _, redo: __, ...step }) => step);
  }

  /**
   * Steps of a stored document, once its pixels are there.
   * @param {any[]} steps  as `storedSteps` gave them; those that are gone are undefined
   * @param {Steps} stored
   */
  adoptSteps(steps, { done, first }) {
    let [from, to] = [done, done];
    while (from > 0 && steps[from - 1]) from -= 1;
    while (to < steps.length && steps[to]) to += 1;
    this.history.adopt(steps.slice(from, to).map(this.#command), done - from, first);
    this.#changed();
  }

  /** Whether anything is erased. */
  hasHoles() {
    return [...this.pixels.tiles.values()].some((tile) => this.#isErased(tile));
  }

  /** @param {import('./pixels.js').Tile} tile */
  #isErased(tile) {
    const { known, covered } = this.pixels.count(tile);
    return known < covered;
  }

  /** Tiles in which something is erased. @returns {HoleTile[]} */
  holes() {
    /** @type {HoleTile[]} */
    const holes = [];
    for (const [key, tile] of this.pixels.tiles) {
      if (!this.#isErased(tile)) continue;
      const [tx, ty] = key.split(',').map(Number);
      const rect = { x: tx * TILE, y: ty * TILE, w: TILE, h: TILE };
      holes.push({ rect, runs: encode(this.pixels.alpha(rect)) });
    }
    return holes;
  }

  /**
   * The holes of a stored document, once its patches are drawn.
   * @param {HoleTile[]} holes
   */
  openHoles(holes) {
    for (const { rect, runs } of holes) this.pixels.setAlpha(rect, decode(runs, rect.w * rect.h));
    this.#changed();
  }

  /**
   * A patch of a document that is being opened.
   * @param {Patch} patch
   */
  adopt(patch) {
    this.patches = [...this.patches, patch];
    this.#changed();
  }

  /**
   * Whether a rectangle shows one patch as its file has it.
   * @param {Rect} rect
   * @returns {Patch|null}
   */
  wholePatch(rect) {
    const at = this.patches.findLastIndex((patch) => patch.visible && intersect(patch.rect, rect));
    const patch = this.patches[at];
    if (!patch || patch.mask || !same(patch.rect, rect)) return null;
    return this.pixels.alpha(rect).every((alpha) => alpha === 255) ? patch : null;
  }
}
