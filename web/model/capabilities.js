/**
 * Questions about what the server can do.
 *
 * Invariant: every size and limit in the editor comes from here, so that one page serves a model of 64 px and one of 768.
 */

/** @typedef {import('./types.js').Capabilities} Capabilities */
/** @typedef {import('./types.js').Mode} Mode */

/**
 * How far the window moves at a time, px: a cell of the model's latents, of which `step` is the square.
 * @param {Capabilities|null} capabilities
 */
export const cell = (capabilities) => Math.max(1, Math.round(Math.sqrt(capabilities?.sizes.step ?? 1)));

/**
 * @param {Capabilities|null} capabilities
 * @param {string} name  such as 16:9
 */
export const ratio = (capabilities, name) => capabilities?.sizes.aspect_ratios.find((entry) => entry.name === name);

/**
 * Why a mode cannot be used, or null.
 * @param {Capabilities} capabilities
 * @param {Mode} mode
 * @returns {string|null}
 */
export function unavailable(capabilities, mode) {
  const found = capabilities.modes.find((entry) => entry.mode === mode);
  if (!found) return mode;
  return found.available ? null : (found.reason ?? mode);
}

/**
 * The most pixels of an image that is drawn as a whole.
 * @param {Capabilities} capabilities
 */
export function mostPixels({ limits }) {
  return limits.size_policy === 'fit' ? Math.max(limits.max_pixels, limits.max_enlarged_pixels) : limits.max_pixels;
}

/**
 * Whether an image of this size can be drawn as a whole.
 * @param {Capabilities} capabilities
 * @param {{w: number, h: number}} size
 */
export function drawable(capabilities, { w, h }) {
  return w * h <= mostPixels(capabilities) && Math.max(w, h) <= capabilities.limits.max_side;
}

/**
 * The longest side that a sheet may have: what can be sent as one image later.
 * @param {Capabilities} capabilities
 */
export const sheetSide = ({ limits }) => Math.max(limits.max_input_side, limits.max_side);

/**
 * Limits of the window: of what can be sent.
 * @param {Capabilities|null} capabilities
 */
export function windowLimits(capabilities) {
  const step = capabilities?.sizes.step ?? 8;
  return {
    least: step,
    mostSide: capabilities?.limits.max_input_side ?? 8192,
    mostPixels: capabilities?.limits.max_input_pixels ?? 8192 * 8192,
  };
}

/**
 * What the server takes where a request does not say; of older servers, what the reference has.
 * @param {Capabilities|null} capabilities
 * @returns {NonNullable<Capabilities['defaults']>}
 */
export function defaults(capabilities) {
  const prior = { kind: 'diffusion', steps: 25, guidance_scale: 4 };
  return capabilities?.defaults ?? { n: 1, steps: 50, guidance_scale: 4, strength: 0.3, output_format: 'png', prior };
}

/**
 * Example prompts in a language: Cyrillic letters tell which is which.
 * @param {Capabilities|null} capabilities
 * @param {string} language
 */
export function examples(capabilities, language) {
  if (capabilities?.examples) return capabilities.examples.slice(0, 3).map((example) => (language === 'ru' ? example.ru : example.en));
  const all = capabilities?.example_prompts ?? [];
  const own = all.filter((text) => /[а-яё]/i.test(text) === (language === 'ru'));
  return (own.length > 0 ? own : all).slice(0, 3);
}
