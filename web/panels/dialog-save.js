/**
 * Saving an image, and starting anew.
 *
 * Invariant: PNG is what is offered first, since it alone gives every pixel back as it is.
 */

import { number, t } from '../i18n/index.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { segments, slider } from './parts.js';

/** Kept while the page is open. @type {{format: string, area: 'sheet'|'window', quality: number}} */
const choice = { format: 'png', area: 'sheet', quality: 0.92 };

/** @type {import('./dialogs.js').DrawDialog} */
export function drawSave({ actions }, { document, window }, redraw) {
  const sheet = document.bounds ?? window;
  const size = choice.area === 'sheet' ? sheet : window;
  return html`<form @submit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    actions.openDialog('none');
    void actions.save({ ...choice });
  }}>
    <div class="field"><span class="label">${t('save.area')}</span>
      ${segments({ label: t('save.area'), value: choice.area, classes: 'stretch', choices: [{ value: 'sheet', label: t('save.sheet') }, { value: 'window', label: t('save.window') }], set: (area) => change({ area }) })}</div>
    <div class="field"><span class="label">${t('save.format')}</span>
      ${segments({ label: t('save.format'), value: choice.format, classes: 'stretch', choices: ['png', 'jpeg', 'webp'].map((format) => ({ value: format, label: format.toUpperCase() })), set: (format) => change({ format }) })}</div>
    ${choice.format === 'png' ? nothing : slider({ id: 'quality', label: t('save.quality'), min: 0.5, max: 1, step: 0.01, value: choice.quality, set: (quality) => change({ quality }) })}
    <p class="muted small-text numbers">${t('save.size', { w: String(size.w), h: String(size.h) })}${choice.format === 'png' ? ` · ${t('save.lossless')}` : choice.format === 'jpeg' ? ` · ${t('save.jpeg')}` : ''}</p>
    <footer><button class="button primary" autofocus>${t('save.save')}</button></footer>
  </form>`;

  /** @param {Partial<typeof choice>} part */
  function change(part) {
    Object.assign(choice, part);
    redraw();
  }
}

/** @type {import('./dialogs.js').DrawDialog} */
export function drawNew({ actions }, { document }) {
  return html`<p>${t(document.bounds ? 'new.kept' : 'new.empty', { n: document.patches.length, count: number(document.patches.length) })}</p>
    <footer>
      <button type="button" class="button" @click=${() => actions.openDialog('none')}>${t('cancel')}</button>
      <button type="button" class="button primary" autofocus @click=${() => {
        actions.openDialog('none');
        actions.newDocument();
      }}>${t('new.start')}</button>
    </footer>`;
}
