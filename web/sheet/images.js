/**
 * Image files to bytes, and bytes to canvases.
 *
 * Invariant: an opaque image comes out as the browser decodes it, upright and in sRGB, bit for bit; a transparent one on white with
 * a mask of where it is. Colours and soft alpha are never in one canvas that is read back.
 */

/** @typedef {import('../model/types.js').Rect} Rect */
/** Rows that are decoded at a time: a canvas of a whole large photo is more than some browsers give. */
const STRIP = 1024;

/**
 * @param {number} w
 * @param {number} h
 */
export function makeCanvas(w, h) {
  const canvas = document.createElement('canvas');
  canvas.width = w;
  canvas.height = h;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  return { canvas, context };
}

/**
 * Decode a file in strips.
 * @param {Blob} blob
 * @param {(size: {w: number, h: number}) => boolean} accept  false: too large, leave it
 * @param {(strip: Rect, rgba: Uint8ClampedArray, mask: Uint8Array|null) => void} each   strip: in the image's own coordinates
 * @returns {Promise<{w: number, h: number}>}
 */
export async function decodeStrips(blob, accept, each) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' });
  const size = { w: bitmap.width, h: bitmap.height };
  try {
    if (!accept(size)) return size;
    const { canvas, context } = makeCanvas(size.w, Math.min(STRIP, size.h));
    for (let y = 0; y < size.h; y += STRIP) {
      const h = Math.min(STRIP, size.h - y);
      context.globalCompositeOperation = 'copy';
      context.drawImage(bitmap, 0, -y);
      let { data } = context.getImageData(0, 0, size.w, h);
      const mask = maskOf(data);
      if (mask) {
        context.globalCompositeOperation = 'destination-over';
        context.fillStyle = '#fff';
        context.fillRect(0, 0, canvas.width, canvas.height);
        ({ data } = context.getImageData(0, 0, size.w, h));
      }
      each({ x: 0, y, w: size.w, h }, data, mask);
    }
    return size;
  } finally {
    bitmap.close();
  }
}

/**
 * Decode a whole file.
 * @param {Blob} blob
 * @returns {Promise<{w: number, h: number, rgba: Uint8ClampedArray, mask: Uint8Array|null}>}
 */
export async function decodeWhole(blob) {
  let rgba = new Uint8ClampedArray(0);
  /** @type {Uint8Array|null} */
  let mask = null;
  /** @type {{w: number, h: number}} */
  let whole = { w: 0, h: 0 };
  const size = await decodeStrips(
    blob,
    (found) => {
      whole = found;
      rgba = new Uint8ClampedArray(found.w * found.h * 4);
      return true;
    },
    (strip, data, part) => {
      rgba.set(data, strip.y * strip.w * 4);
      if (!part) return;
      mask ??= new Uint8Array(whole.w * whole.h).fill(1);
      mask.set(part, strip.y * strip.w);
    },
  );
  return { ...size, rgba, mask };
}

/** 1 where a pixel is at least half there; null if all are whole. @param {Uint8ClampedArray} data */
function maskOf(data) {
  let whole = true;
  for (let i = 3; i < data.length && whole; i += 4) whole = data[i] === 255;
  if (whole) return null;
  const mask = new Uint8Array(data.length / 4);
  for (let i = 0; i < mask.length; i++) mask[i] = data[i * 4 + 3] >= 128 ? 1 : 0;
  return mask;
}

/**
 * A canvas to draw: an image where a mask says so.
 * @param {{w: number, h: number, rgba: Uint8ClampedArray}} image
 * @param {Uint8Array|null} mask
 */
export function maskedCanvas({ w, h, rgba }, mask) {
  const { canvas, context } = makeCanvas(w, h);
  const data = new ImageData(new Uint8ClampedArray(rgba), w, h);
  if (mask) for (let i = 0; i < mask.length; i++) data.data[i * 4 + 3] = mask[i] > 0 ? 255 : 0;
  context.putImageData(data, 0, 0);
  return canvas;
}

/**
 * Encode by the browser, in formats that lose something anyway.
 * @param {{w: number, h: number, rgba: Uint8ClampedArray}} image
 * @param {string} type
 * @param {number} quality  0..1
 * @returns {Promise<Blob>}
 */
export function encodeLossy(image, type, quality) {
  const { canvas, context } = makeCanvas(image.w, image.h);
  context.putImageData(new ImageData(new Uint8ClampedArray(image.rgba), image.w, image.h), 0, 0);
  // JPEG knows no transparency: what is not there is white.
  context.globalCompositeOperation = 'destination-over';
  context.fillStyle = '#fff';
  context.fillRect(0, 0, image.w, image.h);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(type))), type, quality));
}

/**
 * Whether this browser gives back what was put into a canvas. Some protect privacy by noise.
 * @returns {boolean}
 */
export function canvasIsFaithful() {
  const { context } = makeCanvas(64, 64);
  const put = new ImageData(64, 64);
  for (let i = 0; i < put.data.length; i += 4) {
    put.data.set([(i * 7) & 255, (i * 13) & 255, (i >> 4) & 255, 255], i);
  }
  context.putImageData(put, 0, 0);
  const got = context.getImageData(0, 0, 64, 64).data;
  return got.every((value, i) => value === put.data[i]);
}

/**
 * A small copy for lists.
 * @param {Blob} blob
 * @param {number} [side]  px, at the most
 * @returns {Promise<Blob>}
 */
export async function thumbnail(blob, side = 256) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' });
  const scale = side / Math.max(bitmap.width, bitmap.height);
  try {
    if (scale >= 1 && blob.size < 100_000) return blob;
    const [w, h] = [bitmap.width, bitmap.height].map((length) => Math.max(1, Math.round(length * Math.min(1, scale))));
    const { canvas, context } = makeCanvas(w, h);
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, 0, 0, w, h);
    return await new Promise((resolve, reject) => canvas.toBlob((made) => (made ? resolve(made) : reject(new Error('webp'))), 'image/webp', 0.85));
  } finally {
    bitmap.close();
  }
}
