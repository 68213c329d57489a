/**
 * How far an image is extended past an edge, and how much of it the model is shown.
 *
 * Invariant: the known part lies within what is drawn, and touches the edge that is extended as a whole.
 */

import { grow } from './rect.js';

/** @typedef {import('./types.js').Rect} Rect */

/**
 * What an image is extended by: about half of the model's own side, more on a large photo; and what of it the model is shown.
 * @param {Rect} bounds  of the image
 * @param {import('../model/types.js').Side} side
 * @param {import('../model/types.js').Capabilities} capabilities
 */
export function extension(bounds, side, { sizes }) {
  const native = Math.max(sizes.default_width, sizes.default_height);
  /** @param {number} length */
  const amount = (length) => Math.max(1, Math.round(Math.max(native / 2, length / 4) / sizes.step)) * sizes.step;
  const [dx, dy] = [amount(bounds.w), amount(bounds.h)];
  if (side === 'all') {
    const by = Math.min(dx, dy);
    return { rect: grow(bounds, by), known: bounds };
  }
  const wide = side === 'left' || side === 'right';
  const [across, by] = wide ? [bounds.w, dx] : [bounds.h, dy];
  const depth = Math.min(across, Math.max(native, by * 2));
  const far = side === 'right' || side === 'bottom' ? across - depth : 0;
  const known = wide ? { ...bounds, x: bounds.x + far, w: depth } : { ...bounds, y: bounds.y + far, h: depth };
  const back = side === 'left' || side === 'top' ? by : 0;
  const rect = wide ? { ...known, x: known.x - back, w: known.w + by } : { ...known, y: known.y - back, h: known.h + by };
  return { rect, known };
}
