/**
 * Masks made small: runs of equal bytes, so that undo and documents can hold many of them.
 *
 * Invariant: `decode(encode(bytes), bytes.length)` are the same bytes, whatever they are.
 */

/**
 * Pairs of a length (7 bits a byte, the highest bit says that more follow) and a value.
 * @param {Uint8Array|Uint8ClampedArray} bytes
 * @returns {Uint8Array}
 */
export function encode(bytes) {
  let out = new Uint8Array(256);
  let at = 0;
  for (let i = 0; i < bytes.length; ) {
    const value = bytes[i];
    let end = i + 1;
    while (end < bytes.length && bytes[end] === value) end += 1;
    if (at + 8 > out.length) {
      const larger = new Uint8Array(out.length * 2);
      larger.set(out);
      out = larger;
    }
    let length = end - i;
    while (length > 127) {
      out[at++] = 128 | (length & 127);
      length >>>= 7;
    }
    out[at++] = length;
    out[at++] = value;
    i = end;
  }
  return out.slice(0, at);
}

/**
 * @param {Uint8Array} runs
 * @param {number} length  how many bytes there were
 * @returns {Uint8Array}
 */
export function decode(runs, length) {
  const out = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < runs.length && at < length; ) {
    let count = 0;
    let shift = 0;
    let byte;
    do {
      byte = runs[i++];
      count += (byte & 127) * 2 ** shift;
      shift += 7;
    } while (byte & 128 && i < runs.length);
    out.fill(runs[i++], at, Math.min(length, at + count));
    at += count;
  }
  return out;
}
