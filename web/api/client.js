/**
 * Everything that goes to the server goes through here: addresses, the key, problems.
 *
 * Invariant: addresses are relative to this file, so that the editor works below any base path, and the key leaves in a header only.
 */

import { ApiError, errorOf } from './problem.js';

/** The server's root: this file is `assets/api/client.js` below it. */
const BASE = new URL('../../', import.meta.url).href;

/** @typedef {Record<string, Blob|Blob[]>} Files names of the form's fields */
/** @typedef {ReturnType<typeof createClient>} Client */

/**
 * @param {object} options
 * @param {() => string} options.getKey empty: none
 * @param {(error: ApiError) => Promise<boolean>} [options.onUnauthorized] asks for a key; true: there is a new one
 * @param {string} [options.base]
 * @param {typeof fetch} [options.fetch]
 */
export function createClient({ getKey, onUnauthorized, base = BASE, fetch: send = fetch.bind(globalThis) }) {
  /** @type {Promise<boolean>|null} one dialog, however many requests are refused at once */
  let asking = null;

  /** @param {string} path */
  const url = (path) => new URL(path.replace(/^\/+/, ''), base).href;

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @param {string} key
   */
  async function answer(path, init, key) {
    const headers = new Headers(init.headers);
    try {
      if (key) headers.set('Authorization', `Bearer ${key}`);
    } catch {
      // No header can carry it, so it is no key of the server's: its answer would be this one.
      return Response.json({ type: 'invalid-key' }, { status: 401 });
    }
    try {
      return await send(url(path), { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError({ type: 'network' });
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} one that is ok
   */
  async function request(path, init = {}) {
    for (;;) {
      const key = getKey();
      const response = await answer(path, init, key);
      if (response.ok) return response;
      const error = await errorOf(response);
      if (response.status !== 401) throw error;
      // Another request may have got a new key while this one was on its way.
      if (getKey() !== key) continue;
      if (!onUnauthorized) throw error;
      asking ??= onUnauthorized(error).finally(() => {
        asking = null;
      });
      if (!(await asking)) throw error;
    }
  }

  /** @param {string} path @param {RequestInit} [init] @returns {Promise<any>} */
  const json = async (path, init) => readJson(await request(path, { cache: 'no-store', ...init }));

  return {
    url,
    capabilities: () => json('v1/capabilities'),
    styles: async () => (await json('v1/styles')).data,
    /** @param {string} id */
    job: (id) => json(`v1/jobs/${id}`),
    /** @param {string} status */
    jobs: async (status) => (await json(`v1/jobs?limit=100&status=${status}`)).data,
    /** @param {string} id */
    cancel: (id) => json(`v1/jobs/${id}/cancel`, { method: 'POST' }),
    /** @param {string} id */
    remove: (id) => json(`v1/jobs/${id}`, { method: 'DELETE' }),
    /**
     * @param {string} id
     * @param {number} index
     * @param {{width?: number}} [options] px, of a smaller copy
     * @returns {Promise<Blob>}
     */
    async image(id, index, { width } = {}) {
      const response = await request(`v1/jobs/${id}/images/${index}${width ? `?width=${width}` : ''}`);
      return readBlob(response);
    },
    /**
     * A file of the server, by the path that an answer named.
     * @param {string} path
     */
    file: async (path) => readBlob(await request(path)),
    /**
     * The stream of all jobs of the caller.
     * @param {string} lastEventId
     * @param {AbortSignal} signal
     */
    events(lastEventId, signal) {
      /** @type {Record<string, string>} */
      const headers = { Accept: 'text/event-stream' };
      if (lastEventId) headers['Last-Event-ID'] = lastEventId;
      return request('v1/jobs/events', { headers, signal, cache: 'no-store' });
    },
    /**
     * Hands in a job. The same key with the same request gives the same job, however often it is sent.
     * @param {string} mode
     * @param {Record<string, any>} fields the JSON body without files
     * @param {Files|null} files sent as a form, if there are any
     * @param {string} key
     * @returns {Promise<any>} the job
     */
    submit(mode, fields, files, key) {
      const body = files ? formOf(fields, files) : JSON.stringify(fields);
      /** @type {Record<string, string>} */
      const headers = { Prefer: 'respond-async', 'Idempotency-Key': key };
      if (!files) headers['Content-Type'] = 'application/json';
      return json(`v1/${mode}`, { method: 'POST', body, headers });
    },
  };
}

/** @param {Response} response */
async function readJson(response) {
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new ApiError({ type: 'unreadable', status: response.status, detail: 'the answer is not JSON' });
  }
}

/** @param {Response} response */
async function readBlob(response) {
  try {
    return await response.blob();
  } catch {
    throw new ApiError({ type: 'network' });
  }
}

/**
 * A form has the names of the JSON; structures are written as JSON.
 * @param {Record<string, any>} fields
 * @param {Files} files
 */
export function formOf(fields, files) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    form.append(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  for (const [name, value] of Object.entries(files)) {
    for (const file of Array.isArray(value) ? value : [value]) form.append(name, file, `${name}.png`);
  }
  return form;
}
