/**
 * What Generate does: from what is under the window to a mode, a sentence, and the fields of a request.
 *
 * Invariant: pure. A request is made of what the person set and what the server offers; a value that was not set is not sent, so
 * that the server's defaults hold.
 */

import { drawable, mostPixels, sheetSide, unavailable } from './capabilities.js';
import { area, grow, intersect, union } from './rect.js';

/** @typedef {import('./types.js').Rect} Rect */
/** @typedef {import('./types.js').Mode} Mode */
/** @typedef {import('./types.js').Plan} Plan */
/** @typedef {import('./types.js').Settings} Settings */
/** @typedef {import('./types.js').Capabilities} Capabilities */
/** @typedef {import('./types.js').FusionCard} FusionCard */
/** @typedef {import('./holes.js').Coverage} Coverage */

/** Least and most cards of a fusion. */
export const FUSION = { least: 2, most: 8 };
const LARGE_UPLOAD = 4_000_000;

/**
 * @typedef {object} Situation
 * @property {Capabilities|null} capabilities
 * @property {Settings} settings
 * @property {Rect} window
 * @property {Coverage} coverage
 * @property {Rect|null} bounds            of what is on the sheet
 * @property {{open: boolean, cards: FusionCard[]}} fusion
 */

/**
 * @param {Situation} situation
 * @returns {Plan}
 */
export function plan({ capabilities, settings, window, bounds, coverage, fusion }) {
  const prompt = settings.prompt.trim();
  /** @type {Plan} */
  const base = { mode: null, key: '', params: {}, enabled: false, usesStrength: false, usesFeather: false, needsPrompt: false };
  if (!capabilities) return { ...base, key: 'plan.loading' };

  /** @param {Mode} mode @param {Partial<Plan> & {key: string}} rest @param {boolean} whole  the window is drawn as a whole */
  const decide = (mode, rest, whole) => {
    const reason = unavailable(capabilities, mode);
    if (reason) return { ...base, ...rest, mode, enabled: false, key: 'plan.unavailable', params: { reason, mode } };
    if (whole && !drawable(capabilities, window)) {
      const megapixels = Math.round(mostPixels(capabilities) / 1e4) / 100;
      return { ...base, ...rest, mode, enabled: false, key: 'plan.too_large', params: { pixels: mostPixels(capabilities), megapixels, side: capabilities.limits.max_side } };
    }
    return { ...base, enabled: true, ...rest, mode };
  };

  const side = sheetSide(capabilities);
  const all = union(bounds, window);
  if (all && Math.max(all.w, all.h) > side) return { ...base, key: 'plan.sheet_full', params: { side } };
  if (fusion.open) {
    const count = fusion.cards.filter(isFilled).length;
    if (count < FUSION.least) return { ...base, key: 'plan.fuse_more', params: { count, least: FUSION.least, most: FUSION.most } };
    return decide(fusionMode(fusion.cards), { key: 'plan.fuse', params: { count } }, true);
  }
  if (settings.vary && coverage.known > 0) return decide('image-variations', { key: 'plan.vary' }, true);
  if (coverage.known === 0) {
    if (!prompt) return { ...base, mode: 'text-to-image', key: 'plan.describe', needsPrompt: true };
    return decide('text-to-image', { key: 'plan.new', params: { width: window.w, height: window.h }, needsPrompt: true }, true);
  }
  if (coverage.hole) {
    const percent = Math.min(99, Math.max(1, Math.round((1 - coverage.known) * 100)));
    const key = coverage.erased > 0 ? 'plan.fill' : 'plan.extend';
    return decide('inpainting', { key, params: { percent }, usesFeather: true }, false);
  }
  if (!drawable(capabilities, window)) return { ...base, mode: 'image-to-image', key: 'plan.erase_or_slide' };
  if (!prompt) return { ...base, mode: 'image-to-image', key: 'plan.need_prompt_redraw', needsPrompt: true };
  return decide('image-to-image', { key: 'plan.redraw', params: { strength: settings.strength }, usesStrength: true, needsPrompt: true }, true);
}

/** @param {FusionCard} card */
export const isFilled = (card) => (card.kind === 'text' ? card.text.trim() !== '' : card.pictureId !== null || card.blob !== null);

/** @param {FusionCard[]} cards @returns {Mode} */
export const fusionMode = (cards) => (cards.some((card) => card.kind === 'text' && isFilled(card)) ? 'text-image-fusion' : 'image-fusion');

/**
 * Fields that every mode has.
 * @param {Settings} settings
 * @param {number} seed
 */
function commonFields(settings, seed) {
  /** @type {Record<string, any>} */
  const fields = { n: settings.n, seed, response_format: 'url' };
  const { prior } = settings;
  /** @type {Record<string, any>} */
  const chosen = {
    negative_prompt: settings.negativePrompt.trim() || null,
    style: settings.style,
    steps: settings.steps,
    guidance_scale: settings.guidance,
    scheduler: settings.scheduler,
    acceleration: settings.acceleration,
    output_format: settings.format,
  };
  for (const [name, value] of Object.entries(chosen)) if (value !== null && value !== undefined) fields[name] = value;
  const own = Object.entries({ kind: prior.kind, steps: prior.steps, guidance_scale: prior.guidance }).filter(([, value]) => value !== null);
  if (own.length > 0) fields.prior = Object.fromEntries(own);
  // About eight previews, whatever the number of steps.
  fields.preview_interval = Math.max(1, Math.round((settings.steps ?? 50) / 8));
  return fields;
}

/**
 * The JSON fields of a request, without its images.
 * @param {Mode} mode
 * @param {{settings: Settings, size: {w: number, h: number}, seed: number, coverage?: Coverage, soft?: boolean, cards?: FusionCard[]}} from
 * @returns {Record<string, any>}
 */
export function fields(mode, { settings, size, seed, coverage, soft, cards = [] }) {
  const common = commonFields(settings, seed);
  const prompt = settings.prompt.trim();
  const sized = { ...common, width: size.w, height: size.h };
  switch (mode) {
    case 'text-to-image':
      return { prompt, ...sized };
    case 'image-to-image':
      return { prompt, ...sized, strength: settings.strength };
    case 'image-variations':
      return sized;
    case 'inpainting':
    case 'outpainting':
      return {
        ...(prompt && { prompt }),
        ...common,
        // What is kept must come back as it was.
        output_format: 'png',
        ...(mode === 'inpainting' && { mask_convention: 'white', ...(soft && { soft_mask: true }) }),
        composite: true,
        ...(settings.feather > 0 && { feather: settings.feather }),
        match_colors: settings.matchColors ?? (mode === 'outpainting' || (coverage?.empty ?? 0) > 0),
      };
    case 'image-fusion':
      return { ...sized, images: cards.filter(isFilled).map(({ weight }) => ({ weight })) };
    case 'text-image-fusion':
      return {
        ...sized,
        inputs: cards.filter(isFilled).map(({ kind, text, weight }) => (kind === 'text' ? { prompt: text.trim(), weight } : { weight })),
      };
  }
}

/**
 * What of the window is sent for a hole: all of it, unless it is large; then the hole and more around it than the server looks at.
 * @param {Rect} window
 * @param {Rect} hole
 * @param {Capabilities} capabilities
 * @returns {Rect}
 */
export function cropFor(window, hole, capabilities) {
  const { default_width, default_height } = capabilities.sizes;
  const native = default_width * default_height;
  // The server works on a region where that is worth it: only then may the crop be smaller than the window.
  if (area(window) <= Math.max(native * 4, LARGE_UPLOAD)) return window;
  const margin = Math.ceil(Math.max(default_width, default_height, hole.w / 2, hole.h / 2));
  return intersect(window, grow(hole, margin)) ?? window;
}

/**
 * A seed like the server's: what JSON keeps exactly.
 * @param {() => number} [random]  0..1
 */
export const randomSeed = (random = Math.random) => Math.floor(random() * 2 ** 31);
