/**
 * The browser's storage of words, where it is given.
 *
 * Invariant: nothing in here throws. Some browsers forbid even to ask for a storage, some give one that keeps nothing, and any may be full.
 */

/** @param {() => Pick<Storage, 'getItem'|'setItem'|'removeItem'>} storage  its names are its own properties */
export function careful(storage) {
  /** @template T @param {(given: ReturnType<typeof storage>) => T} act @returns {T|null} null: refused */
  const tried = (act) => {
    try {
      return act(storage());
    } catch {
      return null;
    }
  };
  return {
    get: (/** @type {string} */ name) => tried((given) => given.getItem(name)),
    /** Whether it is kept. @param {string} name @param {string} text */
    set: (name, text) => tried((given) => given.setItem(name, text)) !== null,
    names: () => tried((given) => Object.keys(given)) ?? [],
    remove: (/** @type {string} */ name) => tried((given) => given.removeItem(name)),
  };
}
