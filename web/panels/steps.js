/**
 * The steps of this document, and its patches: what was done, what lies on what.
 *
 * Invariant: a click on a step goes there and loses nothing; the steps after it stay until something else is done.
 */

import { t } from '../i18n/index.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { icon, iconButton } from './parts.js';

/** What a step looks like; most are of the tool that did it. @type {Record<string, string>} */
const ICONS_OF = {
  'step.new': 'new',
  'step.eraser': 'eraser',
  'step.erased_window': 'eraser',
  'step.restore': 'restore',
  'step.restored_all': 'restore',
  'step.rectangle': 'rectangle',
  'step.window': 'window',
  'step.ratio': 'ratio',
  'step.accepted': 'check',
  'step.removed': 'trash',
  'step.hidden': 'eye-off',
  'step.shown': 'eye',
  'step.mask': 'mask',
};

/** @param {import('./parts.js').Context} context @param {import('./parts.js').State} state */
export function drawSteps({ actions }, state) {
  const { steps, stepAt, document } = state;
  return html`
    ${document.patches.length ? html`<h3>${t('steps.layers')}</h3>
      <ul class="list">${repeat([...document.patches].reverse(), (patch) => patch.id, (patch) => html`<li class="line ${patch.visible ? '' : 'off'}">
        ${iconButton({ name: patch.visible ? 'steps.hide' : 'steps.show', icon: patch.visible ? 'eye' : 'eye-off', small: true, pressed: patch.visible, run: () => void actions.showPatch(patch.id, !patch.visible) })}
        <span class="line-text" dir="auto" title=${patch.name}>${patch.name || t('steps.image')}</span>
        <span class="muted small-text numbers">${patch.rect.w} × ${patch.rect.h}</span>
        ${iconButton({ name: 'steps.remove', icon: 'trash', small: true, run: () => void actions.removePatch(patch.id) })}
      </li>`)}</ul>` : nothing}
    <h3>${t('steps.title')}</h3>
    ${steps.length ? html`<ol class="list">${repeat(steps.map((step, at) => ({ step, at })).reverse(), ({ step }) => step.id, ({ step, at }) => html`<li>
      <button type="button" class="button step ${at > stepAt ? 'undone' : ''}" aria-current=${at === stepAt ? 'step' : nothing} @click=${() => actions.goTo(at)}>
        ${icon(ICONS_OF[step.key] ?? 'image', 'small')}<span>${t(step.key, step.params)}</span></button></li>`)}</ol>`
      : html`<p class="muted empty">${t('steps.empty')}</p>`}`;
}
