/**
 * The list of panels, and where each is.
 *
 * Invariant: a panel knows the store, the actions and its own element; panels do not know each other's state.
 */

import { createDialogs } from './dialogs.js';
import { createFusion } from './fusion.js';
import { createOver } from './over.js';
import { createPrompt } from './prompt.js';
import { createSide } from './side.js';
import { createLive, createToasts } from './toast.js';
import { createToolbar } from './toolbar.js';
import { createTop } from './top.js';

/** @type {Record<string, (root: HTMLElement, context: import('./parts.js').Context) => void>} */
const PANELS = {
  top: createTop,
  toolbar: createToolbar,
  over: createOver,
  fusion: createFusion,
  prompt: createPrompt,
  side: createSide,
  toasts: createToasts,
  dialogs: createDialogs,
  live: createLive,
};

/** @param {import('./parts.js').Context} context */
export function createPanels(context) {
  for (const [id, create] of Object.entries(PANELS)) create(/** @type {HTMLElement} */ (document.getElementById(id)), context);
  makeRoomForKeyboard();
}

/** iOS lays its keyboard over the page: the part of it that is seen ends above. */
function makeRoomForKeyboard() {
  const view = window.visualViewport;
  view?.addEventListener('resize', () => {
    // Zoomed in by the browser, less is seen for another reason.
    const covered = view.scale === 1 ? Math.max(0, innerHeight - view.height - view.offsetTop) : 0;
    document.documentElement.style.setProperty('--keyboard', `${Math.round(covered)}px`);
  });
}
