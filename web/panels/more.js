/**
 * Everything else that a request can say, for those who want it: seed, steps, guidance, prior, negative prompt, format.
 *
 * Invariant: what is not touched is not sent, so that the server's defaults hold; choices and limits are the server's.
 */

import { has, t } from '../i18n/index.js';
import { defaults } from '../model/capabilities.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { iconButton, slider } from './parts.js';
import { drawRatios } from './shape.js';

/** Fields of requests whose violations are shown beside them here. */
export const SHOWN_IN_MORE = ['negative_prompt', 'seed', 'steps', 'guidance_scale', 'prior', 'feather'];

/** @param {import('./parts.js').Context} context @param {import('./parts.js').State} state */
export function drawMore(context, state) {
  const { actions } = context;
  const { settings, capabilities, fieldErrors, plan } = state;
  const usual = defaults(capabilities);
  const widest = /** @type {{max_feather?: number}|undefined} */ (capabilities?.limits)?.max_feather ?? 256;
  const most = capabilities?.limits.max_steps ?? 100;
  const kind = settings.prior.kind ?? usual.prior.kind;
  /** @param {Partial<import('../model/types.js').Settings['prior']>} change */
  const prior = (change) => actions.setSettings({ prior: { ...settings.prior, ...change } });
  return html`<div class="more">
    <div class="field whole phone">
      <span class="label">${t('prompt.ratio')}</span>
      ${drawRatios(context, state)}
    </div>
    <div class="field whole">
      <label for="negative">${t('more.negative')}</label>
      <textarea class="input" id="negative" dir="auto" rows="1" placeholder=${t('more.negative.placeholder')} .value=${live(settings.negativePrompt)}
        aria-invalid=${fieldErrors.negative_prompt ? 'true' : nothing}
        @input=${(/** @type {Event} */ event) => actions.setSettings({ negativePrompt: /** @type {HTMLTextAreaElement} */ (event.target).value })}></textarea>
      ${fieldErrors.negative_prompt ? html`<p class="error">${fieldErrors.negative_prompt}</p>` : nothing}
    </div>
    <div>
      ${slider({ id: 'steps', label: t('more.steps'), value: settings.steps ?? Math.min(most, usual.steps), min: 1, max: Math.min(most, 200), step: 1, error: fieldErrors.steps, set: (steps) => actions.setSettings({ steps: Math.round(steps) }) })}
      ${slider({ id: 'guidance', label: t('more.guidance'), value: settings.guidance ?? usual.guidance_scale, min: 1, max: 15, step: 0.5, error: fieldErrors.guidance_scale, set: (guidance) => actions.setSettings({ guidance }) })}
      ${slider({ id: 'feather', label: t('more.feather'), value: settings.feather, min: 0, max: Math.min(widest, Math.max(8, Math.round(state.window.w / 8))), step: 1, disabled: !plan.usesFeather, error: fieldErrors.feather, set: (feather) => actions.setSettings({ feather: Math.round(feather) }) })}
      ${choice('scheduler', settings.scheduler, capabilities?.schedulers ?? [], (scheduler) => actions.setSettings({ scheduler }), usual.scheduler)}
      ${drawAcceleration(state, actions)}
    </div>
    <div>
      <div class="field">
        <label for="seed">${t('more.seed')}</label>
        <div class="row">
          <input class="input numbers" id="seed" type="number" min="0" step="1" inputmode="numeric" placeholder=${t('more.seed.random')}
            .value=${live(settings.seed === null ? '' : String(settings.seed))} aria-invalid=${fieldErrors.seed ? 'true' : nothing}
            @change=${(/** @type {Event} */ event) => setSeed(/** @type {HTMLInputElement} */ (event.target))}>
          ${iconButton({ name: 'more.dice', icon: 'dice', key: 'D', run: () => actions.rollSeed() })}
          ${iconButton({ name: settings.seedLocked ? 'more.unlock' : 'more.lock', icon: settings.seedLocked ? 'lock' : 'unlock', pressed: settings.seedLocked, run: () => actions.setSettings({ seedLocked: !settings.seedLocked }) })}
        </div>
        ${fieldErrors.seed ? html`<p class="error">${fieldErrors.seed}</p>` : nothing}
      </div>
      ${choice('prior', settings.prior.kind, capabilities?.priors ?? [], (value) => prior({ kind: value }), usual.prior.kind)}
      ${slider({ id: 'prior-steps', label: t('more.prior_steps'), value: settings.prior.steps ?? usual.prior.steps, min: 1, max: Math.min(most, 100), step: 1, disabled: kind !== 'diffusion', error: fieldErrors.prior, set: (steps) => prior({ steps: Math.round(steps) }) })}
      ${slider({ id: 'prior-guidance', label: t('more.prior_guidance'), value: settings.prior.guidance ?? usual.prior.guidance_scale, min: 1, max: 15, step: 0.5, disabled: kind !== 'diffusion', set: (guidance) => prior({ guidance }) })}
      ${choice('format', settings.format, capabilities?.output_formats ?? [], (format) => actions.setSettings({ format: format ?? 'png' }), null)}
    </div>
    <div class="whole row spread">
      <p class="muted small-text">${t('more.defaults')}</p>
      <button type="button" class="button small" @click=${() => actions.resetSettings()}>${t('more.reset')}</button>
    </div>
  </div>`;

  /** @param {HTMLInputElement} input */
  function setSeed(input) {
    const seed = input.value === '' ? null : Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.round(input.valueAsNumber)));
    actions.setSettings({ seed, seedLocked: seed !== null });
  }
}

/**
 * Less work for nearly the same image, as the server recommends it; other values come with files.
 * @param {import('./parts.js').State} state
 * @param {import('./parts.js').Context['actions']} actions
 */
function drawAcceleration({ settings, capabilities }, actions) {
  const fast = capabilities?.acceleration?.fast;
  if (!fast) return nothing;
  const isFast = JSON.stringify(settings.acceleration) === JSON.stringify(fast.acceleration);
  const value = !settings.acceleration ? 'off' : isFast ? 'fast' : 'own';
  const all = value === 'own' ? ['off', 'fast', 'own'] : ['off', 'fast'];
  return choice('acceleration', value, all, (chosen) => {
    if (chosen === 'fast') actions.setSettings({ steps: fast.steps, acceleration: fast.acceleration });
    else if (chosen !== 'own') actions.setSettings({ acceleration: null, ...(isFast ? { steps: null } : {}) });
  }, 'off');
}

/**
 * @param {string} name
 * @param {string|null} value
 * @param {string[]} all
 * @param {(value: string|null) => void} set
 * @param {string|null} [usual]  what the server takes if nothing is said, and what is then sent: nothing. null: something must be said
 */
function choice(name, value, all, set, usual) {
  if (all.length < 2) return nothing;
  const label = (/** @type {string} */ one) => (has(`${name}.${one}`) ? t(`${name}.${one}`) : name === 'format' ? one.toUpperCase() : one);
  return html`<div class="field">
    <label for=${name}>${t(`more.${name}`)}</label>
    <select class="input" id=${name} @change=${(/** @type {Event} */ event) => set(/** @type {HTMLSelectElement} */ (event.target).value || null)}>
      ${usual === null ? nothing : html`<option value="" ?selected=${value === null || value === usual}>${usual ? label(usual) : t('more.default')}</option>`}
      ${all.filter((one) => one !== usual).map((one) => html`<option value=${one} ?selected=${one === value}>${label(one)}</option>`)}
    </select>
  </div>`;
}
