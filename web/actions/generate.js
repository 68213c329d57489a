/**
 * From the Generate button to a job, and from jobs to the state.
 *
 * Invariant: what is sent is what the plan said, of the pixels as they were at the click; the place for the result is stored with
 * the job, so that it finds its way back after a reload.
 */

import { sheetSide } from '../model/capabilities.js';
import { cutOut } from '../model/holes.js';
import { withoutAlpha } from '../model/png.js';
import { cropFor, fields as fieldsOf, isFilled, randomSeed } from '../model/request.js';
import { contains, intersect, union } from '../model/rect.js';
import { extension } from '../model/extension.js';
import { encode as runs } from '../model/rle.js';
import { encodeLossy } from '../sheet/images.js';

/** @typedef {import('../model/types.js').Rect} Rect */
/** @typedef {import('../model/types.js').Target} Target */
/** @typedef {import('../model/types.js').Mode} Mode */
/** @typedef {import('../api/client.js').Files} Files */
/** @typedef {{mode: Mode, prompt: string, fields: Record<string, any>, files: Files|null, target: Target}} Request */

/** Of a request, for its mask and fields. */
const SPARE_BYTES = 1_000_000;

/** @param {import('./context.js').Context} context */
export function createGenerate(context) {
  const { store, doc, encode, inner } = context;
  /** The last request of each place, for "again". @type {Map<string, Request>} */
  const sent = new Map();

  /** @param {Rect} rect @param {Uint8Array|null} mask @returns {Target} */
  const target = (rect, mask) => ({ documentId: doc.id, rect, mask: mask && runs(mask), window: doc.window });

  /** @param {Rect} rect */
  async function picture(rect) {
    const { rgba, mask, soft } = cutOut(doc.pixels, rect);
    const png = await encode(withoutAlpha(rgba), rect.w, rect.h, 3);
    const most = (store.state.capabilities?.limits.max_body_bytes ?? Infinity) - SPARE_BYTES;
    // Too large to send: what comes back is drawn in holes alone, so a little loss in what the model sees does no harm.
    const image = png.size <= most ? png : await encodeLossy({ ...rect, rgba }, 'image/jpeg', 0.95);
    return { image, mask, soft };
  }

  /**
   * @param {Mode} mode
   * @param {number} seed
   * @returns {Promise<Request>}
   */
  async function prepare(mode, seed) {
    const { settings, capabilities, fusion } = store.state;
    const { window } = doc;
    const common = { settings, size: window, seed };
    const prompt = settings.prompt.trim();
    if (mode === 'text-to-image') return { mode, prompt, fields: fieldsOf(mode, common), files: null, target: target(window, null) };
    if (mode === 'image-fusion' || mode === 'text-image-fusion') {
      const cards = fusion.cards.filter(isFilled);
      const fields = fieldsOf(mode, { ...common, cards });
      const parts = fields.images ?? fields.inputs;
      await Promise.all(cards.map(async (card, i) => card.kind === 'image' && Object.assign(parts[i], { image: await base64(await cardFile(card)) })));
      const words = cards.filter(({ kind }) => kind === 'text').map(({ text }) => text.trim());
      return { mode, prompt: words.join(' + '), fields, files: null, target: target(window, null) };
    }
    if (mode === 'inpainting') {
      const coverage = inner.coverage();
      const rect = cropFor(window, coverage.hole ?? window, /** @type {import('../model/types.js').Capabilities} */ (capabilities));
      const { image, mask, soft } = await picture(rect);
      const files = { image, mask: await encode(mask, rect.w, rect.h, 1) };
      return { mode, prompt, fields: fieldsOf(mode, { ...common, coverage, soft }), files, target: target(rect, mask) };
    }
    const fields = fieldsOf(mode, common);
    const patch = doc.wholePatch(window);
    // An image of the server's is named, not sent again.
    if (patch?.jobId && Date.now() - (store.state.pictures.find(({ id }) => id === `${patch.jobId}/${patch.index}`)?.createdAt ?? 0) < 3_600_000) {
      return { mode, prompt, fields: { ...fields, image: { job: patch.jobId, index: patch.index } }, files: null, target: target(window, null) };
    }
    return { mode, prompt, fields, files: { image: (await picture(window)).image }, target: target(window, null) };
  }

  /** @param {import('../model/types.js').FusionCard} card */
  const cardFile = (card) => (card.blob ? Promise.resolve(card.blob) : inner.pictureFile(/** @type {string} */ (card.pictureId)));

  /** @param {Request} request */
  async function submit(request) {
    sent.set(JSON.stringify(request.target.rect), request);
    store.set({ fieldErrors: {} });
    const { seed } = request.fields;
    if (!store.state.settings.seedLocked) store.set({ settings: { ...store.state.settings, seed } });
    // The sheet that the job is for has to be found after a reload, also an empty one that has just been begun.
    context.autosave.schedule();
    void context.autosave.flush();
    await context.jobs.submit({ ...request, staged: true });
    context.actions.announce('live.sent');
  }

  /** A request is being made: large ones take a moment, in which a second click is no second request. */
  let making = false;

  /** @param {() => Promise<Request>} make */
  async function attempt(make) {
    if (making) return;
    making = true;
    try {
      const request = await make().finally(() => {
        making = false;
      });
      await submit(request);
    } catch (error) {
      console.error(error);
      context.actions.notify({ kind: 'error', key: 'notice.not_sent', params: {}, detail: String(error) });
    }
  }

  /** The seed of the next request. @param {number} ahead  images that were asked for with it already */
  function nextSeed(ahead) {
    const { seed, seedLocked } = store.state.settings;
    return seedLocked && seed !== null ? seed + ahead : randomSeed();
  }

  /** Jobs that have not ended, for the window as it is. */
  const running = () => store.state.jobs.filter((job) => job.target?.documentId === doc.id && !['failed', 'canceled', 'succeeded'].includes(job.status));

  return /** @type {import('./types.js').GenerateActions & {sendWhole: (job: import('../model/types.js').Job) => Promise<void>}} */ ({
    /** A job named an image that the server has no more: the image itself goes along. */
    async sendWhole(job) {
      const { image, ...fields } = job.fields;
      const files = { image: await inner.pictureFile(`${image.job}/${image.index}`) };
      await context.jobs.dismiss(job.key);
      await context.jobs.submit({ mode: job.mode, prompt: job.prompt, fields, files, target: job.target, staged: job.staged });
    },
    async generate({ ahead = false } = {}) {
      const { staging } = store.state;
      // Candidates of another place are taken first: the plan is about what is seen.
      if (staging && !contains(staging.target.window, doc.window)) inner.settle();
      const { mode, enabled } = inner.plan();
      // One at a time, as the button has it; more are asked for ahead.
      if (!mode || !enabled || (!ahead && running().length > 0)) return context.actions.announce('live.not_possible');
      const asked = ahead ? running().reduce((sum, job) => sum + (job.fields.n ?? 1), 0) + (staging?.items.length ?? 0) : 0;
      await attempt(() => prepare(mode, nextSeed(asked)));
    },
    async again() {
      const { staging } = store.state;
      const last = staging && sent.get(JSON.stringify(staging.target.rect));
      if (!last) return context.actions.generate();
      await attempt(async () => ({ ...last, fields: { ...last.fields, seed: last.fields.seed + (last.fields.n ?? 1) } }));
    },
    async extend(side) {
      inner.settle();
      const { capabilities, settings } = store.state;
      const bounds = doc.bounds();
      if (!bounds || !capabilities) return;
      const { rect, known } = extension(bounds, side, capabilities);
      if (Math.max(rect.w, rect.h) > sheetSide(capabilities)) {
        return context.actions.notify({ kind: 'warning', key: 'plan.sheet_full', params: { side: sheetSide(capabilities) } });
      }
      const { image } = await picture(known);
      const expand = { left: known.x - rect.x, top: known.y - rect.y, right: rect.x + rect.w - known.x - known.w, bottom: rect.y + rect.h - known.y - known.h };
      const fields = { ...fieldsOf('outpainting', { settings, size: rect, seed: nextSeed(0) }), expand };
      const mask = new Uint8Array(rect.w * rect.h).fill(255);
      const inside = /** @type {Rect} */ (intersect(known, rect));
      for (let y = 0; y < inside.h; y++) {
        const row = (inside.y - rect.y + y) * rect.w + inside.x - rect.x;
        mask.fill(0, row, row + inside.w);
      }
      await attempt(async () => ({ mode: 'outpainting', prompt: settings.prompt.trim(), fields, files: { image }, target: target(rect, mask) }));
      context.actions.fit(/** @type {Rect} */ (union(bounds, rect)));
    },
    cancel: (key) => context.jobs.cancel(key),
    async dismiss(key) {
      await context.jobs.dismiss(key);
    },
    retry: (key) => context.jobs.retry(key),
    stop() {
      const [job] = running();
      if (job) void context.jobs.cancel(job.key);
    },
  });
}

/** @param {Blob} blob */
async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}
