/**
 * Bytes within JSON.
 *
 * Invariant: `unpacked(packed(value))` is the same plain value with the same arrays of bytes, whatever their kind.
 */

/** @param {Uint8Array|Uint8ClampedArray} bytes */
export function toBase64(bytes) {
  let out = '';
  for (let i = 0; i < bytes.length; i += 32768) out += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(out);
}

/** @param {string} base64 */
export const fromBase64 = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** Names of the kinds of arrays. */
const [BYTES, CLAMPED] = ['$bytes', '$clamped'];

/** @param {any} value */
export const packed = (value) =>
  JSON.stringify(value, (_, one) => {
    if (one instanceof Uint8Array) return { [BYTES]: toBase64(one) };
    if (one instanceof Uint8ClampedArray) return { [CLAMPED]: toBase64(one) };
    return one;
  });

/** @param {string} text @returns {any} */
export const unpacked = (text) =>
  JSON.parse(text, (_, one) => {
    if (typeof one?.[BYTES] === 'string') return fromBase64(one[BYTES]);
    if (typeof one?.[CLAMPED] === 'string') return new Uint8ClampedArray(fromBase64(one[CLAMPED]));
    return one;
  });
