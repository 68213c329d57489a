/**
 * The API key, and names that cannot be guessed.
 *
 * Invariant: the key is kept where the person said: until the tab closes, or on this device; never in both places.
 */

import { careful } from '../model/storage.js';

const NAME = 'kandinsky.key';

export function createKeys() {
  const [tab, device] = [careful(() => sessionStorage), careful(() => localStorage)];
  /** Where nothing is kept, the page itself knows it. */
  let own = '';
  function forget() {
    own = '';
    tab.remove(NAME);
    device.remove(NAME);
  }
  return {
    get: () => tab.get(NAME) ?? device.get(NAME) ?? own,
    remembered: () => device.get(NAME) !== null,
    /**
     * @param {string} key empty: forget it
     * @param {boolean} remember on this device
     */
    set(key, remember) {
      forget();
      if (key && !(remember ? device : tab).set(NAME, key)) own = key;
    },
    forget,
  };
}

/** A UUID. `crypto.randomUUID` is there on https and localhost only; a server at home is reached by its address. */
export function createId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
