/**
 * PNG files from plain bytes.
 *
 * Invariant: what is decoded from the file is what was given, bit for bit: no canvas is between, which some browsers alter.
 */

const CRC = new Uint32Array(256).map((_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** @param {Uint8Array} bytes */
function crc(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/**
 * A chunk of a PNG file.
 * @param {string} type
 * @param {Uint8Array} data
 */
export function chunk(type, data) {
  const out = new Uint8Array(data.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc(out.subarray(4, 8 + data.length)));
  return out;
}

/**
 * Rows as PNG filters them: each the difference to its neighbour on the left or to the row above, whichever is smaller.
 * @param {Uint8Array} rows
 * @param {number} width  bytes a row
 * @param {number} height
 * @param {number} step   bytes a pixel
 */
export function filtered(rows, width, height, step) {
  const out = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    let [left, up] = [0, 0];
    for (let x = 0; x < width; x++) {
      const value = rows[row + x];
      left += cost(value - (x >= step ? rows[row + x - step] : 0));
      up += cost(value - (y > 0 ? rows[row + x - width] : 0));
    }
    const at = y * (width + 1);
    const byRow = up < left;
    out[at] = byRow ? 2 : 1;
    for (let x = 0; x < width; x++) {
      const near = byRow ? (y > 0 ? rows[row + x - width] : 0) : x >= step ? rows[row + x - step] : 0;
      out[at + 1 + x] = rows[row + x] - near;
    }
  }
  return out;
}

/** @param {number} difference */
function cost(difference) {
  const byte = difference & 255;
  return byte < 128 ? byte : 256 - byte;
}

/**
 * Drop alpha.
 * @param {Uint8ClampedArray} rgba
 */
export function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0, o = 0; i < rgba.length; i += 4) {
    rgb[o++] = rgba[i];
    rgb[o++] = rgba[i + 1];
    rgb[o++] = rgba[i + 2];
  }
  return rgb;
}

/**
 * A PNG of 8 bits a channel.
 * @param {Uint8Array} pixels   row by row
 * @param {number} width
 * @param {number} height
 * @param {1|3|4} channels      gray, colour, colour and alpha
 * @returns {Promise<Blob>}
 */
export async function encodePng(pixels, width, height, channels) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  header[9] = { 1: 0, 3: 2, 4: 6 }[channels];
  const rows = filtered(pixels, width * channels, height, channels);
  const stream = new Blob([/** @type {BlobPart} */ (rows)]).stream().pipeThrough(new CompressionStream('deflate'));
  const data = new Uint8Array(await new Response(stream).arrayBuffer());
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const parts = [signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', new Uint8Array(0))];
  return new Blob(/** @type {BlobPart[]} */ (parts), { type: 'image/png' });
}
