/**
 * Extending an image past its edges: one button for each side.
 *
 * Invariant: each button is one request; the server decides what the new part looks like, and no known pixel changes.
 */

import { t } from '../i18n/index.js';
import { html } from '../vendor/lit-html/lit-html.js';
import { icon } from './parts.js';

/** @type {{side: import('../model/types.js').Side, picture: string}[]} */
const SIDES = [
  { side: 'left', picture: 'arrow-left' },
  { side: 'right', picture: 'arrow-right' },
  { side: 'top', picture: 'arrow-up' },
  { side: 'bottom', picture: 'arrow-down' },
  { side: 'all', picture: 'extend' },
];

/** @param {import('./parts.js').Context} context */
export function drawExtend({ actions }) {
  return html`<h3>${t('extend.title')}</h3>
    <div class="row wrap">${SIDES.map(({ side, picture }) => html`<button type="button" class="button outline small" @click=${() => {
      actions.openDialog('none');
      void actions.extend(side);
    }}>${icon(picture, 'small')}<span>${t(`extend.${side}`)}</span></button>`)}</div>`;
}
