/**
 * The bar below the sheet: what Generate will do, the prompt, and Generate.
 *
 * Invariant: the sentence comes from `state.plan` alone, and describes the button to those who cannot see it.
 */

import { has, t } from '../i18n/index.js';
import { classMap } from '../vendor/lit-html/directives/class-map.js';
import { unavailable } from '../model/capabilities.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { ref } from '../vendor/lit-html/directives/ref.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { drawExtend } from './extend.js';
import { dragOver, takeDrop } from './fusion.js';
import { activeJob, jobSentence, problemAlert } from './job.js';
import { drawMore, SHOWN_IN_MORE } from './more.js';
import { icon, panel, ring, slider } from './parts.js';
import { drawCount, drawRatios } from './shape.js';
import { drawStyles, styleTitle } from './styles.js';

/** @typedef {import('../model/types.js').DialogName} DialogName */

/** ms within which a second tap belongs to the first. */
const DOUBLE_MS = 500;

/** Parts that open above the prompt. @type {Record<string, (context: import('./parts.js').Context, state: import('./parts.js').State) => unknown>} */
const DRAWERS = { more: drawMore, styles: drawStyles, extend: drawExtend };

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createPrompt(root, context) {
  const { store, actions } = context;
  const draw = panel(root, store, ['settings', 'plan', 'jobs', 'capabilities', 'styles', 'ui', 'ratio', 'document', 'fieldErrors', 'staging', 'window', 'fusion'], view);
  // A countdown is the one thing that changes by itself.
  setInterval(() => {
    if (store.state.jobs.some((job) => job.status === 'waiting')) draw();
  }, 1000);

  root.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !(store.state.ui.dialog in DRAWERS)) return;
    event.stopPropagation();
    const opener = root.querySelector(`[data-drawer="${store.state.ui.dialog}"]`);
    actions.openDialog('none');
    /** @type {HTMLElement|null} */ (opener)?.focus();
  });

  // A drawer lies over the sheet, so a hand on the sheet puts it away.
  document.getElementById('sheet')?.addEventListener('pointerdown', close);

  function close() {
    if (store.state.ui.dialog in DRAWERS) actions.openDialog('none');
  }

  /** @param {MouseEvent} event @param {DialogName} name */
  function toggle(event, name) {
    actions.openDialog(name);
    // Opened by a key, it is where the next key is meant.
    if (event.detail === 0) requestAnimationFrame(() => /** @type {HTMLElement[]} */ ([...root.querySelectorAll('#drawer :is(button, textarea)')]).find((one) => one.tabIndex === 0 && one.checkVisibility())?.focus());
  }

  /** @param {import('./parts.js').State} state */
  function view(state) {
    const { settings, ui, fieldErrors } = state;
    const job = activeJob(state);
    // Seen on the tab while another one is looked at.
    document.title = job?.status === 'running' ? `${Math.round(job.percent)}% · kandinsky` : 'kandinsky';
    const failed = state.jobs.find((one) => one.status === 'failed');
    const open = DRAWERS[ui.dialog];
    const ratio = state.ratio === 'free' ? t('prompt.ratio.free') : state.ratio;
    const errors = Object.entries(fieldErrors).filter(([name]) => name !== 'prompt' && !name.includes('/') && !(ui.dialog === 'more' && SHOWN_IN_MORE.includes(name)));
    return html`<section class="island prompt" aria-label=${t('prompt.label')}>
      ${open ? html`<div class="island drawer" id="drawer" role="group" aria-label=${t(`prompt.${ui.dialog}`)} data-drawer-open=${ui.dialog}>${open(context, state)}</div>` : nothing}
      ${failed ? problemAlert(failed, actions) : nothing}
      <div class="plan-line">
        <p id="plan" class=${classMap({ plan: true, busy: Boolean(job), blocked: !job && !state.plan.enabled })}>${job ? jobSentence(job) : planSentence(state.plan)}</p>
        ${job ? html`<progress class="unseen" max="100" .value=${job.percent} aria-label=${t('prompt.progress')}></progress>` : nothing}
        ${extras(state)}
      </div>
      <label class="unseen" for="prompt-text">${t('prompt.label')}</label>
      <textarea id="prompt-text" dir="auto" ?hidden=${state.fusion.open} rows="1" enterkeyhint="go" autocomplete="off" spellcheck="true" maxlength=${state.capabilities?.limits.max_prompt_chars ?? nothing}
        placeholder=${placeholder(state)} .value=${live(settings.prompt)} aria-invalid=${fieldErrors.prompt ? 'true' : nothing}
        aria-describedby=${fieldErrors.prompt ? 'prompt-error plan' : 'plan'} @input=${input} @keydown=${enter} ${ref(grow)}></textarea>
      ${fieldErrors.prompt ? html`<p class="error-text" id="prompt-error" lang="en">${fieldErrors.prompt}</p>` : nothing}
      ${errors.map(([name, message]) => html`<p class="error-text" lang="en">${has(`field.${name}`) ? t(`field.${name}`) : name}: ${message}</p>`)}
      <div class="prompt-row">
        ${drawerButton(state, 'styles', 'style', settings.style ? styleTitle(state, settings.style) : t('prompt.styles'), Boolean(settings.style))}
        ${drawRatios(context, state)}
        <button type="button" class="chip never ratio-chip numbers" aria-expanded=${String(ui.dialog === 'more')} aria-label="${t('prompt.ratio')}: ${ratio}" @click=${() => actions.openDialog(ui.dialog === 'more' ? 'none' : 'more')}>${ratio}</button>
        ${drawCount(context, state)}
        ${drawerButton(state, 'more', 'more', t('prompt.more'), false)}
        <span class="grow"></span>
        ${generate(state, job)}
      </div>
    </section>`;
  }

  /** @param {Event} event */
  function input(event) {
    const area = /** @type {HTMLTextAreaElement} */ (event.target);
    actions.setSettings({ prompt: area.value });
    grow(area);
  }

  function start() {
    const { plan, jobs } = store.state;
    if (!plan.enabled) return;
    close();
    // What failed before is answered by this.
    for (const job of jobs) if (job.status === 'failed') actions.dismiss(job.key);
    void actions.generate();
  }

  /** The second click of two was meant for Generate, which was here a moment ago. @param {MouseEvent} event @param {import('../model/types.js').Job} job */
  function stop(event, job) {
    if (event.detail < 2 && Date.now() - job.createdAt > DOUBLE_MS) actions.stop();
  }

  /** @param {KeyboardEvent} event */
  function enter(event) {
    // Ctrl+Enter is everyone's; Shift+Enter is a new line, and Enter within an input method is its own.
    if (event.key !== 'Enter' || event.shiftKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    event.preventDefault();
    start();
  }

  /** What only some plans have: strength, variations, extending, fusion. @param {import('./parts.js').State} state */
  function extras(state) {
    const { plan, settings, document, fusion } = state;
    // A fusion is made of its cards alone.
    const empty = document.bounds === null || fusion.open;
    /** Why the loaded model cannot do that, or nothing. @param {import('../model/types.js').Mode} mode */
    const lacks = (mode) => (state.capabilities && unavailable(state.capabilities, mode)) ?? '';
    /** A finger sees no hints. @param {import('../model/types.js').Mode} mode */
    const explain = (mode) => actions.notify({ kind: 'info', key: 'plan.unavailable', params: { mode: t(`mode.${mode}`), reason: lacks(mode) } });
    const fuses = !lacks('image-fusion') || !lacks('text-image-fusion');
    return html`<div class="extras">
      ${plan.usesStrength ? html`<div class="strength"><span aria-hidden="true">${t('prompt.strength')}</span>${slider({
        id: 'strength', label: t('prompt.strength'), bare: true, min: 0.05, max: 1, step: 0.05, value: settings.strength, set: (strength) => actions.setSettings({ strength }),
      })}</div>` : nothing}
      ${empty ? nothing : html`
        <button type="button" class="chip" aria-pressed=${String(settings.vary)} aria-disabled=${lacks('image-variations') ? 'true' : nothing} title=${lacks('image-variations') || t('prompt.vary.hint')}
          @click=${() => (!settings.vary && lacks('image-variations') ? explain('image-variations') : actions.setSettings({ vary: !settings.vary }))}>${icon('vary', 'small')}<span>${t('prompt.vary')}</span></button>
        ${drawerButton(state, 'extend', 'extend', t('prompt.extend'), false, lacks('outpainting'), () => explain('outpainting'))}`}
      <button type="button" class="chip" aria-pressed=${String(fusion.open)} aria-disabled=${fuses ? nothing : 'true'} title=${fuses ? t('prompt.fusion.hint') : lacks('image-fusion')}
        @click=${() => (!fusion.open && !fuses ? explain('image-fusion') : actions.openFusion(!fusion.open))} @dragover=${dragOver} @drop=${(/** @type {DragEvent} */ event) => void takeDrop(event, actions)}>${icon('fusion', 'small')}<span>${t('prompt.fusion')}</span></button>
    </div>`;
  }

  /**
   * @param {import('./parts.js').State} state
   * @param {DialogName} name
   * @param {string} picture
   * @param {string} label
   * @param {boolean} chosen
   * @param {string} [reason]  why it cannot be opened
   * @param {() => void} [explain]
   */
  function drawerButton({ ui }, name, picture, label, chosen, reason = '', explain) {
    const open = ui.dialog === name;
    return html`<button type="button" class=${classMap({ chip: true, chosen })} data-drawer=${name} aria-expanded=${String(open)} aria-controls=${open ? 'drawer' : nothing}
      aria-disabled=${reason ? 'true' : nothing} title=${reason || label} @click=${(/** @type {MouseEvent} */ event) => (reason ? explain?.() : toggle(event, open ? 'none' : name))}>${icon(picture, 'small')}<span>${label}</span></button>`;
  }

  /**
   * @param {import('./parts.js').State} state
   * @param {import('../model/types.js').Job|undefined} job
   */
  function generate({ plan }, job) {
    if (job) {
      const share = job.status === 'running' ? job.percent / 100 : null;
      return html`<button type="button" class="button primary generate" id="stop" @click=${(/** @type {MouseEvent} */ event) => stop(event, job)}>${ring(share)}<span>${t('prompt.stop')}</span></button>`;
    }
    // Stays in the order of Tab while it cannot be used, so that the reason can be heard.
    return html`<button type="button" class="button primary generate" id="generate" aria-disabled=${plan.enabled ? nothing : 'true'} aria-describedby="plan"
      title="Ctrl+Enter" @click=${start}><span>${t('prompt.generate')}</span></button>`;
  }
}

/** @param {import('../model/types.js').Plan} plan */
function planSentence({ key, params }) {
  if (!key) return '';
  if (key === 'plan.unavailable') return t(key, { ...params, mode: t(`mode.${params.mode ?? ''}`) });
  return t(key, params);
}

/** @param {import('./parts.js').State} state */
function placeholder({ plan, document }) {
  if (document.bounds === null) return t('prompt.placeholder');
  return t(plan.needsPrompt ? 'prompt.placeholder' : 'prompt.placeholder.optional');
}

/** As high as its text, where the browser does not do that by itself. @param {Element|undefined} element */
function grow(element) {
  const area = /** @type {HTMLTextAreaElement|undefined} */ (element);
  if (!area || CSS.supports('field-sizing', 'content')) return;
  area.style.setProperty('height', 'auto');
  area.style.setProperty('height', `${area.scrollHeight}px`);
}
