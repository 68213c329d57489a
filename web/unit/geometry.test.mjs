// Window, view, wheel: pure geometry.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bounded, followed, handleAt, recentred, resized, snapped } from '../model/window.js';
import { fitted, nextStop, toDocument, toScreen, zoomed } from '../sheet/transform.js';
import { meaning } from '../sheet/wheel.js';

const limits = { least: 16, mostSide: 8192, mostPixels: 8192 * 8192 };

test('a window snaps to overlap a quarter, a half, three quarters, and to edges', () => {
  const photo = { x: 0, y: 0, w: 768, h: 768 };
  assert.deepEqual(snapped({ x: 390, y: 3, w: 768, h: 768 }, photo, 8), { rect: { x: 384, y: 0, w: 768, h: 768 }, x: '50', y: 'edge' });
  assert.deepEqual(snapped({ x: 579, y: 100, w: 768, h: 768 }, photo, 8), { rect: { x: 576, y: 100, w: 768, h: 768 }, x: '25', y: null });
  assert.equal(snapped({ x: -195, y: 0, w: 768, h: 768 }, photo, 8).x, '75');
  assert.deepEqual(snapped({ x: 390, y: 3, w: 768, h: 768 }, photo, 0).rect.x, 390);
  assert.equal(snapped({ x: 5, y: 5, w: 64, h: 64 }, null, 8).rect.x, 5);
});

test('handles keep the ratio or go by steps, and the other side stays', () => {
  const start = { x: 10, y: 10, w: 64, h: 64 };
  assert.deepEqual(resized(start, 'se', 64, 5, { ratio: 1, step: 16, limits }), { x: 10, y: 10, w: 128, h: 128 });
  assert.deepEqual(resized(start, 'nw', -64, 0, { ratio: 1, step: 16, limits }), { x: -54, y: -54, w: 128, h: 128 });
  assert.deepEqual(resized(start, 'e', 17, 99, { ratio: null, step: 16, limits }), { x: 10, y: 10, w: 80, h: 64 });
  assert.deepEqual(resized(start, 'n', 0, 1000, { ratio: null, step: 16, limits }), { x: 10, y: 58, w: 64, h: 16 });
  const big = resized(start, 'se', 90_000, 0, { ratio: 1, step: 16, limits });
  assert.equal(big.w, 8192);
});

test('a size over the limits shrinks in its proportions', () => {
  assert.deepEqual(bounded(16_384, 8192, limits), { w: 8192, h: 4096 });
  assert.deepEqual(recentred({ x: 0, y: 0, w: 64, h: 64 }, 80, 45), { x: -8, y: 10, w: 80, h: 45 });
});

test('a small window can still be dragged inside', () => {
  const window = { x: 0, y: 0, w: 64, h: 64 };
  assert.equal(handleAt(window, { x: 32, y: 32 }, 100), null);
  assert.equal(handleAt(window, { x: 63, y: 32 }, 2), 'e');
  assert.equal(handleAt(window, { x: -1, y: 65 }, 2), 'sw');
  assert.equal(handleAt(window, { x: 80, y: 80 }, 2), null);
});

test('the window goes to what was erased outside of it, and stays on the image', () => {
  const image = { x: 0, y: 0, w: 1000, h: 600 };
  const window = { x: 0, y: 0, w: 200, h: 200 };
  assert.equal(followed(window, { x: 199, y: 10, w: 50, h: 5 }, image), window);
  assert.deepEqual(followed(window, { x: 500, y: 300, w: 50, h: 20 }, image), { x: 425, y: 210, w: 200, h: 200 });
  assert.deepEqual(followed(window, { x: 900, y: 590, w: 300, h: 5 }, image), { x: 700, y: 400, w: 300, h: 200 });
});

for (const scale of [1, 1.25, 2]) {
  test(`screen and document agree at device scale ${scale}`, () => {
    const screen = { w: 1281, h: 799, scale };
    for (const view of [{ x: 31.7, y: -12.3, zoom: 0.37 }, { x: 5, y: 5, zoom: 8 }, { x: 1e4, y: 3, zoom: 1.1 }]) {
      const box = toScreen(view, screen, { x: 17, y: -40, w: 3, h: 9 });
      const back = toDocument(view, screen, box);
      assert.ok(Math.abs(back.x - 17) < 1e-9 && Math.abs(back.y + 40) < 1e-9);
      const zero = toScreen(view, screen, { x: 0, y: 0, w: 1, h: 1 });
      assert.ok(Math.abs(zero.x * scale - Math.round(zero.x * scale)) < 1e-6, 'the origin is on a device pixel');
    }
  });
}

test('zooming keeps what is under the pointer', () => {
  const screen = { w: 1000, h: 800, scale: 1 };
  const view = { x: 40, y: 60, zoom: 2 };
  const at = { x: 123, y: 456 };
  const before = toDocument(view, screen, at);
  const after = toDocument(zoomed(view, screen, 3, at), screen, at);
  assert.ok(Math.abs(before.x - after.x) < 0.2 && Math.abs(before.y - after.y) < 0.2);
  assert.equal(zoomed(view, screen, 1000).zoom, 32);
  assert.equal(zoomed(view, screen, 1e-6).zoom, 0.05);
  assert.equal(nextStop(1, 1), 1.5);
  assert.equal(nextStop(1, -1), 0.75);
  assert.equal(nextStop(32, 1), 32);
});

test('an image is first shown as large as the free part is, a small one in pixels of equal size', () => {
  const margin = { top: 100, right: 20, bottom: 300, left: 60 };
  const screen = { w: 1280, h: 800, scale: 1 };
  const view = fitted({ x: 0, y: 0, w: 64, h: 64 }, screen, margin);
  assert.equal(view.zoom, 6);
  const box = toScreen(view, screen, { x: 0, y: 0, w: 64, h: 64 });
  assert.equal(Math.round(box.y + box.h / 2), 100 + (800 - 400) / 2);
  assert.equal(fitted({ x: 0, y: 0, w: 64, h: 64 }, { w: 360, h: 740, scale: 2 }, { top: 60, right: 8, bottom: 300, left: 8 }).zoom, 5);
  assert.equal(fitted({ x: 0, y: 0, w: 250, h: 160 }, screen, margin).zoom, 2.5);
});

test('the wheel zooms or pans as its device and the setting say', () => {
  const turn = { deltaX: 0, deltaY: 100, deltaMode: 0, ctrl: false, shift: false };
  assert.ok('zoom' in meaning(turn, 'auto'));
  assert.deepEqual(meaning(turn, 'trackpad'), { dx: 0, dy: 100 });
  assert.deepEqual(meaning({ ...turn, deltaY: 7, deltaX: 2 }, 'auto'), { dx: 2, dy: 7 });
  assert.ok('zoom' in meaning({ ...turn, deltaY: 7 }, 'mouse'));
  assert.ok('zoom' in meaning({ ...turn, deltaY: -3, ctrl: true }, 'trackpad'));
  assert.deepEqual(meaning({ ...turn, shift: true }, 'mouse'), { dx: 100, dy: 0 });
  assert.ok(meaning({ ...turn, deltaY: -100 }, 'auto').zoom > 1);
});
