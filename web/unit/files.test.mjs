// PNG files and stored documents.
import assert from 'node:assert/strict';
import { inflateSync } from 'node:zlib';
import { test } from 'node:test';
import { encodePng } from '../model/png.js';
import { marked } from '../model/mark.js';
import { fromJson, toJson } from '../model/document_json.js';

/** An independent reader of what the encoder may write. */
function decodePng(file) {
  const view = new DataView(file.buffer, file.byteOffset);
  const data = [];
  let [width, height, type] = [0, 0, 0];
  for (let at = 8; at < file.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...file.subarray(at + 4, at + 8));
    if (name === 'IHDR') [width, height, type] = [view.getUint32(at + 8), view.getUint32(at + 12), file[at + 17]];
    if (name === 'IDAT') data.push(file.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const step = { 0: 1, 2: 3, 6: 4 }[type];
  const rows = inflateSync(Buffer.concat(data));
  const stride = width * step;
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const near = filter === 1 ? (x >= step ? out[y * stride + x - step] : 0) : filter === 2 ? (y > 0 ? out[(y - 1) * stride + x] : 0) : NaN;
      out[y * stride + x] = rows[y * (stride + 1) + 1 + x] + near;
    }
  }
  return { width, height, step, out };
}

for (const channels of [1, 3, 4]) {
  test(`a PNG of ${channels} channels has the pixels it was made of`, async () => {
    const [w, h] = [37, 21];
    const pixels = Uint8Array.from({ length: w * h * channels }, (_, i) => (i * i * 31 + i * 7) % 256);
    const file = new Uint8Array(await (await encodePng(pixels, w, h, channels)).arrayBuffer());
    assert.deepEqual(decodePng(file), { width: w, height: h, step: channels, out: pixels });
  });
}

test('files say that a model made a part of them, and keep their pixels', async () => {
  const pixels = Uint8Array.from({ length: 4 * 3 * 3 }, (_, i) => i * 5);
  const png = new Uint8Array(await (await encodePng(pixels, 4, 3, 3)).arrayBuffer());
  const file = marked(png, { w: 4, h: 3 });
  assert.deepEqual(decodePng(file).out, pixels);
  const text = new TextDecoder().decode(file);
  assert.match(text, /iTXtXML:com\.adobe\.xmp\0\0\0\0\0<\?xpacket/);
  assert.match(text, /compositeWithTrainedAlgorithmicMedia/);
  const jpeg = marked(Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xd9]), { w: 1, h: 1 });
  assert.deepEqual([...jpeg.subarray(0, 10)], [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xe1]);
  assert.deepEqual(marked(Uint8Array.from([1, 2, 3]), { w: 1, h: 1 }), Uint8Array.from([1, 2, 3]));
});

test('a document comes back from its file; a foreign or damaged one is refused', () => {
  const rect = { x: -3, y: 4, w: 5, h: 6 };
  const stored = {
    id: '', name: 'photo.jpg', savedAt: 5, window: rect, ratio: 'free',
    patches: [{ id: 'a', rect, blobId: 'b', mask: new Uint8Array([30, 255]), name: 'n', visible: false, jobId: 'j', index: 2 }],
    holes: [{ rect, runs: new Uint8Array([3, 0, 27, 255]) }],
  };
  assert.deepEqual(fromJson(JSON.parse(JSON.stringify(toJson(stored)))), stored);
  assert.throws(() => fromJson({ format: 'other' }));
  assert.throws(() => fromJson({ ...toJson(stored), version: 99 }));
  assert.throws(() => fromJson({ ...toJson(stored), window: { x: 0, y: 0, w: Infinity, h: 1 } }));
});
