/**
 * Files and the clipboard: what leaves the page, and what the person chooses to bring in.
 *
 * Invariant: addresses of blobs are given back once they were used; nothing is sent anywhere.
 */

/** @type {Record<string, string>} */
const ENDINGS = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' };

/**
 * @param {string} words
 * @param {string} type
 * @param {number|string} [mark]
 */
export function fileName(words, type, mark) {
  const name = words.toLowerCase().replace(/\.[a-z]{3,5}$/, '').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60);
  return `${name || 'kandinsky'}${mark === undefined ? '' : `-${mark}`}.${ENDINGS[type] ?? 'bin'}`;
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @returns {Promise<File|null>} */
export function choose(accept = 'image/*,.kdoc') {
  return new Promise((resolve) => {
    const input = document.createElement('input');
    input.type = 'file';
    input.accept = accept;
    // In the page, so that tests and helpers find it.
    input.hidden = true;
    input.id = 'open-file';
    document.getElementById('open-file')?.remove();
    document.body.append(input);
    input.addEventListener('change', () => resolve(input.files?.[0] ?? null));
    input.addEventListener('cancel', () => resolve(null));
    input.click();
  });
}

/** The browser does not let the page write there: on plain http, or because the person said so. */
export class NoClipboard extends Error {}

/** @param {string} text */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // On plain http there is only the old way: a selected text.
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'unseen';
  (document.querySelector('dialog[open]') ?? document.body).append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  if (!done) throw new NoClipboard();
}

/** @param {Promise<Blob>} png */
export async function copyImage(png) {
  if (!navigator.clipboard?.write) throw new NoClipboard();
  // Clipboards take PNG alone.
  const made = png.then(asPng);
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': made })]);
}

/** @param {Blob} blob @returns {Promise<Blob>} */
async function asPng(blob) {
  if (blob.type === 'image/png') return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
  return new Promise((resolve, reject) => canvas.toBlob((made) => (made ? resolve(made) : reject(new Error('png'))), 'image/png'));
}

/**
 * The image of a paste or drop.
 * @param {DataTransfer|null} data
 * @returns {File|null}
 */
export function fileOf(data) {
  const files = [...(data?.files ?? [])];
  return files.find(({ type, name }) => type.startsWith('image/') || name.endsWith('.kdoc')) ?? files[0] ?? null;
}
