/**
 * Encodes PNG files beside the page, so that a large image does not stop the brush.
 *
 * Invariant: one answer for each message, with its number.
 */

import { encodePng } from '../model/png.js';

self.addEventListener('message', async (event) => {
  const { id, pixels, width, height, channels } = event.data;
  try {
    self.postMessage({ id, blob: await encodePng(pixels, width, height, channels) });
  } catch (error) {
    self.postMessage({ id, error: String(error) });
  }
});
