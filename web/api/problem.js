/**
 * One shape for everything that can go wrong between the page and the server.
 *
 * Invariant: whatever the client throws is an ApiError; callers never see a TypeError of fetch, or a body that is not JSON.
 */

/** @typedef {import('../model/types.js').Problem} Problem */

export class ApiError extends Error {
  /** @param {Partial<Problem> & {type: string}} problem */
  constructor(problem) {
    super(problem.detail || problem.type);
    this.name = 'ApiError';
    /** @type {Problem} */
    this.problem = { ...EMPTY, ...problem };
  }
}

/** @type {Problem} */
const EMPTY = { status: 0, type: '', title: '', detail: '', errors: [], categories: [], retryAfter: null };

/**
 * Whether the same request may succeed later without a change.
 * @param {Problem} problem
 */
export function isPassing(problem) {
  return problem.type === 'network' || [429, 502, 503, 504].includes(problem.status);
}

/**
 * @param {unknown} error
 * @returns {Problem}
 */
export function problemOf(error) {
  return error instanceof ApiError ? error.problem : { ...EMPTY, type: 'unexpected', detail: String(error) };
}

/**
 * @param {any} document a parsed problem document
 * @param {number|null} [retryAfter] s
 * @returns {Problem}
 */
export function readProblem(document, retryAfter = null) {
  return {
    status: Number(document?.status) || 0,
    type: String(document?.type ?? '').split('/').pop() || 'unreadable',
    title: String(document?.title ?? ''),
    detail: String(document?.detail ?? ''),
    errors: Array.isArray(document?.errors) ? document.errors : findings(document),
    categories: Array.isArray(document?.categories) ? document.categories : [],
    retryAfter,
  };
}

/**
 * Moderation says which text it objects to: that is shown at the field as any violation is.
 * @param {any} document
 * @returns {Problem['errors']}
 */
function findings(document) {
  const list = Array.isArray(document?.moderation) ? document.moderation : [];
  return list.filter((/** @type {any} */ one) => one.pointer).map((/** @type {any} */ one) => ({ pointer: one.pointer, message: one.category }));
}

/**
 * @param {Response} response one that is not ok
 * @param {number} [now] ms since 1970, for a `Retry-After` that is a date
 */
export async function errorOf(response, now = Date.now()) {
  const retryAfter = secondsUntil(response.headers.get('retry-after'), now);
  const text = await response.text().catch(() => '');
  try {
    return new ApiError({ ...readProblem(JSON.parse(text), retryAfter), status: response.status });
  } catch {
    // A proxy answers in HTML: its words mean nothing to the reader.
    return new ApiError({ type: 'unreadable', status: response.status, detail: `HTTP ${response.status}`, retryAfter });
  }
}

/**
 * @param {string|null} header seconds or a date
 * @param {number} now ms since 1970
 * @returns {number|null} s
 */
export function secondsUntil(header, now) {
  if (!header) return null;
  if (/^\s*\d+\s*$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000));
}
