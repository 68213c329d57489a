/**
 * The shape of the window and the number of images, as rows of chips.
 *
 * Invariant: ratios and limits are the server's. On a phone the chips are among what opens under "More", where there is room.
 */

import { t } from '../i18n/index.js';
import { ref } from '../vendor/lit-html/directives/ref.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { icon, segments } from './parts.js';

/** @param {import('./parts.js').Context} context @param {import('./parts.js').State} state */
export function drawRatios({ actions }, { capabilities, ratio }) {
  const known = capabilities?.sizes.aspect_ratios ?? [];
  const sorted = [...known].sort((a, b) => a.width / a.height - b.width / b.height);
  return segments({
    label: t('prompt.ratio'),
    classes: 'ratios',
    value: ratio,
    choices: sorted.map(({ name, width, height }) => ({
      value: name,
      label: html`<span class="ratio" aria-hidden="true" ${ref((element) => shape(element, width / height))}></span><span>${name}</span>`,
      name: `${name}, ${width} × ${height}`,
    })),
    set: (name) => actions.setRatio(name),
  });
}

/** @param {import('./parts.js').Context} context @param {import('./parts.js').State} state */
export function drawCount({ actions }, { settings, capabilities }) {
  const most = Math.min(4, capabilities?.limits.max_pictures ?? 4);
  if (most < 2) return nothing;
  const next = settings.n >= most ? 1 : settings.n + 1;
  return html`<button type="button" class="chip numbers count-chip" title=${t('prompt.count.hint')} aria-label=${t('prompt.count', { n: settings.n })}
    @click=${() => actions.setSettings({ n: next })}>${icon('pictures', 'small')}<span>×${settings.n}</span></button>`;
}

/** @param {Element|undefined} element @param {number} ratio */
function shape(element, ratio) {
  const style = /** @type {HTMLElement|undefined} */ (element)?.style;
  style?.setProperty('width', `${Math.round(13 * Math.sqrt(ratio))}px`);
  style?.setProperty('height', `${Math.round(13 / Math.sqrt(ratio))}px`);
}
