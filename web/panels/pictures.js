/**
 * Images made so far: jobs on top, then a grid that can be searched, and a card for each with what can be done with it.
 *
 * Invariant: an image is named by its prompt for those who cannot see it; deleting asks once.
 */

import { t } from '../i18n/index.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { createRef, ref } from '../vendor/lit-html/directives/ref.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { PICTURE_TYPE } from './fusion.js';
import { isActive, jobSentence } from './job.js';
import { openMenu } from './menu.js';
import { addressOf, icon, iconButton, ring } from './parts.js';
import { drawPictureCard } from './picture-card.js';

/** Shown at once; more on request, so that a thousand images do not slow the page. */
const PAGE = 60;

/**
 * @param {import('./parts.js').Context} context
 * @param {() => void} redraw
 */
export function createPictures({ actions }, redraw) {
  let search = '';
  let starred = false;
  let shown = PAGE;
  /** @type {string|null} */
  let chosen = null;
  /** @type {import('../vendor/lit-html/directives/ref.js').Ref<HTMLElement>} */
  const card = createRef();

  /** @param {import('./parts.js').State} state */
  return (state) => {
    const jobs = state.jobs.filter(isActive);
    const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const found = state.pictures.filter((picture) => (!starred || picture.starred) && words.every((word) => picture.prompt.toLocaleLowerCase().includes(word)));
    return html`
      ${jobs.length ? html`<ul class="list jobs" aria-label=${t('pictures.jobs')}>${repeat(jobs, (job) => job.key, drawJob)}</ul>` : nothing}
      ${state.pictures.length ? html`<div class="row search">
        <div class="search-field">${icon('search', 'small')}<input class="input" type="search" aria-label=${t('pictures.search')} placeholder=${t('pictures.search')} .value=${live(search)}
          @input=${(/** @type {Event} */ event) => {
            search = /** @type {HTMLInputElement} */ (event.target).value;
            shown = PAGE;
            redraw();
          }}></div>
        ${iconButton({ name: 'pictures.starred', icon: 'star', pressed: starred, filled: starred, run: () => {
          starred = !starred;
          redraw();
        } })}
      </div>` : nothing}
      ${found.length ? html`<ul class="grid">${repeat(found.slice(0, shown), (picture) => picture.id, (picture) => html`<li class="tile">
        <button type="button" class="tile-button" draggable="true" aria-label=${picture.prompt || t(`mode.${picture.mode}`)} aria-haspopup="dialog"
          @click=${(/** @type {Event} */ event) => open(picture.id, /** @type {Element} */ (event.currentTarget))}
          @dragstart=${(/** @type {DragEvent} */ event) => event.dataTransfer?.setData(PICTURE_TYPE, picture.id)}>
          ${picture.thumbnail ? html`<img src=${addressOf(picture.thumbnail)} alt="" loading="lazy" draggable="false">` : icon('image')}
        </button>
        ${picture.starred ? html`<span class="tile-star">${icon('star', 'small filled')}</span>` : nothing}
      </li>`)}</ul>
      ${found.length > shown ? html`<button type="button" class="button small outline wide" @click=${() => {
        shown += PAGE;
        redraw();
      }}>${t('pictures.more')}</button>` : nothing}`
        : html`<p class="muted empty">${t(state.pictures.length ? 'pictures.none' : 'pictures.empty')}</p>`}
      <div class="menu picture-card" popover role="dialog" aria-label=${t('pictures.card')} ${ref(card)}>
        ${drawPictureCard(state.pictures.find((picture) => picture.id === chosen), actions, state)}
      </div>`;
  };

  /** @param {string} id @param {Element} anchor */
  function open(id, anchor) {
    chosen = id;
    redraw();
    if (card.value) openMenu(card.value, anchor);
  }

  /** @param {import('../model/types.js').Job} job */
  function drawJob(job) {
    const share = job.status === 'running' ? job.percent / 100 : null;
    return html`<li class="job">
      <span class="job-picture">${job.preview ? html`<img src=${addressOf(job.preview)} alt="">` : ring(share)}</span>
      <span class="job-text"><span class="line-text">${job.prompt || t(`mode.${job.mode}`)}</span><span class="muted small-text numbers">${jobSentence(job)}</span></span>
      <button type="button" class="icon-button small" aria-label="${t('prompt.stop')}: ${job.prompt || t(`mode.${job.mode}`)}" title=${t('prompt.stop')} @click=${() => void actions.cancel(job.key)}>${icon('stop', 'small')}</button>
    </li>`;
  }
}
