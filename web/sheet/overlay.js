/**
 * What lies over the image: the veil outside the window, its frame and handles, the brush.
 *
 * Invariant: nothing of it is inside a candidate that is looked at, and everything has its size on the screen, at any zoom.
 */

import { HANDLES } from '../model/window.js';

/** @typedef {import('../model/types.js').Rect} Rect */
/** @typedef {import('./theme.js').Colors} Colors */
/** @typedef {{x: number, y: number, w: number, h: number}} Box  CSS px */

/** Side of a handle, CSS px. */
const HANDLE = 10;

/**
 * @param {CanvasRenderingContext2D} context  in CSS px
 * @param {Box} box
 * @param {{w: number, h: number}} screen
 * @param {Colors} colors
 */
export function drawVeil(context, box, screen, colors) {
  context.beginPath();
  context.rect(0, 0, screen.w, screen.h);
  context.rect(box.x, box.y, box.w, box.h);
  context.fillStyle = colors.dim;
  context.fill('evenodd');
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Box} box
 * @param {Colors} colors
 * @param {{handles: boolean, label: string, focused: boolean}} how
 */
export function drawFrame(context, box, colors, { handles, label, focused }) {
  const half = 0.5;
  context.lineWidth = focused ? 5 : 3;
  context.strokeStyle = colors['frame-casing'];
  context.strokeRect(box.x - half, box.y - half, box.w + 1, box.h + 1);
  context.lineWidth = focused ? 2.5 : 1.5;
  context.strokeStyle = colors.frame;
  context.strokeRect(box.x - half, box.y - half, box.w + 1, box.h + 1);
  if (handles) for (const handle of HANDLES) drawHandle(context, box, handle, colors);
  if (label) drawLabel(context, box, label, colors);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Box} box
 * @param {string} handle
 * @param {Colors} colors
 */
function drawHandle(context, box, handle, colors) {
  const x = box.x + (handle.includes('w') ? 0 : handle.includes('e') ? box.w : box.w / 2);
  const y = box.y + (handle.includes('n') ? 0 : handle.includes('s') ? box.h : box.h / 2);
  // Sides of a small window have no room for a handle of their own.
  if (handle.length === 1 && Math.min(box.w, box.h) < 5 * HANDLE) return;
  context.beginPath();
  context.roundRect(x - HANDLE / 2, y - HANDLE / 2, HANDLE, HANDLE, 3);
  context.fillStyle = colors['frame-casing'];
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = colors.frame;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Box} box
 * @param {string} label
 * @param {Colors} colors
 */
function drawLabel(context, box, label, colors) {
  context.font = '500 12px system-ui, sans-serif';
  const width = context.measureText(label).width + 16;
  const [x, y] = [box.x + box.w / 2 - width / 2, box.y - 32];
  context.beginPath();
  context.roundRect(x, y, width, 22, 11);
  context.fillStyle = colors.surface;
  context.fill();
  context.fillStyle = colors.ink;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(label, box.x + box.w / 2, y + 11.5);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, y: number}} at
 * @param {number} diameter  CSS px
 * @param {number} softness  0..1
 */
export function drawBrush(context, at, diameter, softness) {
  const r = Math.max(1, diameter / 2);
  for (const [color, width] of /** @type {const} */ ([['#fff', 3], ['#000', 1]])) {
    context.lineWidth = width;
    context.strokeStyle = color;
    context.beginPath();
    context.arc(at.x, at.y, r, 0, 2 * Math.PI);
    context.stroke();
  }
  if (softness < 0.1) return;
  context.lineWidth = 1;
  context.strokeStyle = '#fffa';
  context.setLineDash([3, 3]);
  context.beginPath();
  context.arc(at.x, at.y, Math.max(1, r * (1 - softness)), 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
}

/**
 * A rectangle that is being drawn.
 * @param {CanvasRenderingContext2D} context
 * @param {Box} box
 */
export function drawMarquee(context, box) {
  context.lineWidth = 3;
  context.strokeStyle = '#fff';
  context.strokeRect(box.x, box.y, box.w, box.h);
  context.lineWidth = 1;
  context.strokeStyle = '#000';
  context.setLineDash([5, 4]);
  context.strokeRect(box.x, box.y, box.w, box.h);
  context.setLineDash([]);
}

/**
 * The line between before and after.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} height
 * @param {Colors} colors
 */
export function drawDivider(context, x, height, colors) {
  context.fillStyle = colors['frame-casing'];
  context.fillRect(x - 2, 0, 4, height);
  context.fillStyle = colors.frame;
  context.fillRect(x - 1, 0, 2, height);
  context.beginPath();
  context.arc(x, height / 2, 14, 0, 2 * Math.PI);
  context.fillStyle = colors['frame-casing'];
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = colors.frame;
  context.stroke();
  context.beginPath();
  for (const side of [-1, 1]) {
    context.moveTo(x + side * 4, height / 2 - 4);
    context.lineTo(x + side * 8, height / 2);
    context.lineTo(x + side * 4, height / 2 + 4);
  }
  context.stroke();
}
