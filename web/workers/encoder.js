/**
 * The page's side of the PNG worker.
 *
 * Invariant: an image is encoded, worker or no worker: where one cannot be started or breaks, the page does it itself.
 */

import { encodePng } from '../model/png.js';

/** @typedef {(pixels: Uint8Array, width: number, height: number, channels: 1|3|4) => Promise<Blob>} Encode */

/** Below so many bytes a worker costs more than it saves. */
const SMALL = 300_000;

/** @returns {Encode} */
export function createEncoder() {
  /** @type {Worker|null} */
  let worker = null;
  /** Where its script is, trusted: a policy can be made once. @type {any} */
  let address = null;
  let next = 0;
  /** @type {Map<number, {resolve: (blob: Blob) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();

  function trusted() {
    const url = new URL('./png.js', import.meta.url).href;
    // The content security policy lets workers start from this policy alone.
    const policies = /** @type {any} */ (globalThis).trustedTypes;
    return policies ? policies.createPolicy('kandinsky-worker', { createScriptURL: (/** @type {string} */ it) => it }).createScriptURL(url) : url;
  }

  function start() {
    address ??= trusted();
    const made = new Worker(address, { type: 'module' });
    made.addEventListener('message', ({ data }) => {
      const one = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.blob) one?.resolve(data.blob);
      else one?.reject(new Error(data.error));
    });
    made.addEventListener('error', () => {
      // It may have no script at all, and would answer nothing that comes later.
      made.terminate();
      worker = null;
      for (const one of waiting.values()) one.reject(new Error('worker'));
      waiting.clear();
    });
    return made;
  }

  return async (pixels, width, height, channels) => {
    if (pixels.length < SMALL) return encodePng(pixels, width, height, channels);
    try {
      worker ??= start();
      const id = next++;
      const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
      // Not moved: they are needed again if the worker fails.
      worker.postMessage({ id, pixels, width, height, channels });
      return await /** @type {Promise<Blob>} */ (answer);
    } catch {
      return encodePng(pixels, width, height, channels);
    }
  };
}
