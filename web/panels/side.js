/**
 * History at the right: images made, and the steps of this document.
 *
 * Invariant: one of the two is shown, or none; on a phone it lies over the sheet until closed.
 */

import { t } from '../i18n/index.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { iconButton, moveAlong, panel } from './parts.js';
import { createPictures } from './pictures.js';
import { drawSteps } from './steps.js';

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createSide(root, context) {
  const { store, actions } = context;
  const pictures = createPictures(context, () => draw());
  const draw = panel(root, store, ['ui', 'steps', 'stepAt', 'document', 'pictures', 'jobs', 'capabilities'], (state) => {
    const { side } = state.ui;
    if (side === 'none') return nothing;
    /** @param {'pictures'|'steps'} name */
    const tab = (name) => html`<button type="button" class="chip" role="tab" id="tab-${name}" aria-selected=${String(side === name)} aria-controls="side-panel"
      tabindex=${side === name ? 0 : -1} @click=${() => actions.setUi({ side: name })}>${t(`side.${name}`)}</button>`;
    return html`<section class="island side" aria-label=${t('top.history')} @keydown=${closeOnEscape}>
      <header class="row spread">
        <div class="segments" role="tablist" aria-label=${t('top.history')} @keydown=${moveAlong}>${tab('pictures')}${tab('steps')}</div>
        ${iconButton({ name: 'close', icon: 'close', run: () => actions.setUi({ side: 'none' }) })}
      </header>
      <div class="side-body" role="tabpanel" id="side-panel" aria-labelledby="tab-${side}" tabindex="-1">
        ${side === 'steps' ? drawSteps(context, state) : pictures(state)}
      </div>
    </section>`;
  });

  /** @param {KeyboardEvent} event */
  function closeOnEscape(event) {
    if (event.key !== 'Escape' || /** @type {Element} */ (event.target).closest('[popover]')) return;
    event.stopPropagation();
    const button = document.getElementById('steps-button');
    actions.setUi({ side: 'none' });
    button?.focus();
  }
}
