/**
 * Files that are dropped on the page or pasted into it.
 *
 * Invariant: a panel that takes a drop itself (the fusion tray) stops the event; text that is pasted into a field stays text.
 */

import { fileOf } from '../actions/transfer.js';

/**
 * @param {{openFile: (file: File, how: 'place') => void, dropFile: (file: File) => void}} actions
 */
export function listenToDrops(actions) {
  const root = document.documentElement;
  let depth = 0;

  /** @param {DragEvent} event */
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
  /** @param {number} value */
  function set(value) {
    depth = Math.max(0, value);
    root.toggleAttribute('data-dropping', depth > 0);
  }

  addEventListener('dragenter', (event) => hasFiles(event) && set(depth + 1));
  addEventListener('dragleave', (event) => hasFiles(event) && set(depth - 1));
  addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault());
  addEventListener('drop', (event) => {
    set(0);
    if (event.defaultPrevented || !hasFiles(event)) return;
    event.preventDefault();
    const file = fileOf(event.dataTransfer);
    if (file) actions.dropFile(file);
  });
  addEventListener('paste', (event) => {
    const file = fileOf(event.clipboardData);
    if (!file || event.defaultPrevented) return;
    event.preventDefault();
    actions.openFile(file, 'place');
  });
}
