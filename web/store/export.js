/**
 * A document as one file, `.kdoc`: a zip of `document.json` and its blobs, without compression, since images are compressed.
 *
 * Invariant: what is packed is unpacked byte by byte with its media types; any zip program can look inside. Sums are checked, so a
 * damaged file is refused and never half opened.
 */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const DOCUMENT = 'document.json';

/**
 * @param {{json: any, blobs: Map<string, Blob>}} document
 * @returns {Promise<Blob>}
 */
export async function packDocument({ json, blobs }) {
  const names = [...blobs.keys()];
  const types = Object.fromEntries(names.map((name) => [name, blobs.get(name)?.type ?? '']));
  const text = JSON.stringify({ format: 'kandinsky-document', version: 1, types, document: json });
  /** @type {[string, Blob][]} */
  const files = [[DOCUMENT, new Blob([text])], ...names.map((name) => /** @type {[string, Blob]} */ ([`blobs/${encodeURIComponent(name)}`, /** @type {Blob} */ (blobs.get(name))]))];

  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const [name, blob] of files) {
    const path = new TextEncoder().encode(name);
    const sum = crc32(new Uint8Array(await blob.arrayBuffer()));
    // Version 2.0, names in UTF-8, stored, 1980-01-01.
    const about = [u16(20), u16(0x800), u16(0), u16(0), u16(33), u32(sum), u32(blob.size), u32(blob.size), u16(path.length), u16(0)];
    const head = join([u32(LOCAL), ...about, path]);
    directory.push(join([u32(CENTRAL), u16(20), ...about, u16(0), u16(0), u16(0), u32(0), u32(offset), path]));
    parts.push(head, blob);
    offset += head.length + blob.size;
  }
  const central = join(directory);
  const end = join([u32(END), u16(0), u16(0), u16(files.length), u16(files.length), u32(central.length), u32(offset), u16(0)]);
  return new Blob([...parts, central, end], { type: 'application/zip' });
}

/**
 * @param {Blob} file
 * @returns {Promise<{json: any, blobs: Map<string, Blob>}>}
 */
export async function unpackDocument(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const files = readZip(bytes, view);
  const text = files.get(DOCUMENT);
  if (!text) throw new Error('not a document of this editor');
  const { format, types, document } = JSON.parse(new TextDecoder().decode(text));
  if (format !== 'kandinsky-document') throw new Error('not a document of this editor');
  /** @type {Map<string, Blob>} */
  const blobs = new Map();
  for (const [path, data] of files) {
    if (!path.startsWith('blobs/')) continue;
    const name = decodeURIComponent(path.slice('blobs/'.length));
    blobs.set(name, new Blob([data], { type: types[name] ?? '' }));
  }
  return { json: document, blobs };
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {DataView} view
 */
function readZip(bytes, view) {
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end -= 1;
  if (end < 0) throw new Error('not a zip file, or its end is missing');
  /** @type {Map<string, Uint8Array<ArrayBuffer>>} */
  const files = new Map();
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
    if (view.getUint32(at, true) !== CENTRAL || view.getUint16(at + 10, true) !== 0) throw new Error('not a document of this editor');
    const [sum, size] = [view.getUint32(at + 16, true), view.getUint32(at + 24, true)];
    const [name, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const path = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name));
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const data = bytes.subarray(start, start + size);
    if (data.length !== size || crc32(data) !== sum) throw new Error(`damaged: ${path}`);
    files.set(path, data);
    at += 46 + name + extra + comment;
  }
  return files;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

/** @param {number} value */
const u16 = (value) => Uint8Array.of(value & 255, value >> 8);
/** @param {number} value */
const u32 = (value) => Uint8Array.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);

/** @param {Uint8Array<ArrayBuffer>[]} parts */
function join(parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
