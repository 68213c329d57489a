/**
 * The colours that the sheet draws with.
 *
 * Invariant: they are named in css/base.css alone; here they are only resolved, once for each theme.
 */

const NAMES = /** @type {const} */ (['sheet', 'check-a', 'check-b', 'dim', 'hole', 'frame', 'frame-casing', 'ink', 'surface']);

/** @typedef {Record<typeof NAMES[number], string>} Colors */

/** @returns {Colors} */
export function readColors() {
  const probe = document.createElement('span');
  probe.hidden = true;
  document.body.append(probe);
  const colors = Object.fromEntries(
    NAMES.map((name) => {
      probe.style.setProperty('color', `var(--${name})`);
      return [name, getComputedStyle(probe).color];
    }),
  );
  probe.remove();
  return /** @type {Colors} */ (colors);
}

/**
 * A checkerboard, as it is known from other editors: nothing is here.
 * @param {Colors} colors
 * @param {number} side  device px of a square
 */
export function checkerboard(colors, side) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = side * 2;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.fillStyle = colors['check-a'];
  context.fillRect(0, 0, side * 2, side * 2);
  context.fillStyle = colors['check-b'];
  context.fillRect(0, 0, side, side);
  context.fillRect(side, side, side, side);
  return canvas;
}
