/**
 * What is under the window: how much is known, what is to be painted, and the opaque image that the model gets.
 *
 * Invariant: the mask is 255 where nothing is, 0 where the image is whole, and between them where the eraser was soft. Where
 * nothing was ever put, the image goes on as its border does: the server's outpainting does the same, so both give one result.
 */

import { TILE, countPart } from './pixels.js';
import { area, intersect, union } from './rect.js';

/** @typedef {import('./types.js').Rect} Rect */

/**
 * Shares of the window: `known` whole, `erased` at least partly erased, `empty` never painted; they add up to 1.
 * `hole`: what has to be painted, in document px.
 * @typedef {{known: number, erased: number, empty: number, hole: Rect|null}} Coverage
 */

/**
 * @param {import('./pixels.js').Pixels} pixels
 * @param {Rect} rect
 * @returns {Coverage}
 */
export function coverage(pixels, rect) {
  const total = rect.w * rect.h;
  let [known, covered] = [0, 0];
  /** @type {Rect|null} */
  let hole = null;
  for (let ty = Math.floor(rect.y / TILE); ty * TILE < rect.y + rect.h; ty++) {
    for (let tx = Math.floor(rect.x / TILE); tx * TILE < rect.x + rect.w; tx++) {
      const place = { x: tx * TILE, y: ty * TILE, w: TILE, h: TILE };
      const part = /** @type {Rect} */ (intersect(rect, place));
      const tile = pixels.tile(tx, ty);
      if (!tile) {
        hole = union(hole, part);
        continue;
      }
      const count = area(part) === TILE * TILE ? pixels.count(tile) : countPart(tile, part.x - place.x, part.y - place.y, part.w, part.h);
      known += count.known;
      covered += count.covered;
      if (!count.hole) continue;
      const { left, top, right, bottom } = count.hole;
      hole = union(hole, { x: place.x + left, y: place.y + top, w: right - left + 1, h: bottom - top + 1 });
    }
  }
  return { known: known / total, erased: (covered - known) / total, empty: (total - covered) / total, hole };
}

/**
 * What is sent for a rectangle.
 * @param {import('./pixels.js').Pixels} pixels
 * @param {Rect} rect
 * @returns {{rgba: Uint8ClampedArray, mask: Uint8Array, soft: boolean}}  opaque; 255: paint; soft: there are values between
 */
export function cutOut(pixels, rect) {
  const { rgba, cover } = pixels.read(rect);
  const mask = new Uint8Array(rect.w * rect.h);
  let soft = false;
  let most = 0;
  for (let i = 0; i < mask.length; i++) {
    const alpha = rgba[i * 4 + 3];
    mask[i] = 255 - alpha;
    if (alpha > 0 && alpha < 255) soft = true;
    if (mask[i] > most) most = mask[i];
    rgba[i * 4 + 3] = 255;
  }
  // A faint touch is meant, too: the server repaints nothing where no mark is at least half.
  if (most > 0 && most < 128) for (let i = 0; i < mask.length; i++) mask[i] = Math.round((mask[i] * 255) / most);
  continueBeyond(rgba, cover, rect.w, rect.h);
  return { rgba, mask, soft };
}

/**
 * Fill what was never painted with the nearest pixel of its row, or of the nearest row that has one.
 * @param {Uint8ClampedArray} rgba
 * @param {Uint8Array} cover
 * @param {number} w
 * @param {number} h
 */
export function continueBeyond(rgba, cover, w, h) {
  const colors = new Uint32Array(rgba.buffer, rgba.byteOffset, w * h);
  /** @type {number[]} */
  const rows = [];
  for (let y = 0; y < h; y++) {
    let last = -1;
    for (let x = 0; x < w; x++) {
      if (!cover[y * w + x]) continue;
      // Between two known pixels each takes its half.
      const from = last < 0 ? 0 : Math.ceil((last + x) / 2);
      if (last >= 0) colors.fill(colors[y * w + last], y * w + last + 1, y * w + from);
      colors.fill(colors[y * w + x], y * w + from, y * w + x);
      last = x;
    }
    if (last >= 0) {
      colors.fill(colors[y * w + last], y * w + last + 1, (y + 1) * w);
      rows.push(y);
    }
  }
  if (rows.length === 0) {
    colors.fill(0xffffffff);
    return;
  }
  let at = 0;
  for (let y = 0; y < h; y++) {
    while (at + 1 < rows.length && Math.abs(rows[at + 1] - y) <= Math.abs(rows[at] - y)) at += 1;
    if (rows[at] !== y) colors.copyWithin(y * w, rows[at] * w, (rows[at] + 1) * w);
  }
}
