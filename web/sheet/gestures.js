/**
 * What hands do on the sheet: a machine from pointer events to intents.
 *
 * Invariant: pure: no DOM, no clock of its own. One finger, pen or button works the tool; two fingers move and zoom; a finger only
 * moves the sheet once a pen was seen. A stroke that a second finger interrupts at once is canceled, later it is finished.
 */

/**
 * @typedef {object} Input
 * @property {'down'|'move'|'up'|'cancel'} type
 * @property {number} id
 * @property {string} pointer      mouse, pen or touch
 * @property {number} x            CSS px in the canvas
 * @property {number} y
 * @property {number} pressure     0..1
 * @property {number} button       of `down`: 0 left, 1 middle, 2 right, 5 the pen's eraser
 * @property {boolean} space       the space bar is held
 * @property {boolean} alt
 * @property {boolean} shift
 * @property {string} tool
 * @property {number} time         ms
 */
/** @typedef {{x: number, y: number, pressure: number, pointer: string, alt: boolean, shift: boolean, opposite: boolean}} Point */
/**
 * @typedef {{do: 'down'|'move'|'up', point: Point}|{do: 'cancel'}|{do: 'pan', dx: number, dy: number}
 *   |{do: 'zoom', factor: number, x: number, y: number}|{do: 'undo'}|{do: 'grab', on: boolean}} Intent
 */

/** Within so many ms of its begin a second finger cancels a stroke. */
const INTERRUPT_MS = 300;
const TAP_MS = 300;
const TAP_PX = 12;

export class Gestures {
  constructor() {
    /** @type {Map<number, {x: number, y: number}>} */
    this.fingers = new Map();
    /** @type {{kind: 'tool'|'pan', id: number, since: number, opposite: boolean, x: number, y: number}|{kind: 'pinch', since: number, moved: number, ended: boolean, fresh: boolean}|null} */
    this.now = null;
    this.penSeen = false;
  }

  /** Whether the tool is at work. */
  get busy() {
    return this.now?.kind === 'tool';
  }

  /** Forget everything: the page lost the pointers. @returns {Intent[]} */
  reset() {
    const intents = this.busy ? [/** @type {Intent} */ ({ do: 'cancel' })] : [];
    this.now = null;
    this.fingers.clear();
    return intents;
  }

  /**
   * @param {Input} input
   * @returns {Intent[]}
   */
  handle(input) {
    if (input.pointer === 'pen') this.penSeen = true;
    switch (input.type) {
      case 'down':
        return this.#down(input);
      case 'move':
        return this.#move(input);
      default:
        return this.#up(input);
    }
  }

  /** @param {Input} input @returns {Intent[]} */
  #down(input) {
    const touch = input.pointer === 'touch';
    if (touch) this.fingers.set(input.id, { x: input.x, y: input.y });
    if (touch && this.fingers.size === 2) return this.#pinch(input.time);
    if (this.now) return [];
    const pans = input.button === 1 || input.space || input.tool === 'hand' || (touch && this.penSeen && input.tool !== 'window');
    const opposite = input.button === 2 || input.button === 5 || input.alt;
    this.now = { kind: pans ? 'pan' : 'tool', id: input.id, since: input.time, opposite, x: input.x, y: input.y };
    return pans ? [{ do: 'grab', on: true }] : [{ do: 'down', point: this.#point(input) }];
  }

  /** @param {number} time @returns {Intent[]} */
  #pinch(time) {
    const before = this.now;
    // A stroke that has been drawn for a while was meant.
    const fresh = before === null || (before.kind !== 'pinch' && time - before.since < INTERRUPT_MS);
    this.now = { kind: 'pinch', since: time, moved: 0, ended: false, fresh };
    if (before?.kind === 'pan') return [{ do: 'grab', on: false }];
    if (before?.kind !== 'tool') return [];
    if (fresh) return [{ do: 'cancel' }];
    const point = { x: before.x, y: before.y, pressure: 0.5, pointer: 'touch', alt: false, shift: false, opposite: before.opposite };
    return [{ do: 'up', point }];
  }

  /** @param {Input} input @returns {Intent[]} */
  #move(input) {
    const { now } = this;
    const finger = this.fingers.get(input.id);
    if (now?.kind === 'pinch') {
      if (!finger || this.fingers.size < 2 || now.ended) return [];
      return this.#spread(now, finger, input);
    }
    if (finger) Object.assign(finger, { x: input.x, y: input.y });
    if (!now || now.id !== input.id) return [];
    const [dx, dy] = [input.x - now.x, input.y - now.y];
    now.x = input.x;
    now.y = input.y;
    return now.kind === 'pan' ? [{ do: 'pan', dx, dy }] : [{ do: 'move', point: this.#point(input) }];
  }

  /**
   * @param {{moved: number}} pinch
   * @param {{x: number, y: number}} finger
   * @param {Input} input
   * @returns {Intent[]}
   */
  #spread(pinch, finger, input) {
    const [a, b] = this.fingers.values();
    const before = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, d: Math.hypot(a.x - b.x, a.y - b.y) };
    pinch.moved += Math.hypot(input.x - finger.x, input.y - finger.y);
    Object.assign(finger, { x: input.x, y: input.y });
    const after = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, d: Math.hypot(a.x - b.x, a.y - b.y) };
    /** @type {Intent[]} */
    const intents = [{ do: 'pan', dx: after.x - before.x, dy: after.y - before.y }];
    if (before.d > 1 && after.d > 1) intents.push({ do: 'zoom', factor: after.d / before.d, x: after.x, y: after.y });
    return intents;
  }

  /** @param {Input} input @returns {Intent[]} */
  #up(input) {
    const { now } = this;
    this.fingers.delete(input.id);
    if (now?.kind === 'pinch') {
      const tap = !now.ended && now.fresh && input.type === 'up' && input.time - now.since < TAP_MS && now.moved < TAP_PX;
      now.ended = true;
      if (this.fingers.size === 0) this.now = null;
      return tap ? [{ do: 'undo' }] : [];
    }
    if (!now || now.id !== input.id) return [];
    const point = this.#point(input);
    this.now = null;
    if (now.kind === 'pan') return [{ do: 'grab', on: false }];
    return input.type === 'up' ? [{ do: 'up', point }] : [{ do: 'cancel' }];
  }

  /** @param {Input} input @returns {Point} */
  #point({ x, y, pressure, pointer, alt, shift }) {
    const opposite = this.now?.kind === 'tool' && this.now.opposite;
    return { x, y, pressure, pointer, alt, shift, opposite };
  }
}
