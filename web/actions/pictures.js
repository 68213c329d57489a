/**
 * Images that were made: put on the sheet, used again, kept, given away.
 *
 * Invariant: an image's file is taken from this browser if it is there, from the server otherwise; its settings are those it was
 * made with, so that Generate gives it again.
 */

import { fields as fieldsOf, randomSeed } from '../model/request.js';
import { decodeWhole } from '../sheet/images.js';
import { NoClipboard, copyImage, copyText, download, fileName } from './transfer.js';
import { makeId } from './context.js';
import { DEFAULTS } from '../model/settings.js';

/** @typedef {import('../model/types.js').HistoryImage} HistoryImage */

/** @param {import('./context.js').Context} context */
export function createPictures(context) {
  const { store, doc, db, client, inner } = context;

  /** @param {string} id */
  const find = (id) => store.state.pictures.find((picture) => picture.id === id);

  /** @param {string} id @param {(picture: HistoryImage) => Promise<void>|void} act */
  async function withPicture(id, act) {
    const picture = find(id);
    if (!picture) return;
    try {
      await act(picture);
    } catch (error) {
      console.error(error);
      const key = error instanceof NoClipboard || /** @type {any} */ (error)?.name === 'NotAllowedError' ? 'notice.no_clipboard' : 'notice.image_gone';
      context.actions.notify({ kind: 'error', key, params: {}, detail: error instanceof NoClipboard ? undefined : String(error) });
    }
  }

  /** @param {HistoryImage} picture */
  async function change(picture) {
    store.set({ pictures: store.state.pictures.map((one) => (one.id === picture.id ? picture : one)) });
    await db.putPicture(picture).catch((error) => inner.storeFailed(error));
  }

  /** @param {string} id */
  async function pictureFile(id) {
    const kept = await db.getBlob(`picture/${id}`);
    if (kept) return kept;
    const [job, index] = id.split('/');
    return client.image(job, Number(index));
  }

  /** @param {Record<string, any>} p  as the server resolved or was sent them @param {'all'|'prompt'|'seed'} what */
  function useParameters(p, what) {
    const prompt = { prompt: p.prompt ?? '', negativePrompt: p.negative_prompt ?? '' };
    const seed = { seed: p.seed ?? null, seedLocked: p.seed !== undefined && p.seed !== null };
    if (what === 'prompt') return context.actions.setSettings(prompt);
    if (what === 'seed') return context.actions.setSettings(seed);
    const prior = { kind: p.prior?.kind ?? null, steps: p.prior?.steps ?? null, guidance: p.prior?.guidance_scale ?? null };
    context.actions.setSettings({
      ...DEFAULTS, ...prompt, ...seed, prior, n: 1, style: p.style ?? null, steps: p.steps ?? null, guidance: p.guidance_scale ?? null,
      scheduler: p.scheduler ?? null, acceleration: p.acceleration ?? null, strength: p.strength ?? DEFAULTS.strength, feather: p.feather ?? 0, matchColors: p.match_colors ?? null,
      format: p.output_format ?? DEFAULTS.format,
    });
  }

  return {
    pictureFile,
    useParameters,
    actions: /** @type {import('./types.js').PictureActions} */ ({
      putOnSheet: (id) => withPicture(id, async (picture) => {
        inner.settle();
        const blob = await pictureFile(id);
        const image = await decodeWhole(blob);
        const blobId = makeId();
        await db.putBlob(blobId, blob).catch((error) => inner.storeFailed(error));
        const { x, y } = doc.window;
        const rect = { x, y, w: image.w, h: image.h };
        const patch = { id: makeId(), rect, blobId, mask: null, name: picture.prompt, visible: true, jobId: picture.jobId, index: picture.index };
        doc.place(patch, image.rgba, image.mask, { key: 'step.placed', params: { name: picture.prompt }, window: rect, ratio: ratioOf(rect) });
        context.actions.fit('sheet');
      }),
      vary: (id) => withPicture(id, async (picture) => {
        inner.settle();
        const { settings } = store.state;
        const rect = { x: doc.window.x, y: doc.window.y, w: picture.width, h: picture.height };
        const seed = settings.seedLocked && settings.seed !== null ? settings.seed : randomSeed();
        const files = { image: await pictureFile(id) };
        const target = { documentId: doc.id, rect, mask: null, window: rect };
        await context.jobs.submit({ mode: 'image-variations', prompt: picture.prompt, fields: fieldsOf('image-variations', { settings, size: rect, seed }), files, target, staged: true });
      }),
      reuse(id, what) {
        const picture = find(id);
        if (!picture) return;
        // Words as they were sent: the resolved ones have the style's in them.
        const { fields, parameters } = picture;
        const own = { ...parameters, ...fields, prompt: fields.prompt ?? picture.prompt, negative_prompt: fields.negative_prompt, seed: picture.seed };
        useParameters(own, what);
        context.actions.notify({ kind: 'info', key: `notice.reused_${what}`, params: {} });
      },
      copyPicture: (id) => withPicture(id, async () => {
        await copyImage(pictureFile(id));
        context.actions.notify({ kind: 'success', key: 'notice.copied', params: {} });
      }),
      savePicture: (id) => withPicture(id, async (picture) => download(await pictureFile(id), fileName(picture.prompt, picture.mediaType, picture.seed))),
      copyCurl: (id) => withPicture(id, async (picture) => {
        const { curl } = await import('../model/curl.js');
        await copyText(curl(client.url(`v1/${picture.mode}`), picture.mode, { ...picture.fields, seed: picture.seed, n: 1 }, Boolean(context.keys.get())));
        context.actions.notify({ kind: 'success', key: 'notice.copied_curl', params: {} });
      }),
      star: (id, starred) => withPicture(id, (picture) => change({ ...picture, starred })),
      deletePicture: (id) => withPicture(id, async (picture) => {
        store.set({ pictures: store.state.pictures.filter((one) => one.id !== id) });
        await db.deletePicture(id);
        await db.deleteBlob(`picture/${id}`);
        // The server's copy goes with the last image of its job.
        if (!store.state.pictures.some(({ jobId }) => jobId === picture.jobId)) await client.remove(picture.jobId).catch(() => {});
      }),
    }),
  };

  /** @param {{w: number, h: number}} size */
  function ratioOf({ w, h }) {
    return store.state.capabilities?.sizes.aspect_ratios.find((entry) => entry.width === w && entry.height === h)?.name ?? 'free';
  }
}
