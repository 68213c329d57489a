/**
 * Asks for the API key of a server that wants one.
 *
 * Invariant: the key is not in the state and not in the page once it was sent off.
 */

import { t } from '../i18n/index.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';

/** @type {import('./dialogs.js').DrawDialog} */
export function drawKey({ actions }, { key }) {
  return html`<form @submit=${submit}>
    <p class="muted">${t('apikey.why')}</p>
    <div class="field">
      <label for="key">${t('apikey.label')}</label>
      <input class="input" id="key" name="key" type="password" autocomplete="current-password" spellcheck="false" autofocus required placeholder="kd_…"
        aria-invalid=${key.wrong ? 'true' : nothing} aria-describedby=${key.wrong ? 'key-error' : nothing}>
      ${key.wrong ? html`<p class="error" id="key-error" role="alert">${t('apikey.wrong')}</p>` : nothing}
    </div>
    <label class="switch"><span>${t('apikey.remember')}</span><input type="checkbox" name="remember" role="switch"></label>
    <footer>
      ${key.present ? html`<button type="button" class="button danger" @click=${() => void actions.setKey('', false)}>${t('apikey.forget')}</button>` : nothing}
      <button class="button primary">${t('apikey.use')}</button>
    </footer>
  </form>`;

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const data = new FormData(form);
    form.reset();
    void actions.setKey(String(data.get('key')).trim(), data.get('remember') !== null);
  }
}
