/**
 * A job in words: what it waits for, how far it is, why it failed.
 *
 * Invariant: a kind of problem that has words here is told in them; the server's own words follow, whatever they are.
 */

import { duration, has, t } from '../i18n/index.js';
import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { icon } from './parts.js';

/** @typedef {import('../model/types.js').Job} Job */
/** @typedef {import('../model/types.js').Problem} Problem */

/** Statuses of requests that fail again unless they are changed. */
const FINAL = [400, 403, 413, 415, 422];

/** The newest job of this document that goes on. @param {import('./parts.js').State} state */
export function activeJob({ jobs, document }) {
  return jobs.find((job) => isActive(job) && job.target?.documentId === document.id);
}

/** @param {Job} job */
export const isActive = ({ status }) => status !== 'failed' && status !== 'canceled' && status !== 'succeeded';

/** @param {Job} job */
export function jobSentence(job) {
  if (job.status === 'sending') return t('job.sending');
  if (job.status === 'waiting') {
    const seconds = Math.max(0, Math.ceil(((job.retryAt ?? 0) - Date.now()) / 1000));
    return t(job.problem?.type === 'network' ? 'job.offline' : 'job.busy', { n: seconds });
  }
  const eta = job.etaMs ? ` · ${t('job.eta', { time: duration(job.etaMs) })}` : '';
  if (job.status === 'queued') return `${job.position ? t('job.queued', { place: job.position + 1 }) : t('job.next')}${eta}`;
  if (job.percent >= 100) return t('job.fetching');
  // Steps are counted anew in each stage: only the decoder's are what the person set.
  const stage = /** @type {import('../api/jobs.js').JobView} */ (job).stage;
  if (stage === 'decoder' && job.steps) return `${t('job.running', { step: job.step, steps: job.steps })}${eta}`;
  return `${t(stage === 'decode' ? 'job.fetching' : stage ? 'job.reading' : 'job.starting')}${stage === 'decode' ? '' : eta}`;
}

/** What went wrong, in a sentence. @param {Problem} problem */
export function problemSentence(problem) {
  const key = `problem.${problem.type}`;
  const categories = problem.categories.join(', ');
  return has(key) ? t(key, { categories, n: problem.retryAfter ?? 0 }) : t('problem.other');
}

/**
 * @param {Job} job  one that failed
 * @param {import('./parts.js').Actions} actions
 */
export function problemAlert(job, actions) {
  const problem = job.problem;
  return html`<div class="alert" role="alert">
    ${icon('alert')}
    <div>
      <p>${problem ? problemSentence(problem) : t('problem.other')}</p>
      ${problem?.detail && problem.type !== 'network' && problem.errors.length === 0 ? html`<p class="detail" lang="en">${problem.detail}</p>` : nothing}
    </div>
    ${problem && FINAL.includes(problem.status) ? nothing : html`<button type="button" class="button small" @click=${() => void actions.retry(job.key)}>${t('job.retry')}</button>`}
    <button type="button" class="icon-button small" aria-label=${t('close')} title=${t('close')} @click=${() => actions.dismiss(job.key)}>${icon('close', 'small')}</button>
  </div>`;
}
