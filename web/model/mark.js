/**
 * The mark of origin in files that are put together here: that a trained model made a part of them, as the server's own files say.
 *
 * Invariant: the pixels stay as they are, and nothing of the request is in the mark. A file that is not understood stays unmarked
 * rather than broken.
 */

import { chunk } from './png.js';

const SOURCE = 'http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia';

/** An XMP packet (ISO 16684-1) with the IPTC's digital source type. */
const PACKET = new TextEncoder().encode(
  '<?xpacket begin="\u{feff}" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">' +
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" ' +
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">' +
    `<xmp:CreatorTool>kandinsky</xmp:CreatorTool><Iptc4xmpExt:DigitalSourceType>${SOURCE}</Iptc4xmpExt:DigitalSourceType>` +
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>',
);

/** @param {string} text */
const latin = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** @param {Uint8Array} bytes @param {number} at @param {string} text */
const has = (bytes, at, text) => latin(text).every((byte, i) => bytes[at + i] === byte);

/** @param {Uint8Array[]} parts */
function join(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * @param {Uint8Array} file      PNG, JPEG or WebP
 * @param {{w: number, h: number}} size
 * @returns {Uint8Array}
 */
export function marked(file, size) {
  if (has(file, 1, 'PNG')) {
    // After the header, which comes first and is 25 bytes long.
    const text = join(latin('XML:com.adobe.xmp\0\0\0\0\0'), PACKET);
    return join(file.subarray(0, 33), chunk('iTXt', text), file.subarray(33));
  }
  if (file[0] === 0xff && file[1] === 0xd8) {
    const body = join(latin('http://ns.adobe.com/xap/1.0/\0'), PACKET);
    const head = Uint8Array.from([0xff, 0xe1, (body.length + 2) >> 8, (body.length + 2) & 255]);
    // After JFIF's segment, which wants to be the first.
    const at = file[3] === 0xe0 ? 4 + file[4] * 256 + file[5] : 2;
    return join(file.subarray(0, at), head, body, file.subarray(at));
  }
  return has(file, 0, 'RIFF') && has(file, 8, 'WEBP') ? markedWebp(file, size) : file;
}

/** @param {string} name @param {Uint8Array} data */
function riff(name, data) {
  const head = new Uint8Array(8);
  head.set(latin(name));
  new DataView(head.buffer).setUint32(4, data.length, true);
  return join(head, data, new Uint8Array(data.length % 2));
}

/** @param {Uint8Array} file @param {{w: number, h: number}} size */
function markedWebp(file, { w, h }) {
  let chunks = file.slice(12);
  if (has(chunks, 0, 'VP8X')) chunks[8] |= 4;
  else {
    // The simple layout has no room for words: the extended one says the size again, and that XMP follows.
    const head = new Uint8Array(10);
    head[0] = has(chunks, 0, 'VP8L') ? 4 | 16 : 4;
    head.set([w - 1, (w - 1) >> 8, (w - 1) >> 16, h - 1, (h - 1) >> 8, (h - 1) >> 16], 4);
    chunks = join(riff('VP8X', head), chunks);
  }
  return riff('RIFF', join(latin('WEBP'), chunks, riff('XMP ', PACKET)));
}
