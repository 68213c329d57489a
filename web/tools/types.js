/**
 * The one shape of tools. To add one: a file of this shape, a line in tools/index.js, a name in ToolName, a key in sheet/keys.js.
 *
 * Invariant: types only. A tool gets `down`, any number of `move`, then `up` or `cancel`; after `cancel` nothing has changed.
 */

/**
 * @typedef {object} ToolPoint
 * @property {number} x          document px, not rounded
 * @property {number} y
 * @property {number} screenX    CSS px in the canvas
 * @property {number} screenY
 * @property {number} pressure
 * @property {string} pointer    mouse, pen or touch
 * @property {boolean} shift
 * @property {boolean} alt
 * @property {boolean} opposite  Alt, right button or the pen's eraser
 */

/**
 * @typedef {object} Tool
 * @property {(point: ToolPoint) => void} down
 * @property {(point: ToolPoint) => void} move
 * @property {(point: ToolPoint) => void} up
 * @property {() => void} cancel
 * @property {(point: ToolPoint) => string} cursor   of CSS
 */

/**
 * What tools work with.
 * @typedef {object} ToolContext
 * @property {import('../model/store.js').Store} store
 * @property {import('../model/document.js').Document} doc
 * @property {import('../sheet/sheet.js').Sheet} sheet
 * @property {import('../actions/types.js').Actions} actions
 * @property {() => boolean} canEdit   false: says why not
 */

export {};
