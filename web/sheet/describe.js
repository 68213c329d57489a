/**
 * The sheet in words, for those who do not see it.
 *
 * Invariant: says what is there now; it is set on the canvas, and announced by itself only when the window was moved by keys.
 */

import { t } from '../i18n/index.js';

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import('../model/store.js').Store} store
 */
export function describeSheet(canvas, store) {
  function say() {
    const { document: { bounds }, window, plan } = store.state;
    const at = { x: window.x, y: window.y, width: window.w, height: window.h };
    const size = bounds ? t('sheet.size', { width: bounds.w, height: bounds.h }) : t('sheet.empty');
    const label = `${size} ${t('sheet.window', at)} ${t(plan.key, plan.params)}`;
    if (canvas.getAttribute('aria-label') !== label) canvas.setAttribute('aria-label', label);
  }

  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-roledescription', t('sheet.role'));
  store.subscribe((state, before) => {
    if (state.document !== before.document || state.window !== before.window || state.plan !== before.plan) say();
  });
  document.addEventListener('kd:language', () => {
    canvas.setAttribute('aria-roledescription', t('sheet.role'));
    say();
  });
  say();
}
