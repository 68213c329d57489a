/**
 * Drags the line between before and after.
 *
 * Invariant: looks only; nothing of the document changes.
 */

/**
 * @param {import('./types.js').ToolContext} tools
 * @returns {import('./types.js').Tool}
 */
export function createCompare({ sheet, actions }) {
  /** @param {import('./types.js').ToolPoint} point */
  const put = ({ screenX }) => actions.setCompare({ mode: 'slider', position: Math.min(1, Math.max(0, screenX / sheet.screen().w)) });
  return { cursor: () => 'ew-resize', down: put, move: put, up: () => {}, cancel: () => {} };
}
