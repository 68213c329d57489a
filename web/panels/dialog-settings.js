/**
 * Choices about the editor itself: language, colours, the wheel, the key.
 *
 * Invariant: everything takes effect at once and is remembered; there is nothing to apply.
 */

import { chooseLanguage, language, t } from '../i18n/index.js';
import { html } from '../vendor/lit-html/lit-html.js';
import { icon, segments } from './parts.js';

/** @type {import('./dialogs.js').DrawDialog} */
export function drawSettings({ actions }, { ui, key, capabilities }) {
  return html`
    ${group('settings.language', segments({
      label: t('settings.language'), value: language(), classes: 'stretch',
      choices: [{ value: 'en', label: 'English' }, { value: 'ru', label: 'Русский' }],
      set: (chosen) => {
        void chooseLanguage(chosen);
        actions.setUi({ language: chosen });
      },
    }))}
    ${group('settings.theme', segments({
      label: t('settings.theme'), value: ui.theme, classes: 'stretch',
      choices: [{ value: 'auto', label: t('theme.auto') }, { value: 'light', label: t('theme.light') }, { value: 'dark', label: t('theme.dark') }],
      set: (theme) => actions.setUi({ theme }),
    }))}
    ${group('settings.wheel', segments({
      label: t('settings.wheel'), value: ui.wheel, classes: 'stretch',
      choices: [{ value: 'auto', label: t('wheel.auto') }, { value: 'mouse', label: t('wheel.mouse') }, { value: 'trackpad', label: t('wheel.trackpad') }],
      set: (wheel) => actions.setUi({ wheel }),
    }))}
    <p class="muted small-text">${t('settings.wheel.hint')}</p>
    <label class="switch"><span>${t('settings.smooth')}</span><input type="checkbox" role="switch" .checked=${ui.smooth}
      @change=${(/** @type {Event} */ event) => actions.setUi({ smooth: /** @type {HTMLInputElement} */ (event.target).checked })}></label>
    <div class="row spread"><span>${t('apikey.label')}</span>
      <button type="button" class="button small outline" @click=${() => actions.openDialog('key')}>${icon('key', 'small')}<span>${t(key.present ? 'apikey.change' : 'apikey.enter')}</span></button></div>
    <p class="muted small-text">${t('settings.model', { model: capabilities?.model ?? '…' })}</p>`;
}

/** @param {string} name @param {unknown} content */
const group = (name, content) => html`<div class="field"><span class="label">${t(name)}</span>${content}</div>`;
