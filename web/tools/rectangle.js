/**
 * A rectangular hole; with Alt or the right button, a rectangle that is restored.
 *
 * Invariant: whole pixels, those that the drag touches.
 */

import { outward } from '../model/rect.js';
import { Stroke } from '../model/stroke.js';

/**
 * @param {import('./types.js').ToolContext} tools
 * @returns {import('./types.js').Tool}
 */
export function createRectangle({ doc, sheet, canEdit }) {
  /** @type {import('./types.js').ToolPoint|null} */
  let start = null;

  return {
    cursor: () => 'crosshair',
    down(point) {
      if (canEdit()) start = point;
    },
    move(point) {
      if (!start) return;
      const [x, y] = [Math.min(start.x, point.x), Math.min(start.y, point.y)];
      sheet.scene.marquee = outward({ x, y, w: Math.abs(start.x - point.x), h: Math.abs(start.y - point.y) });
      sheet.request();
    },
    up() {
      const rect = sheet.scene.marquee;
      const opposite = start?.opposite;
      this.cancel();
      if (!rect || rect.w === 0 || rect.h === 0) return;
      const stroke = new Stroke(doc.pixels, opposite ? 'restore' : 'erase', 0);
      stroke.rectangle(rect);
      const change = stroke.finish();
      if (change) doc.stroke(change, opposite ? 'step.restore' : 'step.rectangle');
    },
    cancel() {
      start = null;
      sheet.scene.marquee = null;
      sheet.request();
    },
  };
}
