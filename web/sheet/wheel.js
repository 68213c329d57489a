/**
 * What a turn of the wheel means.
 *
 * Invariant: pure. Ctrl or Cmd (which is also how browsers report a pinch on a trackpad) always zooms at the pointer, Shift always
 * goes sideways; only the plain wheel depends on the device, and a setting decides where guessing fails.
 */

/**
 * @typedef {{deltaX: number, deltaY: number, deltaMode: number, ctrl: boolean, shift: boolean}} Turn
 * @typedef {{zoom: number}|{dx: number, dy: number}} Meaning   zoom: a factor; dx, dy: CSS px that the view moves by
 */

/**
 * @param {Turn} turn
 * @param {'auto'|'mouse'|'trackpad'} preference
 * @returns {Meaning}
 */
export function meaning(turn, preference) {
  const unit = turn.deltaMode === 1 ? 40 : turn.deltaMode === 2 ? 400 : 1;
  const [dx, dy] = [turn.deltaX * unit, turn.deltaY * unit];
  if (turn.ctrl) {
    // A pinch comes in small deltas, a wheel with Ctrl in large ones.
    const strength = Math.abs(dy) < 40 && !notched(turn) ? 0.01 : 0.002;
    return { zoom: Math.exp(-clamp(dy, 300) * strength) };
  }
  if (turn.shift) return { dx: dx || dy, dy: 0 };
  const mouse = preference === 'mouse' || (preference === 'auto' && notched(turn));
  if (mouse) return { zoom: Math.exp(-clamp(dy, 300) * 0.002) };
  return { dx, dy };
}

/**
 * Whether it is the notched wheel of a mouse.
 * @param {Turn} turn
 */
export function notched({ deltaX, deltaY, deltaMode }) {
  if (deltaMode === 1) return true;
  return deltaX === 0 && deltaY !== 0 && Math.abs(deltaY) >= 100 && Math.abs(deltaY) % (Math.abs(deltaY) % 120 === 0 ? 120 : 100) === 0;
}

/**
 * @param {number} value
 * @param {number} most
 */
const clamp = (value, most) => Math.max(-most, Math.min(most, value));
