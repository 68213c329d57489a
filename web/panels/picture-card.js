/**
 * One image of the history, larger, with what it was made from and everything that can be done with it.
 *
 * Invariant: what is not possible with the loaded model is shown and disabled, not hidden.
 */

import { moment, number, t } from '../i18n/index.js';
import { unavailable } from '../model/capabilities.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { closeMenu } from './menu.js';
import { addressOf, icon, iconButton } from './parts.js';

/**
 * @param {import('../model/types.js').HistoryImage|undefined} picture
 * @param {import('./parts.js').Actions} actions
 * @param {import('./parts.js').State} state
 */
export function drawPictureCard(picture, actions, { capabilities }) {
  if (!picture) return nothing;
  const { id } = picture;
  /** @param {import('../model/types.js').Mode} mode */
  const cannot = (mode) => Boolean(capabilities && unavailable(capabilities, mode));
  /**
   * @param {string} name
   * @param {string} image
   * @param {() => unknown} run
   * @param {boolean} [disabled]
   */
  const entry = (name, image, run, disabled = false) => html`<button type="button" class="button" aria-label=${t(name)} title=${t(name)} ?disabled=${disabled} @click=${(/** @type {Event} */ event) => {
    closeMenu(event);
    run();
  }}>${icon(image, 'small')}<span>${t(name)}</span></button>`;
  return html`
    ${picture.thumbnail ? html`<img class="card-preview" src=${addressOf(picture.thumbnail)} alt=${picture.prompt}>` : nothing}
    <div class="card-about">
      <p class="card-prompt" dir="auto">${picture.prompt || t(`mode.${picture.mode}`)}</p>
      <p class="muted small-text numbers">${picture.width} × ${picture.height} · ${t('pictures.seed', { seed: String(picture.seed) })} · ${moment(picture.createdAt)}${picture.parameters?.steps ? ` · ${t('pictures.steps', { n: picture.parameters.steps, steps: number(picture.parameters.steps) })}` : ''}</p>
    </div>
    ${entry('pictures.put', 'image-plus', () => void actions.putOnSheet(id))}
    ${entry('pictures.vary', 'vary', () => void actions.vary(id), cannot('image-variations'))}
    ${entry('pictures.fuse', 'fusion', () => void actions.addPictureToFusion(id), cannot('image-fusion'))}
    <div class="separator across"></div>
    <div class="reuse"><span class="muted small-text">${t('pictures.reuse')}</span>
      ${/** @type {const} */ (['all', 'prompt', 'seed']).map((what) => html`<button type="button" class="chip" @click=${(/** @type {Event} */ event) => {
        closeMenu(event);
        actions.reuse(id, what);
      }}>${t(`pictures.reuse.${what}`)}</button>`)}</div>
    <div class="separator across"></div>
    <div class="card-files">
      ${entry('pictures.save', 'save', () => void actions.savePicture(id))}
      ${entry('pictures.copy', 'copy', () => void actions.copyPicture(id))}
      ${entry('pictures.curl', 'code', () => void actions.copyCurl(id))}
    </div>
    <div class="separator across"></div>
    <div class="row spread">
      ${iconButton({ name: picture.starred ? 'pictures.unstar' : 'pictures.star', icon: 'star', filled: picture.starred, pressed: picture.starred, run: () => void actions.star(id, !picture.starred) })}
      <button type="button" class="button danger card-delete" @click=${(/** @type {Event} */ event) => remove(event, id)}>${icon('trash', 'small')}<span>${t('pictures.delete')}</span></button>
    </div>`;

  /**
   * The first press asks, the second deletes.
   * @param {Event} event
   * @param {string} pictureId
   */
  function remove(event, pictureId) {
    const button = /** @type {HTMLElement} */ (event.currentTarget);
    if (button.dataset.asked !== pictureId) {
      button.dataset.asked = pictureId;
      const label = button.querySelector('span');
      if (label) label.textContent = t('pictures.delete.sure');
      return;
    }
    delete button.dataset.asked;
    closeMenu(event);
    void actions.deletePicture(pictureId);
  }
}
