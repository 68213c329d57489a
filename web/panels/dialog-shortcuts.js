/**
 * The list of keys, as it is in `sheet/keys.js`.
 *
 * Invariant: nothing is listed that does not work, since the list is the one that the keys go by.
 */

import { t } from '../i18n/index.js';
import { OTHER_KEYS, SHORTCUTS } from '../sheet/keys.js';
import { html } from '../vendor/lit-html/lit-html.js';

const GROUPS = ['generate', 'tools', 'window', 'edit', 'view', 'files'];

/** Names of keys as they are printed on them. @type {Record<string, string>} */
const NAMES = { Escape: 'Esc', Delete: 'Del', Backspace: '⌫' };
const APPLE = /Mac|iPhone|iPad/.test(navigator.userAgent);

/** @type {import('./dialogs.js').DrawDialog} */
export function drawShortcuts() {
  const all = [...SHORTCUTS, ...OTHER_KEYS];
  return html`<div class="shortcuts">${GROUPS.map((group) => html`<section>
    <h3>${t(`keys.${group}`)}</h3>
    <dl>${all.filter((one) => one.group === group).map((one) => html`<div><dt>${t(`key.${one.id}`)}</dt>
      <dd>${one.keys.filter((keys) => keys !== 'Shift+?' && keys !== 'Shift++').slice(0, 2).map((keys, at) => html`${at ? html` <span class="muted">/</span> ` : ''}${parts(keys).map((key) => html`<kbd>${key}</kbd>`)}`)}</dd></div>`)}</dl>
  </section>`)}</div>
  <p class="muted small-text">${t('keys.layout')}</p>`;
}

/** @param {string} keys such as `Ctrl+Shift+z` */
function parts(keys) {
  // The sign + is a key, too.
  const names = keys.endsWith('+') ? [...keys.slice(0, -1).split('+').filter(Boolean), '+'] : keys.split('+');
  return names.map((name) => (name === 'Ctrl' && APPLE ? '⌘' : name === 'Space' ? t('key.name.space') : (NAMES[name] ?? (name.length === 1 ? name.toUpperCase() : name))));
}
