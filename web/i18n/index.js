/**
 * Words in the language of the person.
 *
 * Invariant: every language module has the same keys; a key that is missing shows itself, so that it is found. No panel has words
 * of its own.
 */

import { careful } from '../model/storage.js';

/** A text, or its forms by number. @typedef {string|Partial<Record<Intl.LDMLPluralRule, string>>} Text */
/** @typedef {'en'|'ru'} Language */

/** A language is fetched when it is chosen. @type {Record<Language, () => Promise<{default: Record<string, Text>}>>} */
const SOURCES = { en: () => import('./en.js'), ru: () => import('./ru.js') };
/** @type {Partial<Record<Language, Record<string, Text>>>} */
const TEXTS = {};

/** Where the choice is remembered, to be known before anything is shown. */
const NAME = 'kandinsky.language';
const remembered = careful(() => globalThis.localStorage);

/** @type {Language} */
let current = 'en';
let plural = new Intl.PluralRules(current);
let ordinal = new Intl.PluralRules(current, { type: 'ordinal' });

/** The language that was chosen here, or the browser's first that there are words for. @returns {Language} */
export function detectLanguage(languages = globalThis.navigator?.languages ?? []) {
  const chosen = remembered.get(NAME);
  const known = [chosen ?? '', ...languages].map((tag) => tag.toLowerCase().split('-')[0]);
  return /** @type {Language} */ (known.find((language) => language === 'ru' || language === 'en') ?? 'en');
}

/** @param {Language} language */
export async function setLanguage(language) {
  TEXTS[language] ??= (await SOURCES[language]()).default;
  current = language;
  plural = new Intl.PluralRules(language);
  ordinal = new Intl.PluralRules(language, { type: 'ordinal' });
  if (!globalThis.document) return;
  document.documentElement.lang = language;
  document.dispatchEvent(new CustomEvent('kd:language'));
}

/** Sets the language and remembers it. @param {Language} language */
export function chooseLanguage(language) {
  remembered.set(NAME, language);
  return setLanguage(language);
}

export const language = () => current;

/**
 * A number as the language writes it.
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 */
export const number = (value, options) => new Intl.NumberFormat(current, options).format(value);

/** How much: `2.1 s`, `5 min`. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  const [value, unit] = seconds < 90 ? [seconds, 'second'] : [Math.round(seconds / 60), 'minute'];
  return number(/** @type {number} */ (value), { style: 'unit', unit: /** @type {string} */ (unit), unitDisplay: 'short' });
}

/** @param {number} ms since 1970 */
export const moment = (ms) => new Intl.DateTimeFormat(current, { dateStyle: 'medium', timeStyle: 'short' }).format(ms);

/**
 * A text with its values put in. Forms by number go by `n` or `count`; `{place}` is an ordinal: 2nd, 2-я.
 * @param {string} key
 * @param {Record<string, string|number>} [params]
 */
export function t(key, params = {}) {
  const text = TEXTS[current]?.[key] ?? key;
  const form = typeof text === 'string' ? text : (text[plural.select(Number(params.n ?? params.count ?? 0))] ?? text.other ?? key);
  return form.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = params[name];
    if (value === undefined) return whole;
    if (typeof value !== 'number') return value;
    if (name === 'place') return value + suffix(value);
    return name === 'seed' || name === 'width' || name === 'height' ? String(value) : number(value);
  });
}

/** Whether there is a text of this name. @param {string} key */
export const has = (key) => key in (TEXTS[current] ?? {});

/** @param {number} value */
function suffix(value) {
  const text = TEXTS[current]?.ordinal ?? '';
  return typeof text === 'string' ? text : (text[ordinal.select(value)] ?? text.other ?? '');
}

// Words are there before the first panel is.
if (globalThis.document) await setLanguage(detectLanguage());
