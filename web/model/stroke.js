/**
 * A stroke of the eraser or of Restore, while it is drawn and when it is done.
 *
 * Invariant: within one stroke a pixel is as much erased as its strongest touch says: segments that overlap do not add up, and a
 * stroke that is canceled leaves no trace. A hard brush marks whole pixels, those whose centres it covers.
 */

import { encode } from './rle.js';
import { intersect, outward, union } from './rect.js';
import { TILE } from './pixels.js';

/** @typedef {import('./types.js').Rect} Rect */
/** A place of the brush: document px, radius in document px. @typedef {{x: number, y: number, r: number}} Dab */
/** @typedef {{rect: Rect, before: Uint8Array, after: Uint8Array}} AlphaChange  run-length coded */

export class Stroke {
  /**
   * @param {import('./pixels.js').Pixels} pixels
   * @param {'erase'|'restore'} kind
   * @param {number} softness  0..1: share of the radius over which it fades
   */
  constructor(pixels, kind, softness) {
    this.pixels = pixels;
    this.kind = kind;
    this.softness = softness;
    /** @type {Map<string, {marks: Uint8Array, before: Uint8Array, rect: Rect}>} */
    this.touched = new Map();
    /** @type {Rect|null} */
    this.dirty = null;
  }

  /**
   * A line between two places of the brush.
   * @param {Dab} from
   * @param {Dab} to
   */
  line(from, to) {
    const r = Math.max(from.r, to.r, 0.5);
    const box = outward({
      x: Math.min(from.x, to.x) - r,
      y: Math.min(from.y, to.y) - r,
      w: Math.abs(from.x - to.x) + 2 * r,
      h: Math.abs(from.y - to.y) + 2 * r,
    });
    this.#each(box, (part, marks, tile) => this.#capsule(part, marks, tile, from, to));
  }

  /**
   * A whole rectangle.
   * @param {Rect} rect
   */
  rectangle(rect) {
    this.#each(rect, (part, marks, tile) => {
      for (let y = part.y - tile.y; y < part.y - tile.y + part.h; y++) {
        marks.fill(255, y * TILE + part.x - tile.x, y * TILE + part.x - tile.x + part.w);
      }
    });
  }

  /**
   * @param {Rect} box
   * @param {(part: Rect, marks: Uint8Array, tile: Rect) => void} mark
   */
  #each(box, mark) {
    /** @type {Rect|null} */
    let changed = null;
    for (let ty = Math.floor(box.y / TILE); ty * TILE < box.y + box.h; ty++) {
      for (let tx = Math.floor(box.x / TILE); tx * TILE < box.x + box.w; tx++) {
        if (!this.pixels.tile(tx, ty)) continue;
        const rect = { x: tx * TILE, y: ty * TILE, w: TILE, h: TILE };
        const part = intersect(box, rect);
        if (!part) continue;
        const key = `${tx},${ty}`;
        let scratch = this.touched.get(key);
        if (!scratch) {
          scratch = { marks: new Uint8Array(TILE * TILE), before: this.pixels.alpha(rect), rect };
          this.touched.set(key, scratch);
        }
        mark(part, scratch.marks, rect);
        this.#apply(scratch, part);
        changed = union(changed, part);
      }
    }
    this.dirty = union(this.dirty, changed);
  }

  /**
   * @param {{marks: Uint8Array, before: Uint8Array, rect: Rect}} scratch
   * @param {Rect} part
   */
  #apply({ marks, before, rect }, part) {
    const alpha = new Uint8Array(part.w * part.h);
    for (let y = 0; y < part.h; y++) {
      const row = (y + part.y - rect.y) * TILE + part.x - rect.x;
      for (let x = 0; x < part.w; x++) {
        const [mark, was] = [marks[row + x], before[row + x]];
        alpha[y * part.w + x] = this.kind === 'erase' ? Math.min(was, 255 - mark) : Math.max(was, mark);
      }
    }
    this.pixels.setAlpha(part, alpha);
  }

  /**
   * @param {Rect} part
   * @param {Uint8Array} marks
   * @param {Rect} tile
   * @param {Dab} from
   * @param {Dab} to
   */
  #capsule(part, marks, tile, from, to) {
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = dx * dx + dy * dy;
    for (let y = part.y; y < part.y + part.h; y++) {
      for (let x = part.x; x < part.x + part.w; x++) {
        const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
        const t = length === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        const r = Math.max(0.5, from.r + (to.r - from.r) * t);
        const value = fade(Math.hypot(px - t * dx, py - t * dy), r, this.softness);
        const at = (y - tile.y) * TILE + x - tile.x;
        if (value > marks[at]) marks[at] = value;
      }
    }
  }

  /** What it changed, or null if nothing. @returns {AlphaChange|null} */
  finish() {
    if (!this.dirty) return null;
    const rect = this.dirty;
    const after = this.pixels.alpha(rect);
    const before = this.#before(rect);
    if (after.every((value, i) => value === before[i])) return null;
    return { rect, before: encode(before), after: encode(after) };
  }

  cancel() {
    if (this.dirty) this.pixels.setAlpha(this.dirty, this.#before(this.dirty));
    this.dirty = null;
  }

  /** @param {Rect} rect */
  #before(rect) {
    const before = this.pixels.alpha(rect);
    for (const scratch of this.touched.values()) {
      const part = intersect(rect, scratch.rect);
      if (!part) continue;
      for (let y = part.y; y < part.y + part.h; y++) {
        const from = (y - scratch.rect.y) * TILE + part.x - scratch.rect.x;
        before.set(scratch.before.subarray(from, from + part.w), (y - rect.y) * rect.w + part.x - rect.x);
      }
    }
    return before;
  }
}

/**
 * How strongly a brush marks a pixel, 0..255.
 * @param {number} distance  of the pixel's centre from the brush's
 * @param {number} radius
 * @param {number} softness
 */
export function fade(distance, radius, softness) {
  if (distance > radius) return 0;
  const hard = radius * (1 - softness);
  if (distance <= hard) return 255;
  const t = (radius - distance) / (radius - hard);
  return Math.round(255 * t * t * (3 - 2 * t));
}
