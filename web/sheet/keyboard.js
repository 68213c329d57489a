/**
 * From key presses to actions.
 *
 * Invariant: the list is sheet/keys.js; here are only the keys that are held, arrows, and those that mean two things.
 */

import { find, keyOf } from './keys.js';

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Whether keys are letters there. @param {Element|null} element */
function isText(element) {
  if (element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement) return true;
  if (element instanceof HTMLInputElement) return !['checkbox', 'radio', 'range', 'button', 'color', 'file'].includes(element.type);
  return element instanceof HTMLElement && element.isContentEditable;
}

/**
 * @param {object} options
 * @param {import('./sheet.js').Sheet} options.sheet
 * @param {import('../model/store.js').Store} options.store
 * @param {import('../actions/types.js').Actions} options.actions
 * @param {{space: boolean}} options.held
 * @param {{escape: () => void, busy: () => boolean}} options.pointers
 */
export function listenToKeys({ sheet, store, actions, held, pointers }) {
  const { canvas } = sheet;

  /** Keys that depend on what is going on. True: taken. @type {Record<string, () => boolean>} */
  const special = {
    acceptKey() {
      // Enter on a button is that button's.
      if (!store.state.staging || (document.activeElement !== canvas && document.activeElement !== document.body)) return false;
      void actions.accept();
      return true;
    },
    escapeKey() {
      if (store.state.ui.dialog !== 'none') return false;
      if (pointers.busy()) pointers.escape();
      else if (store.state.compare.mode === 'slider') actions.setTool('window');
      else if (store.state.staging) actions.discard();
      else return false;
      return true;
    },
    copyKey() {
      if (String(getSelection()) !== '') return false;
      void actions.copy();
      return true;
    },
  };

  /** @param {KeyboardEvent} event */
  function arrow(event) {
    const by = ARROWS[event.key];
    const { activeElement } = document;
    if (!by || (activeElement !== canvas && activeElement !== document.body) || event.altKey) return false;
    if (event.ctrlKey || event.metaKey) /** @type {any} */ (actions).resizeWindow(by[0], by[1]);
    else actions.nudgeWindow(by[0], by[1], event.shiftKey);
    return true;
  }

  addEventListener('keydown', (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const inText = isText(document.activeElement);
    // Dialogs have their own keys.
    if (document.querySelector('dialog[open]') && !(event.ctrlKey || event.metaKey)) return;
    if (event.key === ' ' && !inText && (document.activeElement === canvas || document.activeElement === document.body)) {
      held.space = true;
      canvas.style.setProperty('cursor', 'grab');
      event.preventDefault();
      return;
    }
    if (!inText && keyOf(event) === 'c' && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (!event.repeat && store.state.compare.mode === 'off') actions.setCompare({ mode: 'hold' });
      return;
    }
    // A stroke is not undone from under the hand.
    if (pointers.busy() && event.key !== 'Escape') return event.preventDefault();
    if (arrow(event)) return event.preventDefault();
    const shortcut = find(event, inText);
    if (!shortcut) return;
    if (event.repeat && !['undo', 'redo', 'brushSize', 'brushSoftness', 'browse', 'zoomStep'].includes(shortcut.run)) return event.preventDefault();
    const taken = special[shortcut.run] ? special[shortcut.run]() : run(shortcut.run, shortcut.args ?? []);
    if (taken) event.preventDefault();
  });

  /** @param {string} name @param {any[]} args */
  function run(name, args) {
    /** @type {any} */ (actions)[name](...args);
    return true;
  }

  function release() {
    held.space = false;
    if (store.state.compare.mode === 'hold') actions.setCompare({ mode: 'off' });
  }

  addEventListener('keyup', (event) => {
    if (event.key === ' ') held.space = false;
    if (keyOf(event) === 'c' && store.state.compare.mode === 'hold') actions.setCompare({ mode: 'off' });
  });
  addEventListener('blur', release);
}
