/**
 * Moves the sheet. The gestures do the moving, as they do with the space bar and the middle button.
 *
 * Invariant: never called with a stroke: sheet/gestures.js turns every drag of this tool into a pan.
 */

/** @returns {import('./types.js').Tool} */
export function createHand() {
  const nothing = () => {};
  return { cursor: () => 'grab', down: nothing, move: nothing, up: nothing, cancel: nothing };
}
