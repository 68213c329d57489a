/**
 * What is under the window: how much is known, what is to be painted, and the opaque image that the model gets.
 *
 * Invariant: the mask is 255 where nothing is, 0 where the image is whole, and between them where the eraser was soft. Where
 * nothing was ever put, the image goes on as its border does: the server's outpainting does the same, so both give one result.
 */

import { TILE } from './pixels.js';

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
  let [seen, known, covered] = [0, 0, 0];
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  /** @param {number} first @param {number} last @param {number} y */
  const note = (first, last, y) => {
    left = Math.min(left, first);
    right = Math.max(right, last);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  };
  pixels.rows(rect, false, (tile, inTile, inRect, length) => {
    seen += length;
    const y = Math.floor(inRect / rect.w);
    const x = inRect - y * rect.w;
    let [first, last] = [-1, -1];
    for (let i = 0; i < length; i++) {
      if (tile.cover[inTile + i]) covered += 1;
      if (tile.rgba[(inTile + i) * 4 + 3] === 255) known += 1;
      else {
        if (first < 0) first = i;
        last = i;
      }
    }
    if (first >= 0) note(x + first, x + last, y);
  });
  // Tiles that are not there are holes as a whole.
  if (seen < total) [left, top, right, bottom] = missing(pixels, rect, [left, top, right, bottom]);
  const hole = right < 0 ? null : { x: rect.x + left, y: rect.y + top, w: right - left + 1, h: bottom - top + 1 };
  return { known: known / total, erased: (covered - known) / total, empty: (total - covered) / total, hole };
}

/**
 * @param {import('./pixels.js').Pixels} pixels
 * @param {Rect} rect
 * @param {number[]} box
 */
function missing(pixels, rect, box) {
  const side = TILE;
  let [left, top, right, bottom] = box;
  for (let ty = Math.floor(rect.y / side); ty * side < rect.y + rect.h; ty++) {
    for (let tx = Math.floor(rect.x / side); tx * side < rect.x + rect.w; tx++) {
      if (pixels.tile(tx, ty)) continue;
      left = Math.min(left, Math.max(0, tx * side - rect.x));
      top = Math.min(top, Math.max(0, ty * side - rect.y));
      right = Math.max(right, Math.min(rect.w, (tx + 1) * side - rect.x) - 1);
      bottom = Math.max(bottom, Math.min(rect.h, (ty + 1) * side - rect.y) - 1);
    }
  }
  return [left, top, right, bottom];
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
  for (let i = 0; i < mask.length; i++) {
    const alpha = rgba[i * 4 + 3];
    mask[i] = 255 - alpha;
    if (alpha > 0 && alpha < 255) soft = true;
    rgba[i * 4 + 3] = 255;
  }
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
