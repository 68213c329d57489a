/**
 * Things to tell: once, or as long as they hold (no network, no space, another tab).
 *
 * Invariant: errors stay until they are closed; the rest goes by itself, but not while it is pointed at or has the focus.
 */

import { t } from '../i18n/index.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { icon, iconButton, panel } from './parts.js';

/** ms */
const SHOWN = 5000;
const ICONS = { info: 'info', success: 'check', warning: 'alert', error: 'alert' };

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createToasts(root, { store, actions }) {
  /** @type {Map<number, ReturnType<typeof setTimeout>>} */
  const timers = new Map();

  panel(root, store, ['notices', 'online', 'storage', 'canvasAltered', 'document'], (state) => {
    for (const notice of state.notices) {
      if (notice.kind !== 'error' && !timers.has(notice.id)) timers.set(notice.id, setTimeout(() => leave(notice.id), SHOWN));
    }
    return html`
      ${state.online ? nothing : lasting('offline', 'state.offline')}
      ${state.storage.full ? lasting('alert', 'state.full') : nothing}
      ${state.storage.available ? nothing : lasting('alert', 'state.no_storage')}
      ${state.canvasAltered ? lasting('alert', 'state.canvas_altered') : nothing}
      ${state.document.readOnly ? lasting('documents', 'state.read_only', html`<button type="button" class="button small" @click=${() => void actions.copyDocument()}>${t('state.copy')}</button>`) : nothing}
      ${repeat(state.notices, (notice) => notice.id, drawNotice)}`;
  });

  /** @param {string} picture @param {string} key @param {unknown} [more] */
  const lasting = (picture, key, more = nothing) => html`<div class="toast warning" role="status">${icon(picture)}<p>${t(key)}</p>${more}</div>`;

  /** @param {import('../model/types.js').Notice} notice */
  function drawNotice({ id, kind, key, params, detail, action }) {
    return html`<div class="toast ${kind}" role=${kind === 'error' ? 'alert' : 'status'} data-id=${id}>
      ${icon(ICONS[kind])}
      <p>${t(key, params)}${detail ? html`<span class="detail" lang="en"><br>${detail}</span>` : nothing}</p>
      ${action ? html`<button type="button" class="button small" @click=${() => {
        const run = /** @type {Record<string, any>} */ (actions)[action.run];
        actions.dismissNotice(id);
        run?.(...(action.args ?? []));
      }}>${t(action.key)}</button>` : nothing}
      ${iconButton({ name: 'close', icon: 'close', small: true, run: () => actions.dismissNotice(id) })}
    </div>`;
  }

  /** @param {number} id */
  function leave(id) {
    const toast = root.querySelector(`[data-id="${id}"]`);
    if (toast?.matches(':hover, :focus-within')) {
      timers.set(id, setTimeout(() => leave(id), SHOWN));
      return;
    }
    timers.delete(id);
    actions.dismissNotice(id);
  }
}

/** ms left of a job whose progress is worth reading out. */
const LONG = 4000;

/** What is read out: the one live region of the page. @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createLive(root, { store }) {
  /** Quarters that were told, by job. @type {Map<string, number>} */
  const told = new Map();

  /** @param {string} words */
  function say(words) {
    // The same words twice are heard twice only if the region was empty in between.
    root.textContent = '';
    requestAnimationFrame(() => {
      root.textContent = words;
    });
  }

  store.subscribe(({ announcement, jobs }, before) => {
    if (announcement && announcement !== before.announcement) return say(t(announcement.key, announcement.params));
    for (const job of jobs === before.jobs ? [] : jobs) {
      const quarter = Math.floor(job.percent / 25);
      if (job.status !== 'running' || quarter < 1 || quarter > 3 || quarter <= (told.get(job.key) ?? 0) || (job.etaMs ?? 0) < LONG) continue;
      told.set(job.key, quarter);
      say(t('live.progress', { percent: quarter * 25 }));
    }
  });
}
