/**
 * Eraser and Restore: one brush, two directions.
 *
 * Invariant: the size is that on the screen; the stroke is in document pixels, so it lies where it was drawn at any zoom. A stroke
 * becomes one step of the history when the hand is lifted, or nothing at all.
 */

import { Stroke } from '../model/stroke.js';

/** @typedef {import('./types.js').ToolContext} ToolContext */
/** @typedef {import('./types.js').ToolPoint} ToolPoint */

/**
 * @param {ToolContext} tools
 * @param {'erase'|'restore'} own
 * @returns {import('./types.js').Tool}
 */
export function createBrush({ store, doc, canEdit }, own) {
  /** @type {Stroke|null} */
  let stroke = null;
  /** @type {import('../model/stroke.js').Dab|null} */
  let last = null;
  /** Where the stroke before ended: Shift draws a line from there. @type {import('../model/stroke.js').Dab|null} */
  let anchor = null;

  /** @param {ToolPoint} point */
  function dab({ x, y, pressure, pointer }) {
    const { brush, view } = store.state;
    // A pen presses, a mouse or finger does not.
    const share = pointer === 'pen' ? 0.2 + 0.8 * pressure : 1;
    return { x, y, r: Math.max(0.5, (brush.size * share) / view.zoom / 2) };
  }

  return {
    cursor: () => 'none',
    down(point) {
      if (!canEdit()) return;
      const kind = point.opposite ? (own === 'erase' ? 'restore' : 'erase') : own;
      stroke = new Stroke(doc.pixels, kind, store.state.brush.softness);
      const here = dab(point);
      stroke.line(point.shift && anchor ? anchor : here, here);
      last = here;
    },
    move(point) {
      if (!stroke || !last) return;
      const here = dab(point);
      stroke.line(last, here);
      last = here;
    },
    up() {
      const done = stroke;
      stroke = null;
      if (!done) return;
      anchor = last;
      const change = done.finish();
      if (change) doc.stroke(change, done.kind === 'erase' ? 'step.eraser' : 'step.restore');
    },
    cancel() {
      stroke?.cancel();
      stroke = null;
    },
  };
}
