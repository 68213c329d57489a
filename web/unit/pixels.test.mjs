// Pixels, strokes and holes: what is known stays as it was, and a hole is where it was drawn.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History } from '../model/history.js';
import { Document } from '../model/document.js';
import { coverage, cutOut } from '../model/holes.js';
import { Pixels } from '../model/pixels.js';
import { decode, encode } from '../model/rle.js';
import { Stroke } from '../model/stroke.js';

/** An image of which every pixel is another colour. */
function image(w, h) {
  const rgba = new Uint8ClampedArray(w * h * 4);
  for (let i = 0; i < w * h; i++) rgba.set([i % 251, (i * 7) % 253, (i * 13) % 255, 255], i * 4);
  return rgba;
}

function sheet(rect = { x: -5, y: 500, w: 40, h: 30 }) {
  const pixels = new Pixels();
  const rgba = image(rect.w, rect.h);
  pixels.write(rect, rgba, null);
  return { pixels, rect, rgba };
}

const colors = (rgba) => rgba.filter((_, i) => i % 4 !== 3);
const patch = (rect, id = 'a') => ({ id, rect, blobId: id, mask: null, name: id, visible: true });

test('runs give back any bytes', () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i < 30_000 ? 255 : (i * i) % 256));
  assert.deepEqual(decode(encode(bytes), bytes.length), bytes);
  assert.equal(encode(new Uint8Array(1_000_000)).length, 4);
  assert.equal(encode(new Uint8Array(0)).length, 0);
});

test('what is written is read across tiles and negative places', () => {
  const { pixels, rect, rgba } = sheet();
  assert.deepEqual(pixels.read(rect).rgba, rgba);
  assert.equal(pixels.tiles.size, 4);
});

test('a mask decides which pixels are replaced', () => {
  const { pixels, rect, rgba } = sheet();
  const mask = new Uint8Array(rect.w * rect.h);
  mask[41] = 1;
  pixels.write(rect, new Uint8ClampedArray(rgba.length).fill(9), mask);
  const now = pixels.read(rect).rgba;
  assert.deepEqual([...now.slice(41 * 4, 42 * 4)], [9, 9, 9, 255]);
  now.set(rgba.slice(41 * 4, 42 * 4), 41 * 4);
  assert.deepEqual(now, rgba);
});

test('a hard brush marks whole pixels, those whose centres it covers', () => {
  const { pixels } = sheet({ x: 0, y: 0, w: 20, h: 20 });
  const stroke = new Stroke(pixels, 'erase', 0);
  stroke.line({ x: 10, y: 10, r: 2 }, { x: 10, y: 10, r: 2 });
  const marked = [];
  for (const [i, alpha] of pixels.alpha({ x: 0, y: 0, w: 20, h: 20 }).entries()) {
    if (alpha < 255) marked.push([i % 20, Math.floor(i / 20), alpha]);
  }
  assert.equal(marked.length, 12);
  assert.ok(marked.every(([x, y, alpha]) => alpha === 0 && Math.hypot(x + 0.5 - 10, y + 0.5 - 10) <= 2));
});

test('segments of one soft stroke do not add up', () => {
  const rect = { x: 0, y: 0, w: 40, h: 40 };
  const once = sheet(rect).pixels;
  const twice = sheet(rect).pixels;
  const dab = { x: 20, y: 20, r: 10 };
  const [a, b] = [new Stroke(once, 'erase', 1), new Stroke(twice, 'erase', 1)];
  a.line(dab, dab);
  for (let i = 0; i < 5; i++) b.line(dab, dab);
  assert.deepEqual(twice.alpha(rect), once.alpha(rect));
});

test('a canceled stroke leaves nothing, a restored one everything', () => {
  const { pixels, rect, rgba } = sheet();
  const from = { x: 0, y: 505, r: 4 };
  const to = { x: 30, y: 525, r: 9 };
  const canceled = new Stroke(pixels, 'erase', 0.5);
  canceled.line(from, to);
  canceled.cancel();
  assert.deepEqual(pixels.read(rect).rgba, rgba);
  const erased = new Stroke(pixels, 'erase', 0.5);
  erased.line(from, to);
  assert.ok(erased.finish());
  assert.deepEqual(colors(pixels.read(rect).rgba), colors(rgba));
  const back = new Stroke(pixels, 'restore', 0);
  back.rectangle(rect);
  back.finish();
  assert.deepEqual(pixels.read(rect).rgba, rgba);
});

test('restoring makes nothing where nothing was', () => {
  const { pixels } = sheet({ x: 0, y: 0, w: 4, h: 4 });
  const stroke = new Stroke(pixels, 'restore', 0);
  stroke.rectangle({ x: 0, y: 0, w: 8, h: 8 });
  assert.equal(stroke.finish(), null);
  assert.equal(pixels.alpha({ x: 0, y: 0, w: 8, h: 8 }).filter((alpha) => alpha > 0).length, 16);
});

test('coverage counts what is known, erased and empty, and finds the hole', () => {
  const { pixels } = sheet({ x: 0, y: 0, w: 10, h: 10 });
  const stroke = new Stroke(pixels, 'erase', 0);
  stroke.rectangle({ x: 2, y: 3, w: 4, h: 2 });
  assert.deepEqual(coverage(pixels, { x: 0, y: 0, w: 10, h: 10 }), { known: 0.92, erased: 0.08, empty: 0, hole: { x: 2, y: 3, w: 4, h: 2 } });
  assert.deepEqual(coverage(pixels, { x: 5, y: 5, w: 10, h: 5 }), { known: 0.5, erased: 0, empty: 0.5, hole: { x: 10, y: 5, w: 5, h: 5 } });
  assert.deepEqual(coverage(pixels, { x: 2000, y: 0, w: 5, h: 5 }), { known: 0, erased: 0, empty: 1, hole: { x: 2000, y: 0, w: 5, h: 5 } });
  assert.equal(coverage(pixels, { x: 510, y: 510, w: 10, h: 10 }).known, 0);
});

test('past its edges an image goes on as its border does', () => {
  const rect = { x: 0, y: 0, w: 6, h: 5 };
  const { pixels, rgba } = sheet(rect);
  const window = { x: -3, y: 2, w: 12, h: 9 };
  const cut = cutOut(pixels, window);
  for (let y = 0; y < window.h; y++) {
    for (let x = 0; x < window.w; x++) {
      const [px, py] = [x + window.x, y + window.y];
      const [cx, cy] = [Math.max(0, Math.min(5, px)), Math.max(0, Math.min(4, py))];
      const at = (y * window.w + x) * 4;
      assert.deepEqual([...cut.rgba.slice(at, at + 3)], [...rgba.slice((cy * 6 + cx) * 4, (cy * 6 + cx) * 4 + 3)]);
      assert.equal(cut.mask[y * window.w + x], cx === px && cy === py ? 0 : 255);
    }
  }
  assert.equal(cut.soft, false);
});

test('under an erased part the image is sent as it was, and opaque', () => {
  const { pixels, rect, rgba } = sheet();
  const stroke = new Stroke(pixels, 'erase', 0.6);
  stroke.line({ x: 10, y: 515, r: 6 }, { x: 12, y: 515, r: 6 });
  const cut = cutOut(pixels, rect);
  assert.deepEqual(cut.rgba, rgba);
  assert.equal(cut.soft, true);
});

test('a faint touch is enough to be filled', () => {
  const { pixels, rect } = sheet({ x: 0, y: 0, w: 8, h: 8 });
  pixels.setAlpha({ x: 2, y: 2, w: 2, h: 1 }, Uint8Array.from([235, 215]));
  const { mask } = cutOut(pixels, rect);
  assert.deepEqual([mask[18], mask[19], Math.max(...mask)], [128, 255, 255]);
});

test('everything is undone to the start and done again, byte for byte', () => {
  const rect = { x: 0, y: 0, w: 30, h: 20 };
  const doc = new Document();
  doc.reset({ id: 'd', name: '', window: rect, ratio: '1:1' });
  const look = () => JSON.stringify([[...doc.pixels.read({ x: -20, y: -20, w: 90, h: 80 }).rgba], doc.patches.map(({ id }) => id), doc.window, doc.ratio]);
  const states = [look()];
  const note = () => states.push(look());
  doc.place(patch(rect), image(30, 20), null, { key: 'step.placed', params: {} });
  note();
  const stroke = new Stroke(doc.pixels, 'erase', 0.3);
  stroke.line({ x: 5, y: 5, r: 3 }, { x: 20, y: 12, r: 5 });
  doc.stroke(stroke.finish(), 'step.eraser');
  note();
  doc.setWindow({ x: 15, y: 0, w: 30, h: 20 }, 'free', { key: 'step.window' });
  note();
  const mask = doc.pixels.alpha(doc.window).map((alpha) => 255 - alpha);
  doc.place(patch(doc.window, 'b'), new Uint8ClampedArray(30 * 20 * 4).fill(77), mask, { key: 'step.accepted', params: {} });
  note();
  doc.restoreAll();
  note();
  const [last] = states.slice(-1);
  for (const state of states.slice(0, -1).reverse()) {
    doc.undo();
    assert.equal(look(), state);
  }
  assert.equal(doc.history.done, 0);
  doc.goTo(states.length - 1);
  assert.equal(look(), last);
  doc.goTo(2);
  assert.equal(look(), states[2]);
  // What is stored is data, and does the same in another page; a step that is gone takes those beyond it along.
  const [steps, stored] = structuredClone([doc.storedSteps(), doc.stored(0).steps]);
  doc.history.reset('step.opened', {});
  doc.adoptSteps(steps, stored);
  doc.goTo(states.length - 1);
  assert.equal(look(), last);
  doc.goTo(0);
  assert.equal(look(), states[0]);
  doc.goTo(2);
  doc.adoptSteps([undefined, ...steps.slice(1, 3), undefined, steps[4]], stored);
  assert.deepEqual([doc.history.done, doc.history.commands.length], [1, 2]);
  doc.undo();
  assert.equal(look(), states[1]);
});

test('only the newest steps are stored, and none if those that are done do not fit', () => {
  const history = new History();
  for (let i = 1; i <= 4; i++) history.push({ key: `${i}`, params: {}, bytes: 10, undo() {}, redo() {} });
  assert.deepEqual(history.newest(25).commands.map(({ key }) => key), ['3', '4']);
  assert.deepEqual([history.newest(25).done, history.newest(25).first.key], [2, '2']);
  history.goTo(1);
  assert.deepEqual(history.newest(25).commands, []);
  assert.deepEqual([history.newest(100).commands.length, history.newest(100).done], [4, 1]);
});

test('ten fills leave all pixels outside of the masks as they were', () => {
  const rect = { x: 0, y: 0, w: 64, h: 64 };
  const doc = new Document();
  doc.reset({ id: 'd', name: '', window: rect, ratio: '1:1' });
  const original = image(64, 64);
  doc.place(patch(rect), original, null, { key: 'step.placed', params: {} });
  const touched = new Uint8Array(64 * 64);
  for (let i = 0; i < 10; i++) {
    const stroke = new Stroke(doc.pixels, 'erase', i % 2 ? 0.7 : 0);
    stroke.line({ x: 6 * i, y: 10, r: 4 }, { x: 30, y: 6 * i, r: 3 });
    doc.stroke(stroke.finish(), 'step.eraser');
    const { mask } = cutOut(doc.pixels, rect);
    for (const [at, mark] of mask.entries()) if (mark > 0) touched[at] = 1;
    doc.place(patch(rect, `fill ${i}`), new Uint8ClampedArray(original.length).fill(i), mask, { key: 'step.accepted', params: {} });
  }
  const now = doc.pixels.read(rect).rgba;
  for (let at = 0; at < touched.length; at++) {
    if (!touched[at]) assert.deepEqual([...now.slice(at * 4, at * 4 + 4)], [...original.slice(at * 4, at * 4 + 4)]);
  }
  assert.equal(coverage(doc.pixels, rect).known, 1);
});
