/**
 * Jobs live on the server; this is the page's memory of them, from the click to the images.
 *
 * Invariant: a job is stored with its idempotency key before anything is sent, so no reload, restart or lost network makes a
 * second image, or loses one.
 */

import { createId } from './keys.js';
import { ApiError, isPassing, problemOf, readProblem } from './problem.js';
import { listen } from './sse.js';

/** @typedef {import('../model/types.js').Job} Job */
/** @typedef {{blob: Blob, seed: number, width: number, height: number, index: number, mediaType: string}} JobImage */
/** @typedef {Job & {stage?: string, parameters?: any, stopping?: boolean}} JobView */

/**
 * What goes on with a job on this side. `view` is replaced, never changed; `ended`: the server has said so.
 * @typedef {{view: JobView, files: import('./client.js').Files|null, tries: number, ended: boolean, heard: number, timer: ReturnType<typeof setTimeout>|undefined}} Entry
 */

/** Tries of one request before the person is asked, and s: a quota that is used up until tomorrow is told, not waited for. */
const [MOST_TRIES, LONGEST_WAIT] = [6, 120];
/** ms without a word of a job after which it is asked for: there are proxies that hold events back. */
const QUIET = 15_000;

/**
 * @param {object} options
 * @param {Pick<import('./client.js').Client, 'submit'|'job'|'cancel'|'image'|'events'>} options.client
 * @param {{getJobs: () => Promise<any[]>, putJob: (job: any) => Promise<void>, deleteJob: (key: string) => Promise<void>}} options.db
 * @param {(job: JobView, images?: JobImage[]) => void} options.onChange  images: once, with `succeeded`
 * @param {(key: string) => void} [options.onGone]  the job was dismissed
 * @param {(jobId: string, index: number) => Promise<Blob|null>} [options.keptImage]  a file that this side has already
 * @param {(online: boolean) => void} [options.onOnline]
 * @param {(error: unknown) => void} [options.onStoreError]
 */
export function createJobs({ client, db, onChange, onGone, keptImage = async () => null, onOnline = () => {}, onStoreError = () => {} }) {
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  /** What was heard of while an answer was on its way: that answer's job may be among them. @type {Set<string>} */
  const early = new Set();
  /** @type {{stop: () => void}|null} */
  let stream = null;
  /** How often it was opened. */
  let opened = 0;
  /** @type {ReturnType<typeof setInterval>|undefined} */
  let watch;

  const attached = (/** @type {Entry} */ { view }) => view.id !== null && (view.status === 'queued' || view.status === 'running');

  /** @param {Entry} entry @param {Partial<JobView>} [change] @param {JobImage[]} [images] */
  function tell(entry, change = {}, images) {
    entry.view = { ...entry.view, ...change };
    entry.heard = Date.now();
    onChange(entry.view, images);
    tend();
  }

  /** A stream takes one of the few connections that a browser gives a server, so it is open while there is something to hear. */
  function tend() {
    const all = [...entries.values()];
    const sending = all.some(({ view }) => view.status === 'sending');
    const wanted = sending || all.some(attached);
    if (!sending) early.clear();
    if (wanted && !stream) {
      stream = listen({
        open: client.events,
        onState: onOnline,
        onOpen: () => {
          opened += 1;
          for (const entry of entries.values()) if (attached(entry)) void refresh(entry);
        },
        onEvent: ({ event, data }) => hear(event, JSON.parse(data)),
      });
      watch = setInterval(() => {
        for (const entry of entries.values()) if (attached(entry) && Date.now() - entry.heard > QUIET) void refresh(entry);
      }, QUIET);
    } else if (!wanted && stream) {
      stream.stop();
      stream = null;
      clearInterval(watch);
    }
  }

  /** @param {Entry} entry */
  async function keep({ view, files }) {
    const { preview: _, ...record } = view;
    await db.putJob({ ...record, files }).catch(onStoreError);
  }

  /** @param {Entry} entry */
  async function forget({ view, timer }) {
    clearTimeout(timer);
    await db.deleteJob(view.key).catch(onStoreError);
  }

  /** @param {string} event @param {any} value */
  function hear(event, value) {
    const id = value.job ?? value.id;
    const entry = [...entries.values()].find(({ view }) => view.id === id);
    if (entry) follow(entry, event, value);
    else early.add(id);
  }

  /** @param {Entry} entry @param {string} event @param {any} value */
  function follow(entry, event, value) {
    if (!attached(entry)) return;
    if (event === 'queued') tell(entry, { status: 'queued', position: value.position, etaMs: value.eta_ms });
    else if (event === 'progress') {
      const { percent, step, steps, stage, eta_ms: etaMs } = value;
      tell(entry, { status: 'running', percent, step, steps, stage, etaMs });
    } else if (event === 'preview') {
      tell(entry, { status: 'running', preview: new Blob([bytesOf(value.b64_json)], { type: value.media_type }) });
    } else if (event === 'completed' || event === 'failed') void adopt(entry, value);
  }

  /**
   * Takes over what the server says of a job.
   * @param {Entry} entry
   * @param {any} answer
   */
  async function adopt(entry, answer) {
    if (entry.ended) return;
    const known = { id: answer.id, parameters: answer.parameters, warnings: answer.warnings ?? [] };
    if (answer.status === 'succeeded') {
      entry.ended = true;
      tell(entry, { ...known, status: 'running', percent: 100 });
      await collect(entry, answer);
    } else if (answer.status === 'failed' || answer.status === 'canceled') {
      entry.ended = true;
      if (answer.status === 'canceled') await forget(entry);
      tell(entry, { ...known, status: answer.status, problem: answer.error ? readProblem(answer.error) : null });
    } else {
      const status = entry.view.status === 'running' ? 'running' : answer.status;
      tell(entry, { ...known, status });
      if (entry.view.stopping) client.cancel(answer.id).then((end) => adopt(entry, end)).catch(() => {});
    }
  }

  /** @param {Entry} entry @param {any} answer */
  async function collect(entry, answer) {
    try {
      const images = await Promise.all(
        answer.images.map(async (/** @type {any} */ { index, seed, width, height, media_type: mediaType }) => {
          const blob = (await keptImage(answer.id, index)) ?? (await client.image(answer.id, index));
          return { blob, seed, width, height, index, mediaType };
        }),
      );
      tell(entry, { status: 'succeeded', problem: null }, images);
    } catch (error) {
      entry.ended = false;
      failOrWait(entry, problemOf(error));
    }
  }

  /** @param {Entry} entry */
  async function refresh(entry) {
    try {
      await adopt(entry, await client.job(/** @type {string} */ (entry.view.id)));
    } catch (error) {
      const problem = problemOf(error);
      // Out of reach is not gone: when the stream is open again, this is asked again.
      if (entry.ended || isPassing(problem)) return;
      entry.ended = problem.status === 404 || problem.status === 410;
      tell(entry, { status: 'failed', problem });
    }
  }

  /** @param {Entry} entry */
  async function send(entry) {
    entry.tries += 1;
    tell(entry, { status: 'sending', problem: null, retryAt: null });
    const { mode, fields, key } = entry.view;
    const before = opened;
    try {
      const answer = await client.submit(mode, fields, entry.files, key);
      // An event was here before the answer, or came before the stream was open.
      const overtaken = early.has(answer.id) || opened !== before;
      // From here on its events are its own, also those that come while it is being stored.
      entry.view = { ...entry.view, id: answer.id, status: 'queued' };
      await keep(entry);
      await adopt(entry, answer);
      if (overtaken && attached(entry)) await refresh(entry);
    } catch (error) {
      if (entry.view.stopping) {
        await forget(entry);
        tell(entry, { status: 'canceled' });
      } else failOrWait(entry, problemOf(error));
    }
  }

  /** @param {Entry} entry @param {import('../model/types.js').Problem} problem */
  function failOrWait(entry, problem) {
    if (!isPassing(problem) || entry.tries >= MOST_TRIES || (problem.retryAfter ?? 0) > LONGEST_WAIT) {
      tell(entry, { status: 'failed', problem, retryAt: null });
      return;
    }
    const ms = 1000 * (problem.retryAfter ?? Math.min(30, 2 ** entry.tries));
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => again(entry), ms);
    tell(entry, { status: 'waiting', problem, retryAt: Date.now() + ms });
  }

  /** @param {Entry} entry */
  function again(entry) {
    clearTimeout(entry.timer);
    entry.timer = undefined;
    if (entry.view.id === null) return void send(entry);
    entry.tries += 1;
    tell(entry, { status: 'running', problem: null, retryAt: null });
    void refresh(entry);
  }

  /** @param {Pick<Job, 'mode'|'prompt'|'fields'|'target'|'staged'>} asked @returns {JobView} */
  const fresh = ({ mode, prompt, fields, target, staged }) => ({
    ...{ key: createId(), id: null, mode, status: 'sending', prompt, fields, target, staged, createdAt: Date.now(), warnings: [] },
    ...{ percent: 0, step: 0, steps: 0, position: null, etaMs: null, preview: null, retryAt: null, problem: null },
  });

  /** @param {JobView} view @param {import('./client.js').Files|null} files */
  function enter(view, files) {
    /** @type {Entry} */
    const entry = { view, files, tries: 0, ended: false, heard: 0, timer: undefined };
    entries.set(view.key, entry);
    return entry;
  }

  return {
    /** @param {Pick<Job, 'mode'|'prompt'|'fields'|'target'|'staged'> & {files?: import('./client.js').Files|null}} asked */
    async submit(asked) {
      const entry = enter(fresh(asked), asked.files ?? null);
      tell(entry);
      await keep(entry);
      void send(entry);
      return entry.view;
    },

    /** @param {string} key */
    async cancel(key) {
      const entry = entries.get(key);
      if (!entry || entry.ended || entry.view.stopping) return;
      const { id, status } = entry.view;
      tell(entry, { stopping: true });
      if (id === null && status === 'sending') return;
      try {
        if (id !== null) await adopt(entry, await client.cancel(id));
        else throw new ApiError({ type: 'canceled' });
      } catch (error) {
        // What waits has not reached the server, and what is out of reach ends there by itself.
        if (id !== null && !isPassing(problemOf(error))) return tell(entry, { stopping: false, problem: problemOf(error) });
        entry.ended = true;
        await forget(entry);
        tell(entry, { status: 'canceled', retryAt: null });
      }
    },

    /** Sends a failed or waiting job again: under its own key, unless the server has ended that. @param {string} key */
    async retry(key) {
      const entry = entries.get(key);
      if (!entry || (entry.view.status !== 'failed' && entry.view.status !== 'waiting')) return;
      entry.tries = 0;
      if (!entry.ended) return again(entry);
      await this.dismiss(key);
      await this.submit({ ...entry.view, files: entry.files });
    },

    /** Forgets a job that has ended. @param {string} key */
    async dismiss(key) {
      const entry = entries.get(key);
      if (!entry) return;
      entry.ended = true;
      entries.delete(key);
      await forget(entry);
      onGone?.(key);
      tend();
    },

    /** What an earlier page left goes on here. */
    async restore() {
      const records = (await db.getJobs()).sort((a, b) => a.createdAt - b.createdAt);
      for (const { files, ...view } of records) {
        if (entries.has(view.key)) continue;
        const entry = enter({ ...view, preview: null, status: view.id === null ? 'sending' : 'queued', stopping: false }, files);
        tell(entry);
        void (view.id === null ? send(entry) : refresh(entry));
      }
    },

    /** Oldest first. */
    list: () => [...entries.values()].map(({ view }) => view),

    /** What waits tries again now: the network is back. */
    wake() {
      for (const entry of entries.values()) if (entry.timer !== undefined) again(entry);
    },
  };
}

/** @param {string} base64 */
const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
