/**
 * Documents that were saved in this browser.
 *
 * Invariant: deleting asks once, and never takes the open one.
 */

import { moment, t } from '../i18n/index.js';
import { html } from '../vendor/lit-html/lit-html.js';
import { addressOf, icon } from './parts.js';

/** @typedef {Awaited<ReturnType<import('./parts.js').Actions['listDocuments']>>} Documents */

/** @type {Documents|null} what was found when the dialog was opened */
let found = null;
let asked = '';
let loading = false;

/** @type {import('./dialogs.js').DrawDialog} */
export function drawDocuments({ actions }, state, redraw) {
  if (!loading && found === null) void load();
  if (found === null) return html`<p class="muted">${t('documents.loading')}</p>`;
  if (found.length === 0) return html`<p class="muted">${t('documents.empty')}</p>`;
  return html`<ul class="documents">${found.map((one) => html`<li class="document">
    <button type="button" class="document-open" aria-current=${one.id === state.document.id ? 'true' : 'false'} @click=${() => {
      done();
      actions.openDialog('none');
      void actions.openDocument(one.id);
    }}>
      <span class="document-picture">${one.thumbnail ? html`<img src=${addressOf(one.thumbnail)} alt="">` : icon('image')}</span>
      <span class="document-text"><span class="line-text">${one.name || t('documents.untitled')}</span><span class="muted small-text">${moment(one.savedAt)}</span></span>
    </button>
    <button type="button" class="button small danger" aria-label="${t(asked === one.id ? 'pictures.delete.sure' : 'pictures.delete')}: ${one.name || t('documents.untitled')}" ?disabled=${one.id === state.document.id} @click=${() => void remove(one.id)}>${icon('trash', 'small')}<span>${t(asked === one.id ? 'pictures.delete.sure' : 'pictures.delete')}</span></button>
  </li>`)}</ul>`;

  async function load() {
    loading = true;
    const list = await actions.listDocuments();
    found = list.sort((a, b) => b.savedAt - a.savedAt);
    loading = false;
    redraw();
    // The next time the dialog opens, the list is another.
    document.querySelector('#dialogs dialog')?.addEventListener('close', done, { once: true });
  }

  function done() {
    found = null;
    asked = '';
  }

  /** @param {string} id */
  async function remove(id) {
    if (asked !== id) {
      asked = id;
      return redraw();
    }
    asked = '';
    await actions.deleteDocument(id);
    await load();
  }
}
