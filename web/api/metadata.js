/**
 * Reads back how an image was made, from what this server writes into its files: PNG text, or the user comment of EXIF.
 *
 * Invariant: a file of anyone else, or a broken one, gives null; it never throws, and reads no pixel.
 */

/** Bytes from the start in which the words are looked for: they come before the pixels, but in a WebP, where they come last. */
const HEAD = 4 << 20;

/**
 * The parameters by the names of JobAnswer.parameters; `seed` gives this image alone, so `n` is 1.
 * @param {Blob} blob
 * @returns {Promise<Record<string, any>|null>}
 */
export async function readParameters(blob) {
  try {
    const bytes = new Uint8Array(await blob.slice(0, HEAD).arrayBuffer());
    if (startsWith(bytes, [0x89, 0x50, 0x4e, 0x47])) return fromPng(bytes);
    if (startsWith(bytes, [0xff, 0xd8])) return fromTiff(exifOfJpeg(bytes));
    if (latin(bytes, 0, 4) === 'RIFF' && latin(bytes, 8, 12) === 'WEBP') {
      const whole = blob.size > HEAD ? new Uint8Array(await blob.arrayBuffer()) : bytes;
      return fromTiff(exifOfWebp(whole));
    }
  } catch {
    // Cut off in the middle, or not what it says it is.
  }
  return null;
}

/**
 * @param {any} parameters
 * @param {any} seed
 */
function result(parameters, seed) {
  if (!parameters || typeof parameters !== 'object' || typeof parameters.steps !== 'number') return null;
  const own = Number(seed);
  return { ...parameters, n: 1, seed: Number.isSafeInteger(own) ? own : parameters.seed };
}

/** @param {Uint8Array} bytes */
function fromPng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  /** @type {Record<string, string>} */
  const texts = {};
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = latin(bytes, at + 4, at + 8);
    if (type === 'IDAT' || type === 'IEND') break;
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (type === 'tEXt') {
      const end = data.indexOf(0);
      texts[latin(data, 0, end)] = latin(data, end + 1);
    } else if (type === 'iTXt') {
      const end = data.indexOf(0);
      // After the key: whether it is compressed (ours never is), how, a language and a translated key, each ended by a zero.
      if (data[end + 1] === 0) {
        const language = data.indexOf(0, end + 3);
        const translated = data.indexOf(0, language + 1);
        texts[latin(data, 0, end)] = new TextDecoder().decode(data.subarray(translated + 1));
      }
    }
    at += 12 + length;
  }
  return texts.parameters ? result(JSON.parse(texts.parameters), texts.seed) : null;
}

/** @param {Uint8Array} bytes */
function exifOfJpeg(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xda) break;
    const length = view.getUint16(at + 2);
    const data = bytes.subarray(at + 4, at + 2 + length);
    if (marker === 0xe1 && latin(data, 0, 6) === 'Exif\0\0') return data.subarray(6);
    at += 2 + length;
  }
  return null;
}

/** @param {Uint8Array} bytes */
function exifOfWebp(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (latin(bytes, at, at + 4) === 'EXIF') {
      const data = bytes.subarray(at + 8, at + 8 + length);
      return latin(data, 0, 6) === 'Exif\0\0' ? data.subarray(6) : data;
    }
    at += 8 + length + (length & 1);
  }
  return null;
}

const EXIF_IFD = 0x8769;
const USER_COMMENT = 0x9286;

/** @param {Uint8Array|null} bytes a TIFF structure */
function fromTiff(bytes) {
  if (!bytes) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = latin(bytes, 0, 2) === 'II';
  const start = view.getUint32(4, little);
  const pointer = entryOf(view, start, EXIF_IFD, little);
  const comment = (pointer && entryOf(view, pointer.value, USER_COMMENT, little)) ?? entryOf(view, start, USER_COMMENT, little);
  if (!comment) return null;
  const text = latin(bytes, comment.value, comment.value + comment.count);
  if (!text.startsWith('ASCII\0\0\0')) return null;
  const { seed, parameters } = JSON.parse(text.slice(8).replace(/\0+$/, ''));
  return result(parameters, seed);
}

/**
 * @param {DataView} view
 * @param {number} at of a directory
 * @param {number} tag
 * @param {boolean} little
 */
function entryOf(view, at, tag, little) {
  const count = view.getUint16(at, little);
  for (let i = 0; i < count; i += 1) {
    const entry = at + 2 + 12 * i;
    if (view.getUint16(entry, little) === tag) {
      return { count: view.getUint32(entry + 4, little), value: view.getUint32(entry + 8, little) };
    }
  }
  return null;
}

/** @param {Uint8Array} bytes @param {number[]} head */
function startsWith(bytes, head) {
  return head.every((byte, i) => bytes[i] === byte);
}

/** @param {Uint8Array} bytes @param {number} from @param {number} [to] */
function latin(bytes, from, to = bytes.length) {
  let text = '';
  for (let i = from; i < Math.min(to, bytes.length); i += 1) text += String.fromCharCode(bytes[i]);
  return text;
}
