/**
 * Keeps `state.plan` true: what Generate would do now.
 *
 * Invariant: what is under a large window is counted when hands rest, never during a stroke; Generate itself counts at once.
 */

import { coverage } from '../model/holes.js';
import { plan } from '../model/request.js';
import { area, same } from '../model/rect.js';

/** @typedef {import('../model/types.js').State} State */
/** Windows of up to so many px are counted at once. */
const QUICK = 400_000;
const REST_MS = 120;

/** @param {import('./context.js').Context} context */
export function createPlan({ store, doc, sheet }) {
  /** @type {{revision: number, window: import('../model/types.js').Rect, value: import('../model/holes.js').Coverage}|null} */
  let counted = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let looking;

  function count() {
    if (!counted || counted.revision !== doc.revision || !same(counted.window, doc.window)) {
      counted = { revision: doc.revision, window: doc.window, value: coverage(doc.pixels, doc.window) };
    }
    return counted.value;
  }

  function update() {
    clearTimeout(timer);
    timer = undefined;
    const { capabilities, settings, fusion, plan: before } = store.state;
    const now = plan({ capabilities, settings, window: doc.window, bounds: doc.bounds(), coverage: count(), fusion });
    if (JSON.stringify(now) !== JSON.stringify(before)) store.set({ plan: now });
    return now;
  }

  function lookForHoles() {
    const holes = doc.hasHoles();
    if (holes !== store.state.document.holes) store.set({ document: { ...store.state.document, holes } });
  }

  store.subscribe((state, before) => {
    if (state.document.revision !== before.document.revision) {
      clearTimeout(looking);
      looking = setTimeout(lookForHoles, REST_MS);
    }
    const same = /** @type {const} */ (['capabilities', 'settings', 'fusion', 'window']).every((part) => state[part] === before[part]);
    if (same && state.document.revision === before.document.revision) return;
    if (area(doc.window) <= QUICK && !sheet.scene.working) update();
    else timer ??= setTimeout(update, REST_MS);
  });

  return { plan: update, coverage: count };
}
