/**
 * Settings that were not touched, and what requests call them.
 *
 * Invariant: null is the server's default; no value of the server's is repeated here but the strength, which the slider shows.
 */

/** @typedef {import('./types.js').Settings} Settings */

/** @type {Settings} */
export const DEFAULTS = {
  prompt: '', negativePrompt: '', style: null, n: 1, seed: null, seedLocked: false, steps: null, guidance: null, scheduler: null, acceleration: null,
  prior: { kind: null, steps: null, guidance: null }, strength: 0.3, feather: 0, matchColors: null, vary: false, format: 'png',
};

/** Names of settings in requests, which violations are told by. @type {Record<string, string>} */
export const FIELDS = { negativePrompt: 'negative_prompt', guidance: 'guidance_scale', format: 'output_format', matchColors: 'match_colors' };
