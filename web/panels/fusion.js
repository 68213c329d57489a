/**
 * The fusion tray: two to eight images and texts, each with its weight, that become one new image.
 *
 * Invariant: shown shares add up to 100 %, since the server scales the weights to a sum of one.
 */

import { number, t } from '../i18n/index.js';
import { FUSION } from '../model/request.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { createRef, ref } from '../vendor/lit-html/directives/ref.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { addressOf, icon, iconButton, panel, slider } from './parts.js';

/** Type of a dragged image of the history. */
export const PICTURE_TYPE = 'application/x-kandinsky-picture';

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createFusion(root, { store, actions }) {
  /** @type {import('../vendor/lit-html/directives/ref.js').Ref<HTMLInputElement>} */
  const file = createRef();

  panel(root, store, ['fusion', 'pictures', 'document'], (state) => {
    const { open, cards } = state.fusion;
    if (!open) return nothing;
    const sum = cards.reduce((all, card) => all + card.weight, 0);
    const full = cards.length >= FUSION.most;
    return html`<section class="island fusion" aria-label=${t('fusion.title')} @dragover=${dragOver} @drop=${(/** @type {DragEvent} */ event) => void takeDrop(event, actions)}>
      <header class="row spread">
        <h2>${t('fusion.title')}</h2>
        <span class="muted small-text">${t('fusion.count', { n: cards.length, most: FUSION.most })}</span>
        <span class="grow"></span>
        ${iconButton({ name: 'close', icon: 'close', small: true, run: () => actions.openFusion(false) })}
      </header>
      <ul class="cards">
        ${repeat(cards, (card) => card.id, (card, at) => drawCard(state, card, at, sum))}
        ${full ? nothing : html`<li class="card add">
          <button type="button" class="button small" @click=${() => file.value?.click()}>${icon('image-plus', 'small')}<span>${t('fusion.add_image')}</span></button>
          <button type="button" class="button small" @click=${() => actions.addTextToFusion()}>${icon('text', 'small')}<span>${t('fusion.add_text')}</span></button>
          <button type="button" class="button small" ?disabled=${state.document.bounds === null} @click=${() => void actions.addWindowToFusion()}>${icon('window', 'small')}<span>${t('fusion.add_window')}</span></button>
        </li>`}
        ${cards.length ? nothing : html`<li class="muted small-text hint">${t('prompt.fusion.hint')}</li>`}
      </ul>
      <input type="file" class="unseen" tabindex="-1" accept="image/*" multiple aria-label=${t('fusion.add_image')} ${ref(file)} @change=${chosen}>
    </section>`;
  });

  /**
   * @param {import('./parts.js').State} state
   * @param {import('../model/types.js').FusionCard} card
   * @param {number} at
   * @param {number} sum
   */
  function drawCard(state, card, at, sum) {
    const share = sum > 0 ? card.weight / sum : 0;
    const name = t('fusion.card', { at: at + 1 });
    const blob = card.blob ?? state.pictures.find((picture) => picture.id === card.pictureId)?.thumbnail ?? null;
    return html`<li class="card" data-kind=${card.kind}>
      ${card.kind === 'text'
        ? html`<textarea class="card-text" dir="auto" aria-label="${name}: ${t('fusion.text')}" placeholder=${t('fusion.text.placeholder')} .value=${live(card.text)}
            @input=${(/** @type {Event} */ event) => actions.changeCard(card.id, { text: /** @type {HTMLTextAreaElement} */ (event.target).value })}></textarea>`
        : html`<div class="card-picture">${blob ? html`<img src=${addressOf(blob)} alt=${card.name || name} draggable="false">` : icon('image')}</div>`}
      <button type="button" class="icon-button small card-remove" aria-label="${t('fusion.remove')}: ${name}" title=${t('fusion.remove')} @click=${() => actions.removeCard(card.id)}>${icon('close', 'small')}</button>
      <div class="card-weight">
        ${slider({ id: `weight-${card.id}`, label: `${name}: ${t('fusion.weight')}`, bare: true, min: 0, max: 1, step: 0.05, value: card.weight, set: (weight) => actions.changeCard(card.id, { weight }) })}
        <output class="numbers" for="weight-${card.id}">${number(share, { style: 'percent', maximumFractionDigits: 0 })}</output>
      </div>
    </li>`;
  }

  /** @param {Event} event */
  async function chosen(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const files = [...(input.files ?? [])];
    input.value = '';
    for (const one of files) await actions.addFileToFusion(one);
  }
}

/** @param {DragEvent} event */
export function dragOver(event) {
  event.preventDefault();
  event.stopPropagation();
}

/**
 * An image of the history, or files, that are dropped on the tray or on its button.
 * @param {DragEvent} event
 * @param {import('./parts.js').Actions} actions
 */
export async function takeDrop(event, actions) {
  event.preventDefault();
  event.stopPropagation();
  const picture = event.dataTransfer?.getData(PICTURE_TYPE);
  const files = [...(event.dataTransfer?.files ?? [])];
  if (picture) return actions.addPictureToFusion(picture);
  for (const one of files) await actions.addFileToFusion(one);
}
