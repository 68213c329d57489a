/**
 * The tools, what the chosen one can be set to, and zoom.
 *
 * Invariant: one tool is chosen at any time; the group is one stop of the Tab key, and arrow keys go along it.
 */

import { has, number, t } from '../i18n/index.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { icon, iconButton, moveAlong, panel, slider } from './parts.js';

/** @typedef {import('../model/types.js').ToolName} ToolName */

/** @type {{tool: ToolName, key: string}[]} */
const TOOLS = [
  { tool: 'window', key: 'V' },
  { tool: 'hand', key: 'H' },
  { tool: 'eraser', key: 'E' },
  { tool: 'restore', key: 'R' },
  { tool: 'rectangle', key: 'U' },
  { tool: 'compare', key: 'C' },
];

/** Brush sizes are on a scale of equal ratios, CSS px. */
const LEAST = 2;
const MOST = 400;
const toScale = (/** @type {number} */ size) => (100 * Math.log(size / LEAST)) / Math.log(MOST / LEAST);
const fromScale = (/** @type {number} */ place) => Math.round(LEAST * (MOST / LEAST) ** (place / 100));

/** @param {HTMLElement} root @param {import('./parts.js').Context} context */
export function createToolbar(root, { store, actions }) {
  panel(root, store, ['tool', 'brush', 'view', 'document', 'compare', 'staging', 'fusion'], (state) => {
    const { tool } = state;
    root.setAttribute('aria-label', t('tools.label'));
    const empty = state.document.bounds === null;
    return html`
      <div class="island bar tools" role="toolbar" aria-label=${t('tools.label')} aria-orientation="vertical">
        <div class="tool-group" role="radiogroup" aria-label=${t('tools.label')} @keydown=${moveAlong}>
          ${TOOLS.map((one) => html`<button type="button" class="icon-button" role="radio" data-tool=${one.tool}
            aria-checked=${String(one.tool === tool)} tabindex=${one.tool === tool ? 0 : -1}
            aria-label=${t(`tool.${one.tool}`)} title="${t(`tool.${one.tool}`)} (${one.key})${has(`tool.${one.tool}.hint`) ? `. ${t(`tool.${one.tool}.hint`)}` : ''}"
            @click=${() => actions.setTool(one.tool)}>${icon(one.tool)}</button>`)}
        </div>
      </div>
      ${state.staging || state.fusion.open ? nothing : options(state)}
      <div class="island bar zoom" role="group" aria-label=${t('zoom.label')}>
        ${iconButton({ name: 'zoom.in', icon: 'plus', key: '+', run: () => actions.zoomBy(1.25) })}
        <button type="button" class="button zoom-value numbers" title="${t('zoom.actual')} (Ctrl+1)" aria-label="${t('zoom.actual')}: ${percent(state.view.zoom)}"
          @click=${() => actions.zoomTo(1)}>${percent(state.view.zoom)}</button>
        ${iconButton({ name: 'zoom.out', icon: 'minus', key: '-', run: () => actions.zoomBy(0.8) })}
        ${iconButton({ name: 'zoom.fit', icon: 'fit', key: 'Ctrl+0', run: () => actions.fit(empty ? 'window' : undefined) })}
      </div>`;
  });

  /** @param {import('./parts.js').State} state */
  function options({ tool, brush, document, compare }) {
    const brushes = tool === 'eraser' || tool === 'restore';
    if (!brushes && tool !== 'rectangle' && tool !== 'compare') return nothing;
    const empty = document.bounds === null;
    return html`<div class="island options" role="group" aria-label=${t(`tool.${tool}`)} data-for=${tool}>
      <p class="hint">${t(`tool.${tool}.hint`)}</p>
      ${brushes ? html`
        <div class="field"><div class="label"><label for="brush-size">${t('brush.size')}</label><output for="brush-size">${number(Math.round(brush.size))}</output></div>
          ${slider({ id: 'brush-size', label: t('brush.size'), bare: true, min: 0, max: 100, step: 1, value: toScale(brush.size), set: (place) => actions.setBrush({ size: fromScale(place) }) })}</div>
        <div class="field"><div class="label"><label for="brush-softness">${t('brush.softness')}</label><output for="brush-softness">${percent(brush.softness)}</output></div>
          ${slider({ id: 'brush-softness', label: t('brush.softness'), bare: true, min: 0, max: 1, step: 0.05, value: brush.softness, set: (softness) => actions.setBrush({ softness }) })}</div>` : nothing}
      ${tool === 'compare' ? html`
        <div class="field"><div class="label"><label for="compare-position">${t('compare.position')}</label></div>
          ${slider({ id: 'compare-position', label: t('compare.position'), bare: true, min: 0, max: 1, step: 0.01, value: compare.position, set: (position) => actions.setCompare({ mode: 'slider', position }) })}</div>` : html`
        <div class="row">
          ${tool === 'restore'
            ? whole('tool.restore_all', 'restore', !document.holes, () => actions.restoreAll())
            : whole('tool.erase_window', 'rectangle', empty, () => actions.eraseWindow())}
        </div>`}
    </div>`;
  }
}

/**
 * What does it to everything at once.
 * @param {string} name
 * @param {string} picture
 * @param {boolean} disabled
 * @param {() => void} run
 */
const whole = (name, picture, disabled, run) => html`<button type="button" class="button small outline" aria-label=${t(name)} title=${t(name)} ?disabled=${disabled} @click=${run}>
  ${icon(picture, 'small')}<span>${t(name)}</span></button>`;

/** @param {number} share */
const percent = (share) => number(share, { style: 'percent', maximumFractionDigits: 0 });
