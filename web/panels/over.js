/**
 * What lies on the sheet itself: the first words on an empty one, and the candidates' bar at the window's edge.
 *
 * Invariant: it covers no pixel of a candidate as long as there is room beside it, and takes no pointer but on its buttons.
 */

import { language, t } from '../i18n/index.js';
import { examples } from '../model/capabilities.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { PICTURE_TYPE } from './fusion.js';
import { activeJob } from './job.js';
import { icon, iconButton, panel } from './parts.js';

/** Nothing is dropped or pasted by a finger. */
const TOUCH = matchMedia('(pointer: coarse)');

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createOver(root, { store, actions }) {
  panel(root, store, ['document', 'staging', 'capabilities', 'jobs', 'ready', 'settings', 'fusion'], (state) => {
    root.dataset.drop = t('drop.here');
    if (state.staging) return candidates(state.staging);
    const fresh = state.ready && state.document.bounds === null && !activeJob(state) && !state.fusion.open;
    return fresh ? welcome(state) : nothing;
  });

  /** @param {import('./parts.js').State} state */
  function welcome({ capabilities }) {
    return html`<div class="welcome">
      <p>${t('welcome.describe')}</p>
      <p class="muted">${t(TOUCH.matches ? 'welcome.or.touch' : 'welcome.or')} <button type="button" class="link" @click=${() => actions.chooseFile()}>${t('welcome.open')}</button>${t('welcome.end')}</p>
      <ul class="row wrap" aria-label=${t('welcome.examples')}>${examples(capabilities, language()).map((prompt) => html`<li>
        <button type="button" class="chip example" @click=${() => {
          actions.setSettings({ prompt });
          document.getElementById('prompt-text')?.focus();
        }}>${prompt}</button></li>`)}</ul>
    </div>`;
  }

  /** @param {import('../model/types.js').Staging} staging */
  function candidates({ items, at, expected }) {
    const several = Math.max(items.length, expected) > 1;
    return html`<div class="island bar candidates" role="group" aria-label=${t('staging.label')}>
      ${several ? html`
        ${iconButton({ name: 'staging.previous', icon: 'left', key: ',', disabled: items.length < 2, run: () => actions.browse(-1) })}
        <span class="numbers count" aria-live="off">${at + 1} / ${Math.max(items.length, expected)}</span>
        ${iconButton({ name: 'staging.next', icon: 'right', key: '.', disabled: items.length < 2, run: () => actions.browse(1) })}
        <span class="separator"></span>` : nothing}
      ${iconButton({ name: 'staging.discard', icon: 'close', key: 'Esc', run: () => actions.discard() })}
      <button type="button" class="icon-button" aria-label=${t('staging.before')} title="${t('staging.before')} (C)" @pointerdown=${before} @pointerup=${now} @pointercancel=${now} @lostpointercapture=${now}
        @keydown=${(/** @type {KeyboardEvent} */ event) => event.key === ' ' && before()} @keyup=${now} @blur=${now}>${icon('compare')}</button>
      ${iconButton({ name: 'staging.again', icon: 'again', run: () => void actions.again() })}
      <button type="button" class="button primary" title="${t('staging.accept')} (Enter)" ?disabled=${items.length === 0} @click=${() => void actions.accept()}>${icon('check')}<span>${t('staging.accept')}</span></button>
    </div>`;
  }

  /** @param {PointerEvent} [event] */
  function before(event) {
    if (event) /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
    actions.setCompare({ mode: 'hold' });
  }

  function now() {
    if (store.state.compare.mode === 'hold') actions.setCompare({ mode: 'off' });
  }

  // An image of the history can be dragged here.
  const sheet = /** @type {HTMLElement} */ (document.getElementById('sheet'));
  sheet.addEventListener('dragover', (event) => event.dataTransfer?.types.includes(PICTURE_TYPE) && event.preventDefault());
  sheet.addEventListener('drop', (event) => {
    const picture = event.dataTransfer?.getData(PICTURE_TYPE);
    if (!picture) return;
    event.preventDefault();
    void actions.putOnSheet(picture);
  });

  // Where the free part of the page is, for what is placed by the style sheet.
  const free = /** @type {HTMLElement} */ (document.getElementById('free'));
  new ResizeObserver(() => {
    const { left, top, width, height } = free.getBoundingClientRect();
    for (const [name, value] of Object.entries({ x: left, y: top, w: width, h: height })) root.style.setProperty(`--free-${name}`, `${value}px`);
  }).observe(free);
}
