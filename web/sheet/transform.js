/**
 * From the screen to the document and back.
 *
 * Invariant: one set of formulas, for drawing and for pointers alike. The document's origin lies on a whole device pixel, so what
 * is seen and what is hit never differ, at any zoom and device scale.
 */

/** @typedef {{x: number, y: number, zoom: number}} View  document px at the middle; CSS px per document px */
/** @typedef {{w: number, h: number, scale: number}} Screen  CSS px; device px per CSS px */

export const LEAST_ZOOM = 0.05;
export const MOST_ZOOM = 32;
const STOPS = [0.05, 0.1, 0.25, 0.33, 0.5, 0.67, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32];

/**
 * Where the document's origin is, in CSS px of the canvas.
 * @param {View} view
 * @param {Screen} screen
 */
export function origin(view, screen) {
  return {
    x: Math.round((screen.w / 2 - view.x * view.zoom) * screen.scale) / screen.scale,
    y: Math.round((screen.h / 2 - view.y * view.zoom) * screen.scale) / screen.scale,
  };
}

/**
 * @param {View} view
 * @param {Screen} screen
 * @param {{x: number, y: number}} point  CSS px in the canvas
 */
export function toDocument(view, screen, point) {
  const o = origin(view, screen);
  return { x: (point.x - o.x) / view.zoom, y: (point.y - o.y) / view.zoom };
}

/**
 * @param {View} view
 * @param {Screen} screen
 * @param {{x: number, y: number, w: number, h: number}} rect  document px
 */
export function toScreen(view, screen, rect) {
  const o = origin(view, screen);
  return { x: rect.x * view.zoom + o.x, y: rect.y * view.zoom + o.y, w: rect.w * view.zoom, h: rect.h * view.zoom };
}

/** @param {number} zoom */
export const clampZoom = (zoom) => Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, zoom));

/**
 * Zoom so that what is at a point stays there.
 * @param {View} view
 * @param {Screen} screen
 * @param {number} factor
 * @param {{x: number, y: number}} [at]  CSS px in the canvas; default: the middle
 * @returns {View}
 */
export function zoomed(view, screen, factor, at = { x: screen.w / 2, y: screen.h / 2 }) {
  const zoom = clampZoom(view.zoom * factor);
  const offset = { x: at.x - screen.w / 2, y: at.y - screen.h / 2 };
  return {
    x: view.x + offset.x / view.zoom - offset.x / zoom,
    y: view.y + offset.y / view.zoom - offset.y / zoom,
    zoom,
  };
}

/**
 * The next of the round zooms.
 * @param {number} zoom
 * @param {1|-1} direction
 */
export function nextStop(zoom, direction) {
  const list = direction > 0 ? STOPS.find((stop) => stop > zoom * 1.01) : STOPS.findLast((stop) => stop < zoom / 1.01);
  return list ?? clampZoom(zoom);
}

/**
 * A view that shows a rectangle as large as the room is. Where single pixels are seen, each is as many device pixels as the others.
 * @param {{x: number, y: number, w: number, h: number}} rect
 * @param {Screen} screen
 * @param {{top: number, right: number, bottom: number, left: number}} margin  CSS px
 * @returns {View}
 */
export function fitted(rect, screen, margin) {
  const room = { w: Math.max(40, screen.w - margin.left - margin.right), h: Math.max(40, screen.h - margin.top - margin.bottom) };
  let zoom = clampZoom(Math.min(room.w / rect.w, room.h / rect.h));
  if (zoom > 3) zoom = Math.floor(zoom * screen.scale) / screen.scale;
  // The middle of the room, not of the canvas, is where it goes.
  const shift = { x: (margin.left - margin.right) / 2, y: (margin.top - margin.bottom) / 2 };
  return { x: rect.x + rect.w / 2 - shift.x / zoom, y: rect.y + rect.h / 2 - shift.y / zoom, zoom };
}
