/**
 * Styles: words that the server adds to the prompt, chosen by what they look like.
 *
 * Invariant: names and pictures come from the server; the page knows none of them.
 */

import { language, t } from '../i18n/index.js';
import { html, svg } from '../vendor/lit-html/lit-html.js';
import { addressOf, icon, moveAlong } from './parts.js';

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
        <span class="style-picture">${name === null ? icon('close') : picture(state, name, thumbnail)}</span>
        <span>${title}</span></button>`)}
    </div>`;
}

/**
 * What a style looks like: as the server shows it, or the newest image made with it here, or three forms until there is one.
 * @param {import('./parts.js').State} state
 * @param {string} name
 * @param {string|undefined} thumbnail
 */
function picture({ pictures }, name, thumbnail) {
  if (thumbnail) return html`<img src=${new URL(thumbnail.replace(/^\/+/, ''), ROOT).href} alt="" loading="lazy" width="96" height="96">`;
  const own = pictures.find((one) => one.fields.style === name && one.thumbnail)?.thumbnail;
  return own ? html`<img src=${addressOf(own)} alt="" loading="lazy">` : forms(name);
}

/** A composition of a circle, a triangle and a bar, always the same for a name. @param {string} name */
function forms(name) {
  let seed = [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 233280, 7);
  const next = (/** @type {number} */ from, /** @type {number} */ to) => {
    seed = (seed * 9301 + 49297) % 233280;
    return Math.round(from + (seed / 233280) * (to - from));
  };
  const [x, y] = [next(16, 48), next(44, 58)];
  const colours = ['abc', 'bca', 'cab', 'acb', 'cba', 'bac'][next(0, 5)];
  return svg`<svg class="forms" viewBox="0 0 64 64" aria-hidden="true">
    <circle class="form-${colours[0]}" cx=${next(18, 46)} cy=${next(18, 34)} r=${next(9, 15)}></circle>
    <path class="form-${colours[1]}" d=${`M${x - 13} ${y}h${next(22, 30)}L${x + next(-6, 8)} ${y - next(22, 34)}z`}></path>
    <rect class="form-${colours[2]}" x=${next(6, 40)} y=${next(10, 50)} width=${next(14, 26)} height=${next(3, 9)} transform=${`rotate(${next(-50, 50)} 32 32)`}></rect>
  </svg>`;
}
