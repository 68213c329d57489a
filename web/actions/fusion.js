/**
 * The tray of images and texts that are mixed.
 *
 * Invariant: 2 to 8 cards make a fusion; weights are shares of one that the person sets and that a new card does not upset.
 */

import { FUSION } from '../model/request.js';
import { cutOut } from '../model/holes.js';
import { withoutAlpha } from '../model/png.js';
import { thumbnail } from '../sheet/images.js';
import { makeId } from './context.js';

/** @typedef {import('../model/types.js').FusionCard} FusionCard */

/**
 * @param {import('./context.js').Context} context
 * @returns {import('./types.js').FusionActions}
 */
export function createFusion(context) {
  const { store, doc, db, encode } = context;

  /** @param {import('../model/types.js').State['fusion']} fusion */
  function set(fusion) {
    store.set({ fusion });
    context.autosave.schedule();
  }

  /** @param {Omit<FusionCard, 'id'|'weight'>} card */
  function add(card) {
    const { cards } = store.state.fusion;
    if (cards.length >= FUSION.most) return context.actions.notify({ kind: 'warning', key: 'notice.fusion_full', params: { most: FUSION.most } });
    const id = makeId();
    const all = [...cards, { ...card, id, weight: 0 }];
    if (card.blob) void db.putBlob(id, card.blob).catch((error) => context.inner.storeFailed(error));
    // Equal shares, in whole percents that add up to one.
    const equal = cards.every(({ weight }) => Math.abs(weight - cards[0].weight) < 0.02);
    const share = Math.floor(100 / all.length) / 100;
    const first = Math.round((1 - share * (all.length - 1)) * 100) / 100;
    const shared = all.map((one, i) => ({ ...one, weight: i === 0 ? first : share }));
    const kept = all.map((one) => ({ ...one, weight: one.weight || share }));
    set({ open: true, cards: equal ? shared : kept });
  }

  return {
    openFusion: (open) => set({ ...store.state.fusion, open }),
    async addPictureToFusion(id) {
      const picture = store.state.pictures.find((one) => one.id === id);
      if (picture) add({ kind: 'image', text: '', pictureId: id, blob: await context.inner.pictureFile(id), name: picture.prompt });
    },
    async addFileToFusion(file) {
      try {
        await thumbnail(file, 16);
        // The model looks at a small square: a photo need not be sent whole.
        add({ kind: 'image', text: '', pictureId: null, blob: file.size > 1_000_000 ? await thumbnail(file, 1024) : file, name: file.name ?? '' });
      } catch {
        context.actions.notify({ kind: 'error', key: 'notice.not_an_image', params: { name: file.name ?? '' } });
      }
    },
    async addWindowToFusion() {
      const { window } = doc;
      const { rgba } = cutOut(doc.pixels, window);
      const blob = await encode(withoutAlpha(rgba), window.w, window.h, 3);
      add({ kind: 'image', text: '', pictureId: null, blob, name: `${window.w} × ${window.h}` });
    },
    addTextToFusion: () => add({ kind: 'text', text: '', pictureId: null, blob: null, name: '' }),
    changeCard(id, change) {
      const { fusion } = store.state;
      set({ ...fusion, cards: fusion.cards.map((card) => (card.id === id ? { ...card, ...change } : card)) });
    },
    removeCard(id) {
      const { fusion } = store.state;
      set({ ...fusion, cards: fusion.cards.filter((card) => card.id !== id) });
    },
  };
}
