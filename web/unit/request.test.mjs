// What Generate does and sends, from what is under the window.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { examples } from '../model/capabilities.js';
import { cropFor, fields, plan } from '../model/request.js';
import { extension } from '../model/extension.js';
import { marked, region } from '../model/region.js';
import { curl } from '../model/curl.js';
import { DEFAULTS } from '../model/settings.js';

const MODES = ['text-to-image', 'image-to-image', 'image-variations', 'image-fusion', 'text-image-fusion', 'inpainting', 'outpainting'];
const capabilities = {
  model: 'm',
  modes: MODES.map((mode) => ({ mode, available: true })),
  limits: { max_side: 2048, max_pixels: 65536, max_input_side: 8192, max_input_pixels: 67108864, max_enlarged_pixels: 4194304, size_policy: 'fit' },
  sizes: { default_width: 64, default_height: 64, step: 16, aspect_ratios: [] },
  example_prompts: ['red heart', 'красное сердце', 'panda'],
};
const window = { x: 0, y: 0, w: 64, h: 64 };
const coverage = { known: 1, erased: 0, empty: 0, hole: null };
const hole = { x: 1, y: 1, w: 5, h: 5 };
const at = (over = {}, settings = {}) =>
  plan({ capabilities, settings: { ...DEFAULTS, prompt: 'p', ...settings }, window, bounds: window, coverage, fusion: { open: false, cards: [] }, ...over });

test('what is under the window decides the mode', () => {
  const empty = { known: 0, erased: 0, empty: 1, hole: window };
  assert.deepEqual([at({ coverage: empty }).mode, at({ coverage: empty }).key], ['text-to-image', 'plan.new']);
  const beyond = at({ coverage: { known: 0.5, erased: 0, empty: 0.5, hole } }, { prompt: '' });
  assert.deepEqual([beyond.mode, beyond.key, beyond.params.percent, beyond.enabled], ['inpainting', 'plan.extend', 50, true]);
  const erased = at({ coverage: { known: 0.999, erased: 0.001, empty: 0, hole } });
  assert.deepEqual([erased.mode, erased.key, erased.params.percent], ['inpainting', 'plan.fill', 1]);
  assert.deepEqual([at().mode, at().usesStrength], ['image-to-image', true]);
  assert.equal(at({}, { vary: true }).mode, 'image-variations');
  assert.equal(at({ coverage: empty }, { vary: true }).mode, 'text-to-image');
});

test('what cannot be done says why', () => {
  assert.deepEqual([at({ capabilities: null }).key, at({ capabilities: null }).enabled], ['plan.loading', false]);
  assert.equal(at({ coverage: { known: 0, erased: 0, empty: 1, hole: window } }, { prompt: ' ' }).key, 'plan.describe');
  assert.equal(at({}, { prompt: '' }).key, 'plan.need_prompt_redraw');
  const large = { x: 0, y: 0, w: 4000, h: 3000 };
  assert.equal(at({ window: large }).key, 'plan.erase_or_slide');
  assert.equal(at({ window: large, coverage: { known: 0.9, erased: 0.1, empty: 0, hole } }).enabled, true);
  assert.equal(at({ window: large, coverage: { known: 0, erased: 0, empty: 1, hole } }).key, 'plan.too_large');
  assert.equal(at({ window: { ...window, x: 8200 } }).key, 'plan.sheet_full');
  const without = { ...capabilities, modes: [{ mode: 'image-to-image', available: false, reason: 'no encoder' }] };
  assert.deepEqual(at({ capabilities: without }).params.reason, 'no encoder');
});

test('fusions need cards that are filled', () => {
  const text = { id: '1', kind: 'text', weight: 0.5, text: 'a cat', pictureId: null, blob: null, name: '' };
  const image = { ...text, id: '2', kind: 'image', text: '', pictureId: 'j/0' };
  const fuse = (cards) => at({ fusion: { open: true, cards } });
  assert.equal(fuse([text, { ...text, text: ' ' }]).key, 'plan.fuse_more');
  assert.equal(fuse([text, image]).mode, 'text-image-fusion');
  assert.equal(fuse([image, image]).mode, 'image-fusion');
  const sent = fields('text-image-fusion', { settings: DEFAULTS, size: window, seed: 1, cards: [text, image] });
  assert.deepEqual(sent.inputs, [{ prompt: 'a cat', weight: 0.5 }, { weight: 0.5 }]);
});

test('a request has what was set, and nothing else', () => {
  const from = { settings: { ...DEFAULTS, prompt: ' cat ' }, size: window, seed: 7 };
  assert.deepEqual(fields('text-to-image', from), { prompt: 'cat', n: 1, seed: 7, response_format: 'url', output_format: 'png', preview_interval: 6, width: 64, height: 64 });
  const set = { ...from.settings, negativePrompt: 'dog', style: 'oil', steps: 8, guidance: 3, scheduler: 'ddim', acceleration: { cache_interval: 2 }, prior: { kind: 'linear', steps: null, guidance: 2 }, n: 4, feather: 5 };
  const all = fields('inpainting', { ...from, settings: set, coverage: { known: 0.5, erased: 0, empty: 0.5, hole }, soft: true });
  assert.deepEqual(all, {
    prompt: 'cat', n: 4, seed: 7, response_format: 'url', negative_prompt: 'dog', style: 'oil', steps: 8, guidance_scale: 3, scheduler: 'ddim',
    acceleration: { cache_interval: 2 },
    output_format: 'png', prior: { kind: 'linear', guidance_scale: 2 }, preview_interval: 1, mask_convention: 'white', soft_mask: true,
    composite: true, feather: 5, match_colors: true,
  });
  const kept = fields('inpainting', { ...from, settings: { ...from.settings, prompt: '', format: 'jpeg' }, coverage: { known: 0.5, erased: 0.5, empty: 0, hole } });
  assert.deepEqual([kept.prompt, kept.output_format, kept.match_colors], [undefined, 'png', false]);
});

test('of a large window only what the server looks at is sent', () => {
  assert.deepEqual(cropFor(window, hole, capabilities), window);
  const photo = { x: 0, y: 0, w: 6000, h: 4000 };
  assert.deepEqual(cropFor(photo, { x: 3000, y: 10, w: 200, h: 100 }, capabilities), { x: 2900, y: 0, w: 400, h: 210 });
});

test('an image is extended on the side that was asked for', () => {
  const bounds = { x: 10, y: 20, w: 64, h: 64 };
  assert.deepEqual(extension(bounds, 'right', capabilities), { known: bounds, rect: { x: 10, y: 20, w: 96, h: 64 } });
  assert.deepEqual(extension(bounds, 'top', capabilities), { known: bounds, rect: { x: 10, y: -12, w: 64, h: 96 } });
  assert.deepEqual(extension(bounds, 'all', capabilities).rect, { x: -22, y: -12, w: 128, h: 128 });
  const photo = extension({ x: 0, y: 0, w: 4000, h: 3000 }, 'left', capabilities);
  assert.deepEqual([photo.known.w, photo.rect.x, photo.rect.w], [2016, -1008, 3024]);
});

test('examples are in the language that is asked for', () => {
  assert.deepEqual(examples(capabilities, 'ru'), ['красное сердце']);
  assert.deepEqual(examples(capabilities, 'en'), ['red heart', 'panda']);
});

test('a command line cannot be broken out of and has no key', () => {
  const line = curl('http://h/v1/text-to-image', 'text-to-image', { prompt: "it's $(rm) `x`", seed: 1, response_format: 'url', preview_interval: 3 }, true);
  assert.match(line, /-d '\{"prompt":"it'\\''s \$\(rm\) `x`","seed":1\}'/);
  assert.match(line, /Bearer \$KANDINSKY_KEY/);
});

test('a preview lies where the server draws', () => {
  const photo = { w: 4000, h: 3000 };
  // The same cases as the server's own tests.
  assert.deepEqual(region(photo, { x: 2000, y: 40, w: 100, h: 60 }, 512), { x: 1794, y: 0, w: 512, h: 512 });
  assert.deepEqual(region(photo, { x: 1000, y: 1000, w: 400, h: 200 }, 512), { x: 872, y: 844, w: 656, h: 512 });
  assert.deepEqual(region({ w: 768, h: 512 }, { x: 0, y: 0, w: 768, h: 400 }, 512), { x: 0, y: 0, w: 768, h: 512 });
  assert.deepEqual(region({ w: 300, h: 512 }, { x: 3, y: 3, w: 9, h: 9 }, 512), { x: 0, y: 0, w: 300, h: 512 });
  assert.deepEqual(marked(Uint8Array.from([0, 0, 0, 0, 0, 200, 0, 0, 0, 0, 128, 127]), 4), { x: 1, y: 1, w: 2, h: 2 });
});
