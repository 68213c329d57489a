/**
 * The pixels of the sheet, in tiles: colour, how much of it is there (the holes), and where anything was ever put.
 *
 * Invariant: plain bytes, never a canvas: a canvas multiplies colours by alpha and loses them, and some browsers add noise.
 * Colour under a hole stays as it was, so that Restore brings it back bit for bit; where nothing was ever put, alpha is 0.
 */

import { intersect } from './rect.js';

/** @typedef {import('./types.js').Rect} Rect */
/** Side of a tile, px. */
export const TILE = 512;

/**
 * Red, green, blue, alpha of TILE x TILE pixels; alpha: 0 is a hole. `cover`: 1 where something was put. `version` grows with
 * every change, so that what is counted of a tile need not be counted again.
 * @typedef {{rgba: Uint8ClampedArray, cover: Uint8Array, version: number}} Tile
 */

/**
 * How many pixels of a tile are whole, and how many were ever put; where others lie (from, to: including), or null.
 * @typedef {{version: number, known: number, covered: number, hole: {left: number, top: number, right: number, bottom: number}|null}} Count
 */

/** All bytes of a rectangle, to put them back. @typedef {{rect: Rect, rgba: Uint8ClampedArray, cover: Uint8Array}} Snapshot */

export class Pixels {
  constructor() {
    /** @type {Map<string, Tile>} */
    this.tiles = new Map();
    /** @type {WeakMap<Tile, Count>} */
    this.counts = new WeakMap();
    /** @type {(rect: Rect|null) => void}  null: all of it */
    this.onChange = () => {};
  }

  /**
   * @param {number} tx
   * @param {number} ty
   */
  tile(tx, ty) {
    return this.tiles.get(`${tx},${ty}`);
  }

  clear() {
    this.tiles.clear();
    this.onChange(null);
  }

  /**
   * Calls `each` for the rows of every tile that a rectangle touches: where the row begins in the tile and in the rectangle, and
   * how long it is. `create`: tiles that are not there are made; otherwise they are left out.
   * @param {Rect} rect
   * @param {boolean} create
   * @param {(tile: Tile, inTile: number, inRect: number, length: number) => void} each
   */
  rows(rect, create, each) {
    for (let ty = Math.floor(rect.y / TILE); ty * TILE < rect.y + rect.h; ty++) {
      for (let tx = Math.floor(rect.x / TILE); tx * TILE < rect.x + rect.w; tx++) {
        let tile = this.tile(tx, ty);
        if (!tile) {
          if (!create) continue;
          tile = { rgba: new Uint8ClampedArray(TILE * TILE * 4), cover: new Uint8Array(TILE * TILE), version: 0 };
          this.tiles.set(`${tx},${ty}`, tile);
        }
        const part = /** @type {Rect} */ (intersect(rect, { x: tx * TILE, y: ty * TILE, w: TILE, h: TILE }));
        for (let y = part.y; y < part.y + part.h; y++) {
          each(tile, (y - ty * TILE) * TILE + part.x - tx * TILE, (y - rect.y) * rect.w + part.x - rect.x, part.w);
        }
      }
    }
  }

  /**
   * Put an opaque image on the sheet.
   * @param {Rect} rect
   * @param {Uint8ClampedArray} rgba   4 bytes a pixel; its alpha is not read
   * @param {Uint8Array|null} mask     drawn where > 0; null: all of it
   */
  write(rect, rgba, mask) {
    this.rows(rect, true, (tile, inTile, inRect, length) => {
      tile.version += 1;
      for (let i = 0; i < length; i++) {
        if (mask && mask[inRect + i] === 0) continue;
        const to = (inTile + i) * 4;
        const from = (inRect + i) * 4;
        tile.rgba[to] = rgba[from];
        tile.rgba[to + 1] = rgba[from + 1];
        tile.rgba[to + 2] = rgba[from + 2];
        tile.rgba[to + 3] = 255;
        tile.cover[inTile + i] = 1;
      }
    });
    this.onChange(rect);
  }

  /**
   * @param {Rect} rect
   * @returns {Snapshot}
   */
  read(rect) {
    const rgba = new Uint8ClampedArray(rect.w * rect.h * 4);
    const cover = new Uint8Array(rect.w * rect.h);
    this.rows(rect, false, (tile, inTile, inRect, length) => {
      rgba.set(tile.rgba.subarray(inTile * 4, (inTile + length) * 4), inRect * 4);
      cover.set(tile.cover.subarray(inTile, inTile + length), inRect);
    });
    return { rect, rgba, cover };
  }

  /** @param {Snapshot} snapshot */
  restore({ rect, rgba, cover }) {
    this.rows(rect, true, (tile, inTile, inRect, length) => {
      tile.version += 1;
      tile.rgba.set(rgba.subarray(inRect * 4, (inRect + length) * 4), inTile * 4);
      tile.cover.set(cover.subarray(inRect, inRect + length), inTile);
    });
    this.onChange(rect);
  }

  /**
   * How much of the image is there: 0 in holes.
   * @param {Rect} rect
   */
  alpha(rect) {
    const alpha = new Uint8Array(rect.w * rect.h);
    this.rows(rect, false, (tile, inTile, inRect, length) => {
      for (let i = 0; i < length; i++) alpha[inRect + i] = tile.rgba[(inTile + i) * 4 + 3];
    });
    return alpha;
  }

  /**
   * Make or mend holes. Nothing appears where nothing was ever put.
   * @param {Rect} rect
   * @param {Uint8Array} alpha
   */
  setAlpha(rect, alpha) {
    this.rows(rect, false, (tile, inTile, inRect, length) => {
      tile.version += 1;
      for (let i = 0; i < length; i++) {
        if (tile.cover[inTile + i]) tile.rgba[(inTile + i) * 4 + 3] = alpha[inRect + i];
      }
    });
    this.onChange(rect);
  }

  /**
   * What is in a tile, counted once for each of its versions.
   * @param {Tile} tile
   * @returns {Count}
   */
  count(tile) {
    const before = this.counts.get(tile);
    if (before?.version === tile.version) return before;
    const count = { version: tile.version, ...countPart(tile, 0, 0, TILE, TILE) };
    this.counts.set(tile, count);
    return count;
  }
}

/**
 * What is in a part of a tile, in the tile's own pixels.
 * @param {Tile} tile
 * @param {number} x0
 * @param {number} y0
 * @param {number} w
 * @param {number} h
 * @returns {Omit<Count, 'version'>}
 */
export function countPart({ rgba, cover }, x0, y0, w, h) {
  let [known, covered] = [0, 0];
  let [left, top, right, bottom] = [TILE, -1, -1, -1];
  for (let y = y0; y < y0 + h; y++) {
    for (let x = x0; x < x0 + w; x++) {
      const at = y * TILE + x;
      covered += cover[at];
      if (rgba[at * 4 + 3] === 255) {
        known += 1;
        continue;
      }
      if (top < 0) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  return { known, covered, hole: right < 0 ? null : { left, top, right, bottom } };
}
