/**
 * Pixels as canvases to draw: at full size where they are near, made smaller where they are far.
 *
 * Invariant: only for the eye. Nothing is ever read back from these canvases; they are made from the bytes again at any time.
 */

import { TILE } from '../model/pixels.js';
import { intersect, union } from '../model/rect.js';

/** @typedef {import('../model/types.js').Rect} Rect */
/** @typedef {{canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, dirty: Rect|null, used: number}} Shown */

/** About so many MiB of canvases. */
const MOST = 96;
/** Samples of a side that make one pixel of a smaller tile, at the most. */
const SAMPLES = 4;

export class Tiles {
  /** @param {import('../model/pixels.js').Pixels} pixels */
  constructor(pixels) {
    this.pixels = pixels;
    /** @type {Map<string, Shown>} */
    this.shown = new Map();
    this.frame = 0;
  }

  /**
   * Bytes have changed.
   * @param {Rect|null} rect  null: all
   */
  invalidate(rect) {
    if (!rect) {
      this.shown.clear();
      return;
    }
    for (const [key, shown] of this.shown) {
      const part = intersect(rect, place(key));
      if (part) shown.dirty = union(shown.dirty, part);
    }
  }

  /**
   * Draw what a rectangle shows.
   * @param {CanvasRenderingContext2D} context  its transform is from device px
   * @param {Rect} visible                      document px
   * @param {(x: number, y: number) => {x: number, y: number}} toDevice
   * @param {number} zoom                       device px per document px
   * @param {number} [until]                    ms of performance.now(): what is not made by then stays for the next frame
   * @returns {boolean} all of it was drawn
   */
  draw(context, visible, toDevice, zoom, until = Infinity) {
    this.frame += 1;
    let late = false;
    const level = zoom >= 0.5 ? 0 : Math.min(6, Math.floor(Math.log2(1 / zoom)));
    const side = TILE * 2 ** level;
    for (let ty = Math.floor(visible.y / side); ty * side < visible.y + visible.h; ty++) {
      for (let tx = Math.floor(visible.x / side); tx * side < visible.x + visible.w; tx++) {
        const key = `${level},${tx},${ty}`;
        if (performance.now() > until && !this.shown.has(key)) {
          // No time to make it now: what there is of other sizes stands in for it.
          late = this.#standIn(context, { x: tx * side, y: ty * side, w: side, h: side }, level, toDevice) || late;
          continue;
        }
        const shown = this.#get(level, tx, ty);
        if (shown) put(context, shown.canvas, place(key), toDevice);
      }
    }
    this.#forget();
    return !late;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Rect} rect
   * @param {number} level
   * @param {(x: number, y: number) => {x: number, y: number}} toDevice
   * @returns {boolean} there is something to be made
   */
  #standIn(context, rect, level, toDevice) {
    const others = [...this.shown].filter(([key]) => intersect(place(key), rect) && Number(key.split(',')[0]) !== level);
    others.sort((a, b) => Number(b[0].split(',')[0]) - Number(a[0].split(',')[0]));
    context.save();
    const [from, to] = [toDevice(rect.x, rect.y), toDevice(rect.x + rect.w, rect.y + rect.h)];
    context.beginPath();
    context.rect(Math.round(from.x), Math.round(from.y), Math.round(to.x) - Math.round(from.x), Math.round(to.y) - Math.round(from.y));
    context.clip();
    for (const [key, shown] of others) put(context, shown.canvas, place(key), toDevice);
    context.restore();
    return this.#hasPixels(level, rect.x / rect.w, rect.y / rect.h);
  }

  /**
   * @param {number} level
   * @param {number} tx
   * @param {number} ty
   * @returns {Shown|null}
   */
  #get(level, tx, ty) {
    const key = `${level},${tx},${ty}`;
    let shown = this.shown.get(key);
    if (!shown) {
      if (!this.#hasPixels(level, tx, ty)) return null;
      const canvas = document.createElement('canvas');
      canvas.width = TILE;
      canvas.height = TILE;
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      shown = { canvas, context, dirty: place(key), used: 0 };
      this.shown.set(key, shown);
    }
    if (shown.dirty) {
      this.#paint(shown, level, tx, ty, shown.dirty);
      shown.dirty = null;
    }
    shown.used = this.frame;
    return shown;
  }

  /**
   * @param {number} level
   * @param {number} tx
   * @param {number} ty
   */
  #hasPixels(level, tx, ty) {
    const count = 2 ** level;
    for (let y = ty * count; y < (ty + 1) * count; y++) {
      for (let x = tx * count; x < (tx + 1) * count; x++) if (this.pixels.tile(x, y)) return true;
    }
    return false;
  }

  /**
   * @param {Shown} shown
   * @param {number} level
   * @param {number} tx
   * @param {number} ty
   * @param {Rect} dirty  document px
   */
  #paint(shown, level, tx, ty, dirty) {
    const scale = 2 ** level;
    const [x0, y0] = [Math.floor(dirty.x / scale) - tx * TILE, Math.floor(dirty.y / scale) - ty * TILE];
    const [x1, y1] = [Math.ceil((dirty.x + dirty.w) / scale) - tx * TILE, Math.ceil((dirty.y + dirty.h) / scale) - ty * TILE];
    const image = new ImageData(x1 - x0, y1 - y0);
    if (level === 0) {
      image.data.set(this.pixels.read(dirty).rgba);
    } else {
      for (let y = y0; y < y1; y++) {
        for (let x = x0; x < x1; x++) {
          this.#average((tx * TILE + x) * scale, (ty * TILE + y) * scale, scale, image.data, ((y - y0) * (x1 - x0) + x - x0) * 4);
        }
      }
    }
    shown.context.putImageData(image, x0, y0);
  }

  /**
   * The mean of a square of pixels, weighted by alpha.
   * @param {number} left
   * @param {number} top
   * @param {number} side
   * @param {Uint8ClampedArray} out
   * @param {number} at
   */
  #average(left, top, side, out, at) {
    const tile = this.pixels.tile(Math.floor(left / TILE), Math.floor(top / TILE));
    if (!tile) return;
    const count = Math.min(side, SAMPLES);
    const step = side / count;
    const [x0, y0] = [mod(left) + (step >> 1), mod(top) + (step >> 1)];
    let [r, g, b, a] = [0, 0, 0, 0];
    for (let y = 0; y < count; y++) {
      for (let x = 0; x < count; x++) {
        const i = ((y0 + y * step) * TILE + x0 + x * step) * 4;
        const alpha = tile.rgba[i + 3];
        r += tile.rgba[i] * alpha;
        g += tile.rgba[i + 1] * alpha;
        b += tile.rgba[i + 2] * alpha;
        a += alpha;
      }
    }
    if (a === 0) return;
    out[at] = r / a;
    out[at + 1] = g / a;
    out[at + 2] = b / a;
    out[at + 3] = a / (count * count);
  }

  #forget() {
    if (this.shown.size <= MOST) return;
    const old = [...this.shown].sort((a, b) => a[1].used - b[1].used).slice(0, this.shown.size - MOST);
    for (const [key, shown] of old) if (shown.used < this.frame) this.shown.delete(key);
  }
}

/** @param {number} value */
const mod = (value) => ((value % TILE) + TILE) % TILE;

/** The rectangle of a tile, by its key. @param {string} key @returns {Rect} */
function place(key) {
  const [level, tx, ty] = key.split(',').map(Number);
  const side = TILE * 2 ** level;
  return { x: tx * side, y: ty * side, w: side, h: side };
}

/**
 * Whole device pixels: no seams between tiles.
 * @param {CanvasRenderingContext2D} context
 * @param {HTMLCanvasElement} canvas
 * @param {Rect} rect
 * @param {(x: number, y: number) => {x: number, y: number}} toDevice
 */
function put(context, canvas, rect, toDevice) {
  const from = toDevice(rect.x, rect.y);
  const to = toDevice(rect.x + rect.w, rect.y + rect.h);
  const [x, y] = [Math.round(from.x), Math.round(from.y)];
  context.drawImage(canvas, x, y, Math.round(to.x) - x, Math.round(to.y) - y);
}
