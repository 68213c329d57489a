/**
 * Moves and resizes the window; outside of it, the sheet.
 *
 * Invariant: one gesture is one step of the history. Near the image's edges the window snaps, unless Alt is held.
 */

import { cell, windowLimits } from '../model/capabilities.js';
import { handleAt, resized, snapped } from '../model/window.js';

/** @typedef {import('../model/types.js').Rect} Rect */

/** CSS px */
const REACH = { mouse: 10, touch: 24 };
const SNAP = 8;
/** @type {Record<string, string>} */
const CURSORS = { n: 'ns-resize', s: 'ns-resize', e: 'ew-resize', w: 'ew-resize', nw: 'nwse-resize', se: 'nwse-resize', ne: 'nesw-resize', sw: 'nesw-resize' };

/**
 * @param {import('./types.js').ToolContext} tools
 * @returns {import('./types.js').Tool}
 */
export function createWindowTool({ store, sheet, actions }) {
  /** @type {{point: import('./types.js').ToolPoint, window: Rect, handle: import('../model/window.js').Handle|null, inside: boolean}|null} */
  let start = null;
  let last = { x: 0, y: 0 };

  /** @param {import('./types.js').ToolPoint} point */
  function hit(point) {
    const { window, view } = store.state;
    const reach = (point.pointer === 'touch' ? REACH.touch : REACH.mouse) / view.zoom;
    const handle = handleAt(window, point, reach);
    const inside = point.x >= window.x && point.y >= window.y && point.x < window.x + window.w && point.y < window.y + window.h;
    return { handle, inside };
  }

  /** @param {import('./types.js').ToolPoint} point @param {NonNullable<typeof start>} from @returns {Rect} */
  function moved(point, from) {
    const { capabilities, ratio, view, document } = store.state;
    const [dx, dy] = [Math.round(point.x - from.point.x), Math.round(point.y - from.point.y)];
    if (from.handle) {
      const keep = (ratio !== 'free') !== point.shift;
      const step = cell(capabilities);
      return resized(from.window, from.handle, dx, dy, { ratio: keep ? from.window.w / from.window.h : null, step, limits: windowLimits(capabilities) });
    }
    const rect = { ...from.window, x: from.window.x + dx, y: from.window.y + dy };
    const near = snapped(rect, document.bounds, point.alt ? 0 : SNAP / view.zoom);
    sheet.scene.snap = { x: near.x, y: near.y };
    return near.rect;
  }

  return {
    cursor(point) {
      const { handle, inside } = hit(point);
      return handle ? CURSORS[handle] : inside ? 'move' : 'grab';
    },
    down(point) {
      start = { point, window: store.state.window, ...hit(point) };
      last = { x: point.screenX, y: point.screenY };
    },
    move(point) {
      if (!start) return;
      if (start.handle || start.inside) return actions.setWindow(moved(point, start), false);
      const { view } = store.state;
      store.set({ view: { ...view, x: view.x - (point.screenX - last.x) / view.zoom, y: view.y - (point.screenY - last.y) / view.zoom } });
      last = { x: point.screenX, y: point.screenY };
    },
    up() {
      sheet.scene.snap = { x: null, y: null };
      if (start && (start.handle || start.inside)) actions.setWindow(store.state.window, true);
      start = null;
    },
    cancel() {
      sheet.scene.snap = { x: null, y: null };
      if (start && (start.handle || start.inside)) {
        actions.setWindow(start.window, false);
        actions.setWindow(start.window, true);
      }
      start = null;
    },
  };
}
