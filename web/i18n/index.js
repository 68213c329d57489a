/**
 * Words in the language of the person.
 *
 * Invariant: every language module has the same keys; a key that is missing shows itself, so that it is found. No panel has words
 * of its own.
 */

import en from './en.js';
import ru from './ru.js';

/** A text, or its forms by number. @typedef {string|Partial<Record<Intl.LDMLPluralRule, string>>} Text */
/** @typedef {'en'|'ru'} Language */

/** @type {Record<Language, Record<string, Text>>} */
const TEXTS = { en, ru };

/** @type {Language} */
let current = 'en';
let plural = new Intl.PluralRules(current);
let ordinal = new Intl.PluralRules(current, { type: 'ordinal' });

/** The language of the browser that there are words for. */
export function detectLanguage(languages = navigator.languages) {
  for (const tag of languages) {
    const [language] = tag.toLowerCase().split('-');
    if (language === 'ru' || language === 'en') return /** @type {Language} */ (language);
    // Neighbours whose readers are better served by Russian than by English.
    if (language === 'be' || language === 'kk') return 'ru';
  }
  return 'en';
}

/** @param {Language} language */
export function setLanguage(language) {
  current = language;
  plural = new Intl.PluralRules(language);
  ordinal = new Intl.PluralRules(language, { type: 'ordinal' });
  document.documentElement.lang = language;
  document.dispatchEvent(new CustomEvent('kd:language'));
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
  const text = TEXTS[current][key] ?? TEXTS.en[key] ?? key;
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
export const has = (key) => key in TEXTS.en;

/** @param {number} value */
function suffix(value) {
  const text = TEXTS[current].ordinal;
  return typeof text === 'string' ? text : (text[ordinal.select(value)] ?? text.other ?? '');
}
