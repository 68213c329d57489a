// Words: both languages have them all, forms by number, and no panel has words of its own.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import en from '../i18n/en.js';
import { detectLanguage, setLanguage, t } from '../i18n/index.js';
import ru from '../i18n/ru.js';

const values = (/** @type {any} */ text) => (typeof text === 'string' ? [text] : Object.values(text));
const holes = (/** @type {string} */ text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);

test('both languages have the same keys, and put in the same values', () => {
  assert.deepEqual(Object.keys(ru).sort(), Object.keys(en).sort());
  for (const key of Object.keys(en)) {
    const known = new Set(values(en[key]).flatMap(holes));
    for (const text of values(ru[key])) for (const name of holes(text)) assert.ok(known.has(name), `${key}: {${name}}`);
  }
});

test('Russian has a form for one, few, many and fractions wherever English has two', () => {
  for (const [key, text] of Object.entries(ru)) if (typeof text !== 'string') assert.deepEqual(Object.keys(text).sort(), ['few', 'many', 'one', 'other'], key);
});

test('numbers choose the form', async () => {
  await setLanguage('ru');
  assert.deepEqual([1, 3, 5, 21].map((steps) => t('pictures.steps', { n: steps, steps })), ['1 шаг', '3 шага', '5 шагов', '21 шаг']);
  await setLanguage('en');
  assert.deepEqual([1, 2].map((steps) => t('pictures.steps', { n: steps, steps })), ['1 step', '2 steps']);
  assert.deepEqual([1, 2, 3, 11, 22].map((place) => t('job.queued', { place })), ['1st in line', '2nd in line', '3rd in line', '11th in line', '22nd in line']);
});

test('the first language of the browser that there are words for is taken', () => {
  assert.equal(detectLanguage(['de-DE', 'ru-RU', 'en']), 'ru');
  assert.equal(detectLanguage(['fr']), 'en');
});

test('panels have no words of their own, and name only texts that there are', () => {
  const folder = new URL('../panels/', import.meta.url);
  for (const file of readdirSync(folder)) {
    const source = readFileSync(new URL(file, folder), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    for (const [, key] of source.matchAll(/\bt\('([^']+)'/g)) assert.ok(key in en, `${file}: ${key}`);
    // Text between tags, and in what is read out.
    for (const [, text] of source.matchAll(/<(?:p|span|h2|h3|button|label)[^<>$]*>([^<>${}]+)</g)) assert.ok(!/\p{L}{2}/u.test(text), `${file}: ${text}`);
    for (const [, text] of source.matchAll(/(?:aria-label|title|placeholder)="([^"$]+)"/g)) assert.ok(!/\p{L}{3}/u.test(text) || /^(kd_|Ctrl)/.test(text), `${file}: ${text}`);
  }
});
