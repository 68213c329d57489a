/**
 * A document as plain JSON, for files that go from one browser to another.
 *
 * Invariant: `fromJson(toJson(stored))` is the same document. What a file says is checked before it is believed: a damaged or
 * foreign one is refused as a whole.
 */

import { fromBase64 as bytes, toBase64 as text } from './bytes.js';

/** @typedef {import('./document.js').Stored} Stored */
/** @typedef {import('./types.js').Rect} Rect */

const VERSION = 1;

/** @param {Stored} stored */
export function toJson({ name, savedAt, window, ratio, patches, holes }) {
  return {
    format: 'kandinsky-document',
    version: VERSION,
    name, savedAt, window, ratio,
    patches: patches.map((patch) => ({ ...patch, mask: patch.mask && text(patch.mask) })),
    holes: holes.map(({ rect, runs }) => ({ rect, runs: text(runs) })),
  };
}

/** @param {any} value @returns {Rect} */
function rect(value) {
  const { x, y, w, h } = value;
  if (![x, y, w, h].every(Number.isSafeInteger) || w < 1 || h < 1) throw new Error('a rectangle is damaged');
  return { x, y, w, h };
}

/**
 * @param {any} json
 * @returns {Stored}
 */
export function fromJson(json) {
  if (json?.format !== 'kandinsky-document') throw new Error('not a document of this editor');
  if (json.version > VERSION) throw new Error('the document was made by a newer version');
  return {
    id: '',
    name: String(json.name ?? ''),
    savedAt: Number(json.savedAt) || 0,
    window: rect(json.window),
    ratio: String(json.ratio ?? 'free'),
    patches: json.patches.map((/** @type {any} */ patch) => ({
      id: String(patch.id),
      rect: rect(patch.rect),
      blobId: String(patch.blobId),
      mask: patch.mask ? bytes(patch.mask) : null,
      name: String(patch.name ?? ''),
      visible: patch.visible !== false,
      ...(patch.jobId && { jobId: String(patch.jobId), index: Number(patch.index) }),
    })),
    holes: json.holes.map((/** @type {any} */ hole) => ({ rect: rect(hole.rect), runs: bytes(hole.runs) })),
  };
}
