/**
 * The state before anything is known.
 *
 * Invariant: a whole State, so that panels never meet a missing part.
 */

import { DEFAULTS } from './settings.js';

/** @type {import('./types.js').State} */
export const INITIAL = {
  ready: false,
  capabilities: null,
  styles: [],
  document: { id: '', name: '', bounds: null, patches: [], revision: 0, holes: false, readOnly: false },
  window: { x: 0, y: 0, w: 1, h: 1 },
  ratio: '1:1',
  view: { x: 0, y: 0, zoom: 1 },
  tool: 'window',
  brush: { size: 40, softness: 0 },
  compare: { mode: 'off', position: 0.5 },
  settings: DEFAULTS,
  plan: { mode: null, key: 'plan.loading', params: {}, enabled: false, usesStrength: false, usesFeather: false, needsPrompt: false },
  jobs: [],
  staging: null,
  steps: [],
  stepAt: 0,
  pictures: [],
  fusion: { open: false, cards: [] },
  notices: [],
  fieldErrors: {},
  key: { needed: false, present: false, wrong: false },
  online: true,
  storage: { full: false, available: true },
  canvasAltered: false,
  ui: { language: 'en', theme: 'auto', wheel: 'auto', smooth: true, side: 'none', dialog: 'none' },
  announcement: null,
};
