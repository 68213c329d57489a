/**
 * Where the window may be and what size it may have.
 *
 * Invariant: pure geometry in whole document pixels; the model's sizes are arguments, never numbers in here.
 */

import { intersect } from './rect.js';

/** @typedef {import('./types.js').Rect} Rect */
/** @typedef {'n'|'ne'|'e'|'se'|'s'|'sw'|'w'|'nw'} Handle */
/** @typedef {{least: number, mostSide: number, mostPixels: number}} Limits */

/** @type {Handle[]} */
export const HANDLES = ['nw', 'n', 'ne', 'e', 'se', 's', 'sw', 'w'];

/**
 * A window of a size around the centre of another.
 * @param {Rect} from
 * @param {number} w
 * @param {number} h
 * @returns {Rect}
 */
export function recentred(from, w, h) {
  return { x: Math.round(from.x + (from.w - w) / 2), y: Math.round(from.y + (from.h - h) / 2), w, h };
}

/**
 * A size within limits, its proportions kept where it has to shrink.
 * @param {number} w
 * @param {number} h
 * @param {Limits} limits
 */
export function bounded(w, h, { least, mostSide, mostPixels }) {
  const scale = Math.min(1, mostSide / Math.max(w, h), Math.sqrt(mostPixels / (w * h)));
  const fit = scale < 1 ? Math.floor : Math.round;
  return { w: Math.max(least, fit(w * scale)), h: Math.max(least, fit(h * scale)) };
}

/**
 * Drag a handle.
 * @param {Rect} start
 * @param {Handle} handle
 * @param {number} dx  px since the drag began
 * @param {number} dy
 * @param {{ratio: number|null, step: number, limits: Limits}} rules  ratio: width / height to keep; step: sizes are multiples of it
 *   where no ratio is kept
 * @returns {Rect}
 */
export function resized(start, handle, dx, dy, { ratio, step, limits }) {
  const [west, east] = [handle.includes('w'), handle.includes('e')];
  const [north, south] = [handle.includes('n'), handle.includes('s')];
  let w = Math.max(limits.least, start.w + (east ? dx : west ? -dx : 0));
  let h = Math.max(limits.least, start.h + (south ? dy : north ? -dy : 0));
  if (ratio) {
    // The side that was dragged further leads.
    const byWidth = (east || west) && (!(north || south) || w / start.w >= h / start.h);
    if (byWidth) h = w / ratio;
    else w = h * ratio;
  } else {
    w = Math.round(w / step) * step;
    h = Math.round(h / step) * step;
    if (!(east || west)) w = start.w;
    if (!(north || south)) h = start.h;
  }
  const size = bounded(w, h, limits);
  const centreX = Math.round(start.x + (start.w - size.w) / 2);
  const centreY = Math.round(start.y + (start.h - size.h) / 2);
  return {
    x: west ? start.x + start.w - size.w : east ? start.x : centreX,
    y: north ? start.y + start.h - size.h : south ? start.y : centreY,
    ...size,
  };
}

/**
 * Shares of the window that stay on the image where it snaps.
 */
const OVERLAPS = [0.25, 0.5, 0.75];

/**
 * The window, drawn to a place nearby where it lies well against the image: edge to edge, centred, or so that 25, 50 or 75 % of
 * it overlap the image.
 * @param {Rect} rect
 * @param {Rect|null} image     what is on the sheet
 * @param {number} tolerance    px
 * @returns {{rect: Rect, x: string|null, y: string|null}}  x, y: what it snapped to: `edge`, `centre`, `25`, `50`, `75`
 */
export function snapped(rect, image, tolerance) {
  if (!image) return { rect, x: null, y: null };
  const x = nearest(rect.x, places(image.x, image.w, rect.w), tolerance);
  const y = nearest(rect.y, places(image.y, image.h, rect.h), tolerance);
  return { rect: { ...rect, x: x.at, y: y.at }, x: x.name, y: y.name };
}

/**
 * @param {number} start  of the image
 * @param {number} length of the image
 * @param {number} size   of the window
 */
function places(start, length, size) {
  const end = start + length;
  const list = [
    { at: start, name: 'edge' },
    { at: end - size, name: 'edge' },
    { at: Math.round(start + (length - size) / 2), name: 'centre' },
  ];
  for (const share of OVERLAPS) {
    const kept = Math.round(size * share);
    if (kept > length) continue;
    list.push({ at: end - kept, name: String(share * 100) }, { at: start + kept - size, name: String(share * 100) });
  }
  return list;
}

/**
 * @param {number} value
 * @param {{at: number, name: string}[]} list
 * @param {number} tolerance
 * @returns {{at: number, name: string|null}}
 */
function nearest(value, list, tolerance) {
  /** @type {{at: number, name: string|null}} */
  let best = { at: value, name: null };
  let distance = tolerance;
  for (const place of list) {
    const d = Math.abs(place.at - value);
    if (d < distance || (d === distance && best.name === null)) {
      best = place;
      distance = d;
    }
  }
  return best;
}

/**
 * The handle at a place, or null.
 * @param {Rect} rect
 * @param {{x: number, y: number}} point  document px
 * @param {number} reach                  document px
 * @returns {Handle|null}
 */
export function handleAt(rect, point, reach) {
  // Handles of a small window must leave room to drag it.
  const near = Math.min(reach, Math.min(rect.w, rect.h) / 4);
  const beyond = reach;
  /** @param {number} at @param {number} from @param {number} to */
  const side = (at, from, to) =>
    at >= from - beyond && at <= from + near ? -1 : at >= to - near && at <= to + beyond ? 1 : at > from && at < to ? 0 : null;
  const h = side(point.x, rect.x, rect.x + rect.w);
  const v = side(point.y, rect.y, rect.y + rect.h);
  if (h === null || v === null || (h === 0 && v === 0)) return null;
  return /** @type {Handle} */ (`${v < 0 ? 'n' : v > 0 ? 's' : ''}${h < 0 ? 'w' : h > 0 ? 'e' : ''}`);
}

/**
 * The window, moved to what was erased if that lies wholly outside of it: what is erased is what is worked on.
 * @param {Rect} window
 * @param {Rect} rect   what was erased
 * @param {Rect} image  what is on the sheet
 * @returns {Rect}
 */
export function followed(window, rect, image) {
  if (intersect(window, rect)) return window;
  const [w, h] = [Math.max(window.w, rect.w), Math.max(window.h, rect.h)];
  /** @param {number} middle @param {number} size @param {number} start @param {number} length */
  const place = (middle, size, start, length) => {
    const at = Math.round(middle - size / 2);
    return size > length ? at : Math.min(start + length - size, Math.max(start, at));
  };
  return { x: place(rect.x + rect.w / 2, w, image.x, image.w), y: place(rect.y + rect.h / 2, h, image.y, image.h), w, h };
}

/**
 * Free room beside an image, where a window of a size fits: to its right, as one goes on reading.
 * @param {Rect|null} image
 * @param {{w: number, h: number}} size
 * @returns {Rect}
 */
export function beside(image, size) {
  if (!image) return { x: 0, y: 0, w: size.w, h: size.h };
  return { x: image.x + image.w, y: Math.round(image.y + (image.h - size.h) / 2), w: size.w, h: size.h };
}
