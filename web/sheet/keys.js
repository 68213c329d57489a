/**
 * Shortcuts: the one list of them, and how a key press finds its entry.
 *
 * Invariant: pure. If the key gives a Latin letter, the letter counts (Dvorak and AZERTY keep theirs); otherwise its place on the
 * keyboard does, so that Cyrillic, Greek and Hebrew layouts work. Single keys do nothing while a text field has the focus.
 */

/**
 * @typedef {{key: string, code: string, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean, altKey: boolean}} Press
 * @typedef {object} Shortcut
 * @property {string} id        names the text `key.ID`
 * @property {string[]} keys    such as `Ctrl+Shift+z`; letters in lower case
 * @property {'tools'|'view'|'window'|'generate'|'edit'|'files'} group
 * @property {string} run       an action, or a name that the sheet knows
 * @property {any[]} [args]
 * @property {boolean} [anywhere]  also while a text field has the focus
 */

/** @type {Shortcut[]} */
export const SHORTCUTS = [
  { id: 'window', keys: ['v'], group: 'tools', run: 'setTool', args: ['window'] },
  { id: 'hand', keys: ['h'], group: 'tools', run: 'setTool', args: ['hand'] },
  { id: 'eraser', keys: ['e', 'b'], group: 'tools', run: 'setTool', args: ['eraser'] },
  { id: 'restore', keys: ['r'], group: 'tools', run: 'setTool', args: ['restore'] },
  { id: 'rectangle', keys: ['u'], group: 'tools', run: 'setTool', args: ['rectangle'] },
  { id: 'smaller', keys: ['['], group: 'tools', run: 'brushSize', args: [1 / 1.2] },
  { id: 'larger', keys: [']'], group: 'tools', run: 'brushSize', args: [1.2] },
  { id: 'harder', keys: ['Shift+['], group: 'tools', run: 'brushSoftness', args: [-0.1] },
  { id: 'softer', keys: ['Shift+]'], group: 'tools', run: 'brushSoftness', args: [0.1] },
  { id: 'generate', keys: ['Ctrl+Enter'], group: 'generate', run: 'generate', anywhere: true },
  { id: 'ahead', keys: ['Ctrl+Shift+Enter'], group: 'generate', run: 'generate', args: [{ ahead: true }], anywhere: true },
  { id: 'accept', keys: ['Enter'], group: 'generate', run: 'acceptKey' },
  { id: 'discard', keys: ['Escape'], group: 'generate', run: 'escapeKey' },
  { id: 'previous', keys: [','], group: 'generate', run: 'browse', args: [-1] },
  { id: 'next', keys: ['.'], group: 'generate', run: 'browse', args: [1] },
  { id: 'dice', keys: ['d'], group: 'generate', run: 'rollSeed' },
  { id: 'undo', keys: ['Ctrl+z'], group: 'edit', run: 'undo' },
  { id: 'redo', keys: ['Ctrl+Shift+z', 'Ctrl+y'], group: 'edit', run: 'redo' },
  { id: 'erase_window', keys: ['Delete', 'Backspace'], group: 'edit', run: 'eraseWindow' },
  { id: 'copy', keys: ['Ctrl+c'], group: 'edit', run: 'copyKey' },
  { id: 'fit', keys: ['Ctrl+0'], group: 'view', run: 'fit', anywhere: true },
  { id: 'actual', keys: ['Ctrl+1'], group: 'view', run: 'zoomTo', args: [1], anywhere: true },
  { id: 'zoom_in', keys: ['+', '=', 'Shift++'], group: 'view', run: 'zoomStep', args: [1] },
  { id: 'zoom_out', keys: ['-'], group: 'view', run: 'zoomStep', args: [-1] },
  { id: 'open', keys: ['Ctrl+o'], group: 'files', run: 'chooseFile', anywhere: true },
  { id: 'save', keys: ['Ctrl+s'], group: 'files', run: 'openDialog', args: ['save'], anywhere: true },
  { id: 'help', keys: ['?', 'Shift+?'], group: 'files', run: 'openDialog', args: ['shortcuts'] },
];

/** Shown in the list of shortcuts, but handled where they happen: by holding, by arrows, by the browser. */
export const OTHER_KEYS = [
  { id: 'pan', keys: ['Space'], group: 'view' },
  { id: 'compare', keys: ['c'], group: 'view' },
  { id: 'opposite', keys: ['Alt'], group: 'tools' },
  { id: 'line', keys: ['Shift'], group: 'tools' },
  { id: 'nudge', keys: ['←', '→', '↑', '↓'], group: 'window' },
  { id: 'nudge_step', keys: ['Shift+←'], group: 'window' },
  { id: 'resize', keys: ['Ctrl+←'], group: 'window' },
  { id: 'paste', keys: ['Ctrl+v'], group: 'files' },
];

/** What keys of a US keyboard give, by their place. @type {Record<string, string>} */
const PLACES = {
  BracketLeft: '[', BracketRight: ']', Comma: ',', Period: '.', Minus: '-', Equal: '=', Slash: '/', NumpadAdd: '+', NumpadSubtract: '-',
};

/**
 * The key that a press stands for: a letter or sign in lower case, or a name such as `Enter`.
 * @param {Press} press
 */
export function keyOf({ key, code, shiftKey }) {
  if (key.length > 1) return key;
  if (/^[a-z]$/i.test(key)) return key.toLowerCase();
  if (/^Key[A-Z]$/.test(code)) return code.slice(3).toLowerCase();
  if (/^Digit\d$/.test(code)) return code.slice(5);
  // `?` is on another key on many layouts: what is typed counts where it is a sign of the list.
  if (key === '?' || key === '+') return key;
  if (code === 'Slash' && shiftKey) return '?';
  return PLACES[code] ?? key;
}

/**
 * The name of a press: `Ctrl+Shift+z`. Cmd counts as Ctrl.
 * @param {Press} press
 */
export function nameOf(press) {
  const key = keyOf(press);
  return `${press.ctrlKey || press.metaKey ? 'Ctrl+' : ''}${press.altKey ? 'Alt+' : ''}${press.shiftKey ? 'Shift+' : ''}${key}`;
}

/**
 * @param {Press} press
 * @param {boolean} inText  a text field has the focus
 * @returns {Shortcut|undefined}
 */
export function find(press, inText) {
  const name = nameOf(press);
  return SHORTCUTS.find((shortcut) => (shortcut.anywhere || !inText) && shortcut.keys.includes(name));
}
