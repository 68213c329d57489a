/**
 * Which part of a large image the server lets the model draw: previews show that part alone.
 *
 * Invariant: the same arithmetic as the server's with `region: auto` (docs/repainting.md); it only decides where a preview is shown,
 * never what is drawn back.
 */

/** @typedef {import('./types.js').Rect} Rect */

/** A part of more areas of the model's own is made smaller. */
const MOST_AREAS = 2.25;

/**
 * Where something is marked.
 * @param {Uint8Array} mask
 * @param {number} width
 * @param {number} [from]  least value that counts
 * @returns {Rect|null}
 */
export function marked(mask, width, from = 128) {
  let [left, top, right, bottom] = [width, -1, -1, -1];
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] < from) continue;
    const x = i % width;
    if (top < 0) top = (i - x) / width;
    bottom = (i - x) / width;
    if (x < left) left = x;
    if (x > right) right = x;
  }
  return right < 0 ? null : { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
}

/**
 * @param {{w: number, h: number}} size  of the image that was sent
 * @param {Rect} hole                    what is marked in it
 * @param {number} native                side of the model's own square, px
 * @returns {Rect}  in the image
 */
export function region(size, hole, native) {
  const whole = { x: 0, y: 0, w: size.w, h: size.h };
  const pixels = size.w * size.h;
  if (pixels <= native * native) return whole;
  const padding = Math.max(1, Math.floor(native / 4), Math.floor(Math.max(hole.w, hole.h) / 4));
  const x = span(hole.x, hole.w, padding, native, size.w);
  const y = span(hole.y, hole.h, padding, native, size.h);
  const part = { x: x.start, y: y.start, w: x.length, h: y.length };
  const isMost = 4 * part.w * part.h >= 3 * pixels;
  return isMost && pixels <= native * native * MOST_AREAS ? whole : part;
}

/**
 * @param {number} start
 * @param {number} length
 * @param {number} padding
 * @param {number} least
 * @param {number} side
 */
function span(start, length, padding, least, side) {
  const wanted = Math.min(side, Math.max(least, length + 2 * padding));
  const before = Math.floor(Math.max(0, wanted - length) / 2);
  // What is missing at a border is taken from the other side.
  return { start: Math.min(Math.max(0, start - before), side - wanted), length: wanted };
}
