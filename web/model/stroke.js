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
/** A tile that was touched. @typedef {{tile: import('./pixels.js').Tile, marks: Uint8Array, before: Uint8Array, rect: Rect}} Scratch */

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
    /** @type {Map<string, Scratch>} */
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
    this.#each(box, (part, scratch) => this.#capsule(part, scratch, from, to));
  }

  /**
   * A whole rectangle.
   * @param {Rect} rect
   */
  rectangle(rect) {
    this.#each(rect, (part, { marks, rect: { x, y } }) => {
      for (let row = part.y - y; row < part.y - y + part.h; row++) {
        marks.fill(255, row * TILE + part.x - x, row * TILE + part.x - x + part.w);
      }
    });
  }

  /**
   * @param {Rect} box
   * @param {(part: Rect, scratch: Scratch) => void} mark
   */
  #each(box, mark) {
    /** @type {Rect|null} */
    let changed = null;
    for (let ty = Math.floor(box.y / TILE); ty * TILE < box.y + box.h; ty++) {
      for (let tx = Math.floor(box.x / TILE); tx * TILE < box.x + box.w; tx++) {
        const tile = this.pixels.tile(tx, ty);
        const rect = { x: tx * TILE, y: ty * TILE, w: TILE, h: TILE };
        const part = intersect(box, rect);
        if (!tile || !part) continue;
        const key = `${tx},${ty}`;
        let scratch = this.touched.get(key);
        if (!scratch) {
          scratch = { tile, marks: new Uint8Array(TILE * TILE), before: this.pixels.alpha(rect), rect };
          this.touched.set(key, scratch);
        }
        mark(part, scratch);
        this.#apply(part, scratch);
        changed = union(changed, part);
      }
    }
    this.dirty = union(this.dirty, changed);
    if (changed) this.pixels.onChange(changed);
  }

  /**
   * @param {Rect} part
   * @param {Scratch} scratch
   */
  #apply(part, { tile, marks, before, rect }) {
    const { rgba, cover } = tile;
    tile.version += 1;
    const erase = this.kind === 'erase';
    for (let y = part.y - rect.y; y < part.y - rect.y + part.h; y++) {
      const end = y * TILE + part.x - rect.x + part.w;
      for (let at = end - part.w; at < end; at++) {
        const mark = marks[at];
        if (mark === 0 || cover[at] === 0) continue;
        rgba[at * 4 + 3] = erase ? Math.min(before[at], 255 - mark) : Math.max(before[at], mark);
      }
    }
  }

  /**
   * @param {Rect} part
   * @param {Scratch} scratch
   * @param {Dab} from
   * @param {Dab} to
   */
  #capsule(part, { marks, rect }, from, to) {
    const { softness } = this;
    const [dx, dy, dr] = [to.x - from.x, to.y - from.y, to.r - from.r];
    const length = dx * dx + dy * dy;
    const per = length === 0 ? 0 : 1 / length;
    for (let y = part.y; y < part.y + part.h; y++) {
      const py = y + 0.5 - from.y;
      let at = (y - rect.y) * TILE + part.x - rect.x;
      for (let x = part.x; x < part.x + part.w; x++, at++) {
        if (marks[at] === 255) continue;
        const px = x + 0.5 - from.x;
        let t = (px * dx + py * dy) * per;
        t = Math.min(1, Math.max(0, t));
        const ox = px - t * dx;
        const oy = py - t * dy;
        const square = ox * ox + oy * oy;
        const r = Math.max(0.5, from.r + dr * t);
        if (square > r * r) continue;
        const value = softness === 0 ? 255 : fade(Math.sqrt(square), r, softness);
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
