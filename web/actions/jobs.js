/**
 * What becomes of jobs: in the list, as previews on the sheet, among the images made, as words at the fields they are about.
 *
 * Invariant: an image that was made is among the images and in this browser before it is shown as a candidate.
 */

import { marked, region } from '../model/region.js';
import { decode } from '../model/rle.js';
import { makeCanvas, thumbnail } from '../sheet/images.js';

/** @typedef {import('../api/jobs.js').JobView} JobView */
/** @typedef {import('../api/jobs.js').JobImage} JobImage */

/** Warnings that have words of their own. */
const OWN = ['prompt_cut', 'prompt_not_translated'];

/** @param {import('./context.js').Context} context */
export function createJobEvents(context) {
  const { store, doc, sheet, db, inner } = context;
  /** @type {Map<string, {blob: Blob, layer: import('../sheet/sheet.js').Layer}>} */
  const previews = new Map();
  /** What was said of results already: a photo and a small model differ each time. @type {Set<string>} */
  const told = new Set();

  /** @param {JobView} job */
  async function showPreview(job) {
    const { target, preview } = job;
    const before = previews.get(job.key);
    const ended = job.status !== 'running' && job.status !== 'queued';
    if (ended || !preview || !target || target.documentId !== doc.id) {
      previews.delete(job.key);
    } else if (before?.blob !== preview) {
      const bitmap = await createImageBitmap(preview);
      const now = store.state.jobs.find(({ key }) => key === job.key);
      if (now?.preview === preview) previews.set(job.key, { blob: preview, layer: { image: masked(bitmap, target), rect: target.rect, blur: 0.01 } });
    }
    sheet.scene.previews = [...previews.values()].map(({ layer }) => layer);
    sheet.request();
  }

  /** @param {ImageBitmap} bitmap @param {import('../model/types.js').Target} target */
  function masked(bitmap, { rect, mask }) {
    if (!mask) return bitmap;
    const { canvas, context: paint } = makeCanvas(rect.w, rect.h);
    const marks = decode(mask, rect.w * rect.h);
    const data = new ImageData(rect.w, rect.h);
    for (let i = 0; i < marks.length; i++) data.data[i * 4 + 3] = marks[i];
    paint.putImageData(data, 0, 0);
    paint.globalCompositeOperation = 'source-in';
    // Of a large image the preview shows the part that is drawn.
    const hole = marked(marks, rect.w);
    const part = hole ? region(rect, hole, store.state.capabilities?.sizes.default_width ?? rect.w) : { ...rect, x: 0, y: 0 };
    paint.drawImage(bitmap, part.x, part.y, part.w, part.h);
    return canvas;
  }

  /** @param {JobView} job @param {JobImage[]} images */
  async function keepImages(job, images) {
    const known = new Set(store.state.pictures.map(({ id }) => id));
    const made = images.filter(({ index }) => !known.has(`${job.id}/${index}`));
    const pictures = await Promise.all(
      made.map(async (image) => {
        /** @type {import('../model/types.js').HistoryImage} */
        const picture = {
          id: `${job.id}/${image.index}`, jobId: String(job.id), index: image.index, mode: job.mode, prompt: job.prompt, seed: image.seed,
          width: image.width, height: image.height, parameters: job.parameters ?? {}, fields: withoutImages(job.fields), createdAt: job.createdAt,
          starred: false, mediaType: image.mediaType, thumbnail: await thumbnail(image.blob).catch(() => null), kept: true,
        };
        await db.putBlob(`picture/${picture.id}`, image.blob).catch((error) => {
          picture.kept = false;
          inner.storeFailed(error);
        });
        await db.putPicture(picture).catch((error) => inner.storeFailed(error));
        return picture;
      }),
    );
    if (pictures.length > 0) store.set({ pictures: [...pictures.reverse(), ...store.state.pictures].sort((a, b) => b.createdAt - a.createdAt) });
  }

  /** @param {JobView} job */
  function showProblem(job) {
    const { problem } = job;
    if (!problem || (problem.errors.length === 0 && problem.status !== 413)) return;
    const fieldErrors = { ...store.state.fieldErrors };
    for (const { pointer, message } of problem.errors) {
      const [, name, inside] = pointer.split('/');
      fieldErrors[name] = message;
      if (inside) fieldErrors[`${name}/${inside}`] = message;
    }
    if (problem.status === 413) fieldErrors.image = problem.detail;
    store.set({ fieldErrors });
  }

  /** @param {JobView} job @param {JobImage[]} [images] */
  async function changed(job, images) {
    const listed = job.status !== 'succeeded' && job.status !== 'canceled';
    const others = store.state.jobs.filter(({ key }) => key !== job.key);
    const jobs = listed ? [...others, job].sort((a, b) => b.createdAt - a.createdAt) : others;
    const before = store.state.jobs.find(({ key }) => key === job.key);
    store.set({ jobs });
    await showPreview(job);
    if (job.status === 'failed' && before?.status !== 'failed') {
      if (job.fields.image?.job && [404, 410, 422].includes(job.problem?.status ?? 0)) return context.actions.sendWhole(job);
      showProblem(job);
      // What was possible may not be any more: another model.
      if (job.problem?.status === 422) void inner.know();
      context.actions.announce('live.failed');
    }
    if (job.status === 'canceled') context.actions.announce('live.canceled');
    if (!images) return;
    await keepImages(job, images);
    for (const { code, field, message } of job.warnings ?? []) {
      const kind = `${job.mode} ${code} ${field}`;
      if (told.has(kind) && code === 'value_adjusted') continue;
      told.add(kind);
      // Each photo has this one, so it is told in words of the page.
      const [, w, h] = (code === 'value_adjusted' && (!field || field === '/width') && /(\d+)x(\d+)/.exec(message)) || [];
      context.actions.notify(w ? { kind: 'info', key: 'notice.smaller', params: { size: `${w} × ${h}` } } : { kind: 'warning', key: OWN.includes(code) ? `notice.${code}` : 'notice.warning', params: {}, detail: message });
    }
    if (job.staged) await inner.stage(job, images);
    else await context.jobs.dismiss(job.key);
  }

  return {
    changed: (/** @type {JobView} */ job, /** @type {JobImage[]|undefined} */ images) => {
      changed(job, images).catch((error) => console.error(error));
    },
    gone(/** @type {string} */ key) {
      previews.delete(key);
      store.set({ jobs: store.state.jobs.filter((job) => job.key !== key) });
    },
    /** Candidates of the document on the sheet that are neither accepted nor discarded. */
    async restage() {
      for (const job of context.jobs.list()) {
        if (job.status !== 'succeeded' || job.target?.documentId !== doc.id) continue;
        // Accepted just before the page was closed.
        if (doc.patches.some(({ jobId }) => jobId === job.id)) {
          await context.jobs.dismiss(job.key);
          continue;
        }
        const own = store.state.pictures.filter(({ jobId }) => jobId === job.id).sort((a, b) => a.index - b.index);
        const images = await Promise.all(own.map(async (picture) => ({ ...picture, blob: await inner.pictureFile(picture.id) })));
        if (images.length > 0) await inner.stage(job, images);
      }
    },
  };
}

/** Fields without what is large. @param {Record<string, any>} fields */
function withoutImages(fields) {
  return JSON.parse(JSON.stringify(fields, (name, value) => (name === 'image' && typeof value === 'string' ? undefined : value)));
}
