/**
 * Rectangles in document pixels.
 *
 * Invariant: pure; no function changes its arguments, and rectangles without area are `null` in results.
 */

/** @typedef {import('./types.js').Rect} Rect */

/** @param {Rect} r */
export const area = (r) => r.w * r.h;

/**
 * @param {Rect} a
 * @param {Rect} b
 */
export const same = (a, b) => a.x === b.x && a.y === b.y && a.w === b.w && a.h === b.h;

/**
 * @param {Rect|null} a
 * @param {Rect|null} b
 * @returns {Rect|null}
 */
export function intersect(a, b) {
  if (!a || !b) return null;
  const x = Math.max(a.x, b.x);
  const y = Math.max(a.y, b.y);
  const w = Math.min(a.x + a.w, b.x + b.w) - x;
  const h = Math.min(a.y + a.h, b.y + b.h) - y;
  return w > 0 && h > 0 ? { x, y, w, h } : null;
}

/**
 * The smallest rectangle that holds both.
 * @param {Rect|null} a
 * @param {Rect|null} b
 * @returns {Rect|null}
 */
export function union(a, b) {
  if (!a || !b) return a ?? b;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  return { x, y, w: Math.max(a.x + a.w, b.x + b.w) - x, h: Math.max(a.y + a.h, b.y + b.h) - y };
}

/**
 * Whether `outer` holds all of `inner`.
 * @param {Rect} outer
 * @param {Rect} inner
 */
export function contains(outer, inner) {
  return (
    inner.x >= outer.x && inner.y >= outer.y && inner.x + inner.w <= outer.x + outer.w && inner.y + inner.h <= outer.y + outer.h
  );
}

/**
 * @param {Rect} r
 * @param {number} by  px on every side
 * @returns {Rect}
 */
export const grow = (r, by) => ({ x: r.x - by, y: r.y - by, w: r.w + 2 * by, h: r.h + 2 * by });

/**
 * Whole pixels that hold all of a rectangle.
 * @param {{x: number, y: number, w: number, h: number}} r
 * @returns {Rect}
 */
export function outward(r) {
  const x = Math.floor(r.x);
  const y = Math.floor(r.y);
  return { x, y, w: Math.ceil(r.x + r.w) - x, h: Math.ceil(r.y + r.h) - y };
}
