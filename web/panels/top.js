/**
 * The two islands at the top: the menu, files and undo at the left, history at the right.
 *
 * Invariant: everything here is also in the menu or on a key; on a phone the rest is in the menu.
 */

import { chooseLanguage, language, t } from '../i18n/index.js';
import { createRef, ref } from '../vendor/lit-html/directives/ref.js';
import { html } from '../vendor/lit-html/lit-html.js';
import { closeMenu, openMenu } from './menu.js';
import { icon, iconButton, panel, segments } from './parts.js';

const MARK = new URL('../icon.svg', import.meta.url).href;
const DOCS = new URL('../../docs/', import.meta.url).href;

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createTop(root, { store, actions }) {
  /** @type {import('../vendor/lit-html/directives/ref.js').Ref<HTMLElement>} */
  const menu = createRef();
  /** @type {import('../vendor/lit-html/directives/ref.js').Ref<HTMLInputElement>} */
  const maskFile = createRef();

  /**
   * @param {string} name
   * @param {string} picture
   * @param {() => void} run
   * @param {string} [key]
   * @param {boolean} [disabled]
   */
  const entry = (name, picture, run, key = '', disabled = false) => html`<button type="button" class="button" ?disabled=${disabled}
    @click=${(/** @type {Event} */ event) => {
      closeMenu(event);
      run();
    }}>${icon(picture, 'small')}<span>${t(name)}</span><span class="key">${key}</span></button>`;

  panel(root, store, ['document', 'steps', 'stepAt', 'ui', 'jobs', 'pictures', 'storage'], (state) => {
    const empty = state.document.bounds === null;
    const active = state.jobs.filter((job) => job.status !== 'failed').length;
    /** @param {'steps'|'pictures'} side */
    const toggle = (side) => () => actions.setUi({ side: state.ui.side === side ? 'none' : side });
    return html`
      <nav class="island bar" aria-label=${t('top.file')}>
        <button type="button" class="icon-button mark" id="menu-button" aria-label=${t('top.menu')} title=${t('top.menu')} aria-haspopup="true"
          @click=${(/** @type {Event} */ event) => openMenu(/** @type {HTMLElement} */ (menu.value), /** @type {Element} */ (event.currentTarget))}>
          <img src=${MARK} alt="" width="26" height="26">
        </button>
        <button type="button" class="button labelled" aria-label=${t('top.open')} title="${t('top.open')} (Ctrl+O)" @click=${() => actions.chooseFile()}>
          ${icon('open')}<span>${t('top.open')}</span></button>
        <button type="button" class="button labelled" aria-label=${t('top.save')} title="${t('top.save')} (Ctrl+S)" ?disabled=${empty}
          @click=${() => actions.openDialog('save')}>${icon('save')}<span>${t('top.save')}</span></button>
        <span class="separator"></span>
        ${iconButton({ name: 'top.undo', icon: 'undo', key: 'Ctrl+Z', what: stepName(state, state.stepAt), disabled: state.stepAt === 0, run: () => actions.undo() })}
        ${iconButton({ name: 'top.redo', icon: 'redo', key: 'Ctrl+Shift+Z', what: stepName(state, state.stepAt + 1), disabled: state.stepAt >= state.steps.length - 1, run: () => actions.redo() })}
      </nav>
      <div class="menu" popover id="menu" ${ref(menu)}>
        ${entry('menu.new', 'new', () => actions.openDialog('new'))}
        ${entry('menu.open', 'open', () => actions.chooseFile(), 'Ctrl+O')}
        ${entry('menu.documents', 'documents', () => actions.openDialog('documents'))}
        ${entry('menu.paste', 'paste', () => void actions.paste(), 'Ctrl+V')}
        <div class="separator across"></div>
        ${entry('menu.save', 'save', () => actions.openDialog('save'), 'Ctrl+S', empty)}
        ${entry('menu.copy', 'copy', () => void actions.copy(), 'Ctrl+C', empty)}
        ${entry('menu.export', 'file', () => void actions.exportDocument(), '', empty)}
        ${entry('menu.mask_out', 'mask', () => void actions.exportMask(), '', empty)}
        ${entry('menu.mask_in', 'upload', () => maskFile.value?.click(), '', empty)}
        <div class="separator across"></div>
        ${entry('menu.settings', 'settings', () => actions.openDialog('settings'))}
        ${entry('menu.shortcuts', 'keyboard', () => actions.openDialog('shortcuts'), '?')}
        ${entry('menu.api', 'code', () => window.open(DOCS, '_blank', 'noopener'))}
        <div class="separator across"></div>
        <div class="menu-choices">
          ${segments({
            label: t('settings.theme'),
            value: state.ui.theme,
            choices: [
              { value: 'auto', label: icon('auto', 'small'), name: t('theme.auto') },
              { value: 'light', label: icon('sun', 'small'), name: t('theme.light') },
              { value: 'dark', label: icon('moon', 'small'), name: t('theme.dark') },
            ],
            set: (theme) => actions.setUi({ theme }),
          })}
          ${segments({
            label: t('settings.language'),
            value: language(),
            choices: [
              { value: 'en', label: 'EN', name: 'English' },
              { value: 'ru', label: 'РУ', name: 'Русский' },
            ],
            set: (chosen) => {
              void chooseLanguage(chosen);
              actions.setUi({ language: chosen });
            },
          })}
        </div>
        <input type="file" class="unseen" tabindex="-1" accept="image/*" aria-label=${t('menu.mask_in')} ${ref(maskFile)}
          @change=${(/** @type {Event} */ event) => {
            const input = /** @type {HTMLInputElement} */ (event.target);
            if (input.files?.[0]) void actions.importMask(input.files[0]);
            input.value = '';
          }}>
      </div>
      <nav class="island bar" aria-label=${t('top.history')}>
        ${iconButton({ name: 'top.steps', icon: 'steps', expanded: state.ui.side === 'steps', run: toggle('steps'), id: 'steps-button' })}
        <button type="button" class="button labelled" aria-expanded=${String(state.ui.side === 'pictures')} aria-label=${t('top.pictures')}
          title=${t('top.pictures')} @click=${toggle('pictures')}>${icon('pictures')}<span>${t('top.pictures')}</span>
          ${active ? html`<span class="badge numbers">${active}</span>` : ''}</button>
      </nav>`;
  });
}

/** The step that undo or redo is about; the first one cannot be undone. @param {import('./parts.js').State} state @param {number} at */
function stepName({ steps }, at) {
  const step = at > 0 ? steps[at] : undefined;
  return step ? t(step.key, step.params) : '';
}
