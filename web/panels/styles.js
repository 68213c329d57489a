/**
 * Styles: words that the server adds to the prompt, chosen by what they look like.
 *
 * Invariant: names and pictures come from the server; the page knows none of them.
 */

import { language, t } from '../i18n/index.js';
import { html } from '../vendor/lit-html/lit-html.js';
import { icon, moveAlong } from './parts.js';

const ROOT = new URL('../../', import.meta.url).href;

/** @param {import('./parts.js').State} state @param {string} name */
export function styleTitle({ styles }, name) {
  return styles.find((style) => style.name === name)?.title[language()] ?? name;
}

/** @param {import('./parts.js').Context} context @param {import('./parts.js').State} state */
export function drawStyles({ actions }, state) {
  const chosen = state.settings.style;
  /** @param {string|null} name */
  const choose = (name) => () => actions.setSettings({ style: name });
  /** @type {{name: string|null, title: string, thumbnail?: string}[]} */
  const all = [{ name: null, title: t('styles.none') }, ...state.styles.map((style) => ({ ...style, title: style.title[language()] }))];
  return html`<h3>${t('styles.title')}</h3>
    <div class="styles" role="radiogroup" aria-label=${t('styles.title')} @keydown=${moveAlong}>
      ${all.map(({ name, title, thumbnail }) => html`<button type="button" class="style" role="radio" aria-checked=${String(name === chosen)} tabindex=${name === chosen ? 0 : -1} @click=${choose(name)}>
        <span class="style-picture" data-style=${name ?? 'none'}>${thumbnail
          ? html`<img src=${new URL(thumbnail.replace(/^\/+/, ''), ROOT).href} alt="" loading="lazy" width="96" height="96">`
          : name === null ? icon('close') : html`<span aria-hidden="true">${title.slice(0, 1)}</span>`}</span>
        <span>${title}</span></button>`)}
    </div>`;
}
