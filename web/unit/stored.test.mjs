// What comes back from files: a document as one file, the parameters of an image.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32, deflateSync } from 'node:zlib';
import { readParameters } from '../api/metadata.js';
import { packed, unpacked } from '../model/bytes.js';
import { crc32, packDocument, unpackDocument } from '../store/export.js';
import { createJournal } from '../store/journal.js';

test('a document comes back byte by byte, and a damaged file is refused', async () => {
  const bytes = Uint8Array.from({ length: 3000 }, (_, i) => (i * 37) & 255);
  const blobs = new Map([['фото/1', new Blob([bytes], { type: 'image/png' })], ['empty', new Blob([])]]);
  const file = await packDocument({ json: { name: 'Лист', patches: [1] }, blobs });
  const back = await unpackDocument(file);
  assert.deepEqual(back.json, { name: 'Лист', patches: [1] });
  assert.deepEqual([...back.blobs.keys()], ['фото/1', 'empty']);
  assert.deepEqual(new Uint8Array(await back.blobs.get('фото/1').arrayBuffer()), bytes);
  assert.equal(back.blobs.get('фото/1').type, 'image/png');

  const damaged = new Uint8Array(await file.arrayBuffer());
  const at = damaged.findIndex((_, i) => bytes.subarray(0, 50).every((byte, k) => damaged[i + k] === byte));
  damaged[at + 20] ^= 1;
  await assert.rejects(unpackDocument(new Blob([damaged])), /damaged/);
  await assert.rejects(unpackDocument(new Blob(['no zip at all'])));
  await assert.rejects(unpackDocument(file.slice(0, file.size - 30)));
});

test('sums are those of zip', () => assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926));

const PARAMETERS = { prompt: 'осенний лес', steps: 12, n: 4, seed: 100, width: 64 };
const EXPECTED = { prompt: 'осенний лес', steps: 12, n: 1, seed: 102, width: 64 };
const escaped = (value) => JSON.stringify(value).replace(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);

const latin = (text) => Buffer.from(text, 'latin1');
const big = (value) => [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
const chunk = (type, data) => Buffer.concat([Buffer.from(big(data.length)), latin(type), data, Buffer.from(big(zlibCrc32?.(Buffer.concat([latin(type), data])) ?? 0))]);
const itxt = (key, value) => chunk('iTXt', Buffer.concat([latin(`${key}\0\0\0\0\0`), Buffer.from(value)]));

/** EXIF as the server writes it: the comment is an entry of the second directory. */
function exif(comment) {
  const data = latin(`ASCII\0\0\0${comment}`);
  const entry = (tag, type, count, value) => Buffer.from([...[tag >> 8, tag & 255, 0, type], ...big(count), ...big(value)]);
  const first = Buffer.concat([Buffer.from([0, 1]), entry(0x8769, 4, 1, 26), Buffer.from(big(0))]);
  const second = Buffer.concat([Buffer.from([0, 1]), entry(0x9286, 7, data.length, 44), Buffer.from(big(0))]);
  return Buffer.concat([latin('MM\0*'), Buffer.from(big(8)), first, second, data]);
}

test('an image says how it was made, in PNG, JPEG and WebP', async () => {
  const head = chunk('IHDR', Buffer.from([...big(1), ...big(1), 8, 0, 0, 0, 0]));
  const pixels = chunk('IDAT', deflateSync(Buffer.from([0, 0])));
  const png = Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), head, itxt('seed', '102'), itxt('parameters', JSON.stringify(PARAMETERS)), pixels]);
  assert.deepEqual(await readParameters(new Blob([png])), EXPECTED);

  const words = exif(`{"seed":102,"parameters":${escaped(PARAMETERS)}}`);
  const app1 = Buffer.concat([latin('Exif\0\0'), words]);
  const jpeg = Buffer.concat([Buffer.from([255, 0xd8, 255, 0xe0, 0, 4, 1, 1, 255, 0xe1, (app1.length + 2) >> 8, (app1.length + 2) & 255]), app1, Buffer.from([255, 0xda])]);
  assert.deepEqual(await readParameters(new Blob([jpeg])), EXPECTED);

  const little = (value) => big(value).reverse();
  const webp = Buffer.concat([latin('RIFF'), Buffer.from(little(0)), latin('WEBPVP8L'), Buffer.from(little(3)), Buffer.from([1, 2, 3, 0]), latin('EXIF'), Buffer.from(little(words.length)), words]);
  assert.deepEqual(await readParameters(new Blob([webp])), EXPECTED);
});

test('files of others say nothing', async () => {
  const foreign = Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), itxt('parameters', 'a fox, Steps: 20, Sampler: Euler')]);
  for (const bytes of [foreign, foreign.subarray(0, 20), Buffer.from([255, 0xd8, 255, 0xe1, 0]), latin('RIFF....WEBP'), latin('hello'), Buffer.alloc(0)]) {
    assert.equal(await readParameters(new Blob([bytes])), null);
  }
});

/** A storage for so many characters. */
function storage(most = Infinity) {
  const kept = new Map();
  return {
    kept,
    getItem: (name) => kept.get(name) ?? null,
    setItem(name, text) {
      if (text.length > most) throw new DOMException('full', 'QuotaExceededError');
      kept.set(name, text);
    },
    removeItem: (name) => kept.delete(name),
  };
}

test('bytes of both kinds come back within plain values', () => {
  const value = { a: [Uint8Array.from({ length: 256 }, (_, i) => i), null], b: { c: new Uint8ClampedArray([0, 255]), d: 'лес' } };
  assert.deepEqual(unpacked(packed(value)), value);
});

test('what is told before a page ends is the most that fits, and a damaged or forbidden storage is none', () => {
  const words = { at: 2, settings: { prompt: 'лес' } };
  const whole = { ...words, stored: { holes: [{ runs: new Uint8Array(300) }] } };
  const [roomy, tight] = [storage(), storage(200)];
  for (const [device, expected] of [[roomy, whole], [tight, words], [storage(10), null]]) {
    const journal = createJournal({ tab: () => storage(), device: () => device });
    journal.write('one', [whole, words]);
    assert.deepEqual(journal.read('one'), expected);
    journal.remove('one');
    assert.equal(journal.read('one'), null);
  }
  roomy.kept.set('kandinsky.unsaved.two', '{"at":');
  const plain = { 'kandinsky.unsaved.a-1': '', 'kandinsky.language': 'ru' };
  assert.deepEqual(createJournal({ tab: () => storage(), device: () => plain }).ids(), ['a-1']);
  assert.equal(createJournal({ tab: () => storage(), device: () => roomy }).read('two'), null);
  const forbidden = () => {
    throw new DOMException('forbidden', 'SecurityError');
  };
  const journal = createJournal({ tab: forbidden, device: forbidden });
  journal.write('one', [whole]);
  journal.keepWords(words);
  journal.remember('one', true);
  assert.deepEqual([journal.read('one'), journal.words(), journal.lastSheets()], [null, null, []]);
});
