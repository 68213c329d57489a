/**
 * The one dialog that may be open.
 *
 * Invariant: it is a modal `<dialog>` of the browser: focus stays inside, Escape closes it, and focus returns to where it was.
 */

import { t } from '../i18n/index.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { drawDocuments } from './dialog-documents.js';
import { drawKey } from './dialog-key.js';
import { drawNew, drawSave } from './dialog-save.js';
import { iconButton, panel } from './parts.js';

/** @typedef {(context: import('./parts.js').Context, state: import('./parts.js').State, redraw: () => void) => unknown} DrawDialog */

/** Those that are not needed at first, or without a server, are fetched when they are opened. @type {Record<string, {draw?: DrawDialog, load?: () => Promise<DrawDialog>, wide?: boolean}>} */
const DIALOGS = {
  save: { draw: drawSave },
  new: { draw: drawNew },
  key: { draw: drawKey },
  settings: { load: async () => (await import('./dialog-settings.js')).drawSettings },
  shortcuts: { load: async () => (await import('./dialog-shortcuts.js')).drawShortcuts, wide: true },
  documents: { draw: drawDocuments, wide: true },
};

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createDialogs(root, context) {
  const { store, actions } = context;
  const draw = panel(root, store, ['ui', 'key', 'document', 'capabilities', 'settings', 'window'], (state) => {
    const name = state.ui.dialog;
    const dialog = DIALOGS[name];
    // Shown once it is in the page: a dialog that is opened by an attribute is not modal.
    queueMicrotask(() => show(name));
    if (dialog && !dialog.draw) void load(dialog);
    if (!dialog?.draw) return nothing;
    return html`<dialog class="dialog ${dialog.wide ? 'wide' : ''}" data-name=${name} aria-labelledby="dialog-title" @close=${closed} @click=${outside}>
      <header><h2 id="dialog-title">${t(`dialog.${name}`)}</h2>${iconButton({ name: 'close', icon: 'close', run: () => actions.openDialog('none') })}</header>
      <div class="body" tabindex=${name === 'shortcuts' ? 0 : nothing}>${dialog.draw(context, state, () => draw())}</div>
    </dialog>`;
  });

  /** @param {typeof DIALOGS[string]} dialog */
  async function load(dialog) {
    try {
      dialog.draw = await dialog.load?.();
      draw();
    } catch {
      actions.openDialog('none');
      actions.notify({ kind: 'error', key: 'problem.network', params: {} });
    }
  }

  /** @param {string} name */
  function show(name) {
    const dialog = root.querySelector('dialog');
    if (dialog && dialog.dataset.name === name && !dialog.open) {
      dialog.showModal();
      /** @type {HTMLElement|null} */ (dialog.querySelector('[autofocus]'))?.focus();
    }
  }

  /** @param {Event} event */
  function closed(event) {
    const name = /** @type {HTMLElement} */ (event.currentTarget).dataset.name;
    if (store.state.ui.dialog === name) actions.openDialog('none');
  }

  /** A click on the veil around it. @param {Event} event */
  function outside(event) {
    if (event.target === event.currentTarget) actions.openDialog('none');
  }
}
