/**
 * The one state object of the page, and who is told when it changes.
 *
 * Invariant: the state is replaced, never changed in place: a part that is the same object is the same value. Listeners run
 * once per turn of the event loop, after all changes of that turn.
 *
 * Who calls whom: panels read `store.state` and call `actions`; actions call `store.set`; the sheet listens. Nothing else sets.
 */

/** @typedef {import('./types.js').State} State */
/** @typedef {ReturnType<typeof createStore>} Store */

/** @param {State} initial */
export function createStore(initial) {
  let state = initial;
  /** @type {Set<(state: State, before: State) => void>} */
  const listeners = new Set();
  /** @type {State|null} */
  let told = null;

  function tell() {
    const before = /** @type {State} */ (told);
    told = null;
    for (const listener of [...listeners]) {
      try {
        listener(state, before);
      } catch (error) {
        // One broken panel must not stop the others.
        reportError(error);
      }
    }
  }

  return {
    get state() {
      return state;
    },

    /**
     * Replace parts of the state.
     * @param {Partial<State>|((state: State) => Partial<State>)} change
     */
    set(change) {
      const parts = typeof change === 'function' ? change(state) : change;
      const keys = /** @type {(keyof State)[]} */ (Object.keys(parts));
      if (keys.every((key) => Object.is(parts[key], state[key]))) return;
      if (!told) {
        told = state;
        queueMicrotask(tell);
      }
      state = { ...state, ...parts };
    },

    /**
     * Hear of changes. Returns what ends it.
     * @param {(state: State, before: State) => void} listener
     */
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}

/** @param {unknown} error */
function reportError(error) {
  console.error(error);
}
