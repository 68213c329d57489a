/**
 * What every panel is made of: the render loop, icons, buttons, sliders.
 *
 * Invariant: a panel renders from the state alone and runs only when a part of the state that it names has changed.
 */

import { t } from '../i18n/index.js';
import { classMap } from '../vendor/lit-html/directives/class-map.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { ref } from '../vendor/lit-html/directives/ref.js';
import { html, nothing, render } from '../vendor/lit-html/lit-html.js';
import { ICONS } from './icons.js';

/** @typedef {import('../model/types.js').State} State */
/** @typedef {import('../model/store.js').Store} Store */
/** @typedef {import('../actions/types.js').Actions} Actions */
/** @typedef {{store: Store, actions: Actions}} Context */

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {(keyof State)[]} parts  changes of these render it again
 * @param {(state: State) => unknown} view
 * @returns {() => void} renders it now
 */
export function panel(root, store, parts, view) {
  const draw = () => render(view(store.state), root);
  store.subscribe((state, before) => {
    if (parts.some((part) => state[part] !== before[part])) draw();
  });
  document.addEventListener('kd:language', draw);
  draw();
  return draw;
}

/** @param {string} name @param {string} [classes] */
export const icon = (name, classes = '') =>
  html`<svg class="icon ${classes}" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${ICONS[name]}</svg>`;

/**
 * A button of an icon; its name is read out and shown as a hint.
 * @param {object} options
 * @param {string} options.name     i18n key
 * @param {string} options.icon
 * @param {(event: MouseEvent) => void} options.run
 * @param {string} [options.key]    the shortcut, shown in the hint
 * @param {boolean} [options.disabled]
 * @param {boolean} [options.pressed]
 * @param {boolean} [options.expanded]
 * @param {boolean} [options.small]
 * @param {string} [options.id]
 * @param {boolean} [options.filled]
 * @param {string} [options.what]     in words: what it would be done to
 */
export function iconButton({ name, icon: picture, run, key, disabled, pressed, expanded, small, id, filled, what }) {
  const label = what ? `${t(name)}: ${what}` : t(name);
  return html`<button
    type="button"
    class=${classMap({ 'icon-button': true, small: small ?? false })}
    id=${id ?? nothing}
    aria-label=${label}
    title=${key ? `${label} (${key})` : label}
    aria-pressed=${pressed === undefined ? nothing : String(pressed)}
    aria-expanded=${expanded === undefined ? nothing : String(expanded)}
    ?disabled=${disabled ?? false}
    @click=${run}
  >${icon(picture, filled ? 'filled' : '')}</button>`;
}

/**
 * A slider with its number, which can be typed, too.
 * @param {object} options
 * @param {string} options.id
 * @param {string} options.label     in words
 * @param {number} options.value
 * @param {number} options.min
 * @param {number} options.max
 * @param {number} options.step
 * @param {(value: number) => void} options.set
 * @param {boolean} [options.bare]   the slider alone, its label unseen
 * @param {string} [options.error]
 * @param {boolean} [options.disabled]
 */
export function slider({ id, label, value, min, max, step, set, bare, error, disabled }) {
  const share = max > min ? (Math.min(Math.max(value, min), max) - min) / (max - min) : 0;
  const fill = ref((element) => /** @type {HTMLElement|undefined} */ (element)?.style.setProperty('--fill', `${share * 100}%`));
  const take = (/** @type {Event} */ event) => {
    const typed = /** @type {HTMLInputElement} */ (event.target).valueAsNumber;
    if (Number.isFinite(typed)) set(Math.min(Math.max(typed, min), max));
  };
  const range = html`<input class="slider" type="range" id=${id} aria-label=${bare ? label : nothing} min=${min} max=${max} step=${step}
    .value=${live(String(value))} ?disabled=${disabled ?? false} aria-describedby=${error ? `${id}-error` : nothing} @input=${take} ${fill}>`;
  if (bare) return range;
  return html`<div class="field">
    <div class="label"><label for=${id}>${label}</label>
      <input class="number" type="number" inputmode="decimal" aria-label=${label} min=${min} max=${max} step=${step} .value=${live(String(value))}
        aria-invalid=${error ? 'true' : nothing} ?disabled=${disabled ?? false} @change=${take}></div>
    ${range}
    ${error ? html`<p class="error" id="${id}-error">${error}</p>` : nothing}
  </div>`;
}

/**
 * One of several, as a row of chips: arrow keys go along it.
 * @template {string} T
 * @param {object} options
 * @param {string} options.label
 * @param {T} options.value
 * @param {{value: T, label: unknown, name?: string, disabled?: boolean}[]} options.choices  name: what is read out, if the label is an icon
 * @param {(value: T) => void} options.set
 * @param {string} [options.classes]
 */
export function segments({ label, value, choices, set, classes = '' }) {
  const reachable = choices.some((choice) => choice.value === value) ? value : choices[0]?.value;
  return html`<div class="segments ${classes}" role="radiogroup" aria-label=${label} @keydown=${moveAlong}>
    ${choices.map((choice) => html`<button type="button" class="chip" role="radio" data-value=${choice.value}
      aria-checked=${String(choice.value === value)} tabindex=${choice.value === reachable ? 0 : -1}
      aria-label=${choice.name ?? nothing} title=${choice.name ?? nothing} ?disabled=${choice.disabled ?? false}
      @click=${() => set(choice.value)}>${choice.label}</button>`)}
  </div>`;
}

/** Arrow keys, Home and End in a group of buttons of which one is reached by Tab. @param {KeyboardEvent} event */
export function moveAlong(event) {
  const group = /** @type {HTMLElement} */ (event.currentTarget);
  const items = /** @type {HTMLElement[]} */ ([...group.querySelectorAll('button:not(:disabled)')]);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const to = event.key === 'Home' ? 0 : event.key === 'End' ? items.length - 1 : by === undefined ? -1 : (at + by + items.length) % items.length;
  if (at < 0 || to < 0) return;
  event.preventDefault();
  event.stopPropagation();
  items[to].focus();
  // As radio buttons do, the choice goes along.
  if (items[to].getAttribute('role') === 'radio' || items[to].getAttribute('role') === 'tab') items[to].click();
}

/** @param {number|null} share 0..1, or null while nothing is known */
export function ring(share) {
  const set = ref((element) => /** @type {SVGElement|undefined} */ (element)?.style.setProperty('--share', String(share ?? 0)));
  return html`<svg class="ring ${share === null ? 'busy' : ''}" viewBox="0 0 20 20" aria-hidden="true" ${set}>
    <circle cx="10" cy="10" r="8"></circle><circle cx="10" cy="10" r="8" pathLength="1"></circle></svg>`;
}

/** Addresses of blobs, made once for each. @type {WeakMap<Blob, string>} */
const addresses = new WeakMap();

/** @param {Blob} blob */
export function addressOf(blob) {
  let address = addresses.get(blob);
  if (!address) {
    address = URL.createObjectURL(blob);
    addresses.set(blob, address);
    collected.register(blob, address);
  }
  return address;
}

const collected = new FinalizationRegistry((/** @type {string} */ address) => URL.revokeObjectURL(address));
