// Jobs between the page and the server: events in pieces, answers that get lost, pages that are loaded again.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { createJobs } from '../api/jobs.js';
import { ApiError, errorOf, secondsUntil } from '../api/problem.js';
import { createParser } from '../api/sse.js';

test('events are the same wherever the bytes were cut, also inside a letter', () => {
  const text = ': hello\r\n\r\nid: 7\nevent: progress\ndata: {"prompt":"лес"}\n\nevent: preview\rdata: a\rdata: b\r\rdata\n\nevent: lost\n\nid: 8\ndata: end\n\n';
  const expected = [
    { event: 'progress', data: '{"prompt":"лес"}', id: '7' },
    { event: 'preview', data: 'a\nb', id: '7' },
    { event: 'message', data: '', id: '7' },
    { event: 'message', data: 'end', id: '8' },
  ];
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const events = [];
    const parser = createParser((event) => events.push(event));
    parser.push(bytes.subarray(0, cut));
    parser.push(bytes.subarray(cut));
    assert.deepEqual(events, expected, `cut at ${cut}`);
  }
  const events = [];
  const parser = createParser((event) => events.push(event));
  for (const byte of bytes) parser.push(Uint8Array.of(byte));
  assert.deepEqual(events, expected);
});

test('Retry-After is read in seconds and as a date; a page of a proxy is a problem, too', async () => {
  assert.equal(secondsUntil('7', 0), 7);
  assert.equal(secondsUntil('Thu, 01 Jan 1970 00:01:00 GMT', 15_000), 45);
  assert.equal(secondsUntil('soon', 0), null);
  const { problem } = await errorOf(new Response('<html>Bad gateway</html>', { status: 502 }));
  assert.deepEqual([problem.type, problem.status], ['unreadable', 502]);
});

/** A server that holds jobs by key, answers as it is told, and whose stream of events a test writes. */
function createServer() {
  const server = { byKey: new Map(), sent: [], canceled: [], answers: [], push: (_event, _value) => {} };
  const job = (id, status, more = {}) => ({ id, status, parameters: {}, warnings: [], images: [], ...more });
  server.client = {
    async submit(_mode, _fields, _files, key) {
      server.sent.push(key);
      const answer = server.answers.shift();
      if (answer === 'lost before') throw new ApiError({ type: 'network' });
      if (answer instanceof ApiError) throw answer;
      if (!server.byKey.has(key)) server.byKey.set(key, job(`job-${server.byKey.size}`, 'queued'));
      if (answer === 'lost after') throw new ApiError({ type: 'network' });
      const first = structuredClone(server.byKey.get(key));
      if (typeof answer === 'function') await answer();
      return first;
    },
    job: async (id) => [...server.byKey.values()].find((one) => one.id === id),
    async cancel(id) {
      server.canceled.push(id);
      const found = [...server.byKey.values()].find((one) => one.id === id);
      found.status = 'canceled';
      return found;
    },
    image: async () => new Blob(['pixels']),
    async events(_lastId, signal) {
      const body = new ReadableStream({
        start(controller) {
          signal.addEventListener('abort', () => controller.error(new Error('stopped')));
          server.push = (event, value) => controller.enqueue(new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`));
        },
      });
      return new Response(body);
    },
  };
  server.finish = (key) => {
    const found = server.byKey.get(key);
    Object.assign(found, { status: 'succeeded', images: [{ index: 0, seed: 5, width: 64, height: 64, media_type: 'image/png' }] });
    server.push('completed', found);
  };
  return server;
}

/** @type {any[]} */
const pages = [];

// A job that goes on keeps its stream open, and with it the process.
afterEach(async () => {
  for (const page of pages.splice(0)) for (const { key } of page.jobs.list()) await page.jobs.dismiss(key);
});

function createPage(server, records = new Map()) {
  const page = { seen: [], images: null, records };
  pages.push(page);
  const db = {
    getJobs: async () => [...records.values()],
    putJob: async (job) => void records.set(job.key, structuredClone(job)),
    deleteJob: async (key) => void records.delete(key),
  };
  page.db = db;
  page.jobs = createJobs({
    client: server.client,
    db,
    onChange(job, images) {
      page.seen.push(job.status);
      page.images = images ?? page.images;
    },
  });
  page.until = async (status) => {
    for (let turn = 0; turn < 1000 && page.seen.at(-1) !== status; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(page.seen.at(-1), status);
  };
  return page;
}

const ASKED = { mode: 'text-to-image', prompt: 'a fox', fields: { prompt: 'a fox' }, target: null, staged: true };

test('a job is stored before it is sent, and its images come with the last event', async () => {
  const server = createServer();
  const page = createPage(server);
  let storedBefore = false;
  server.answers.push(() => {
    storedBefore = page.records.size === 1 && page.records.has(server.sent[0]);
  });
  const { key } = await page.jobs.submit(ASKED);
  await page.until('queued');
  assert.ok(storedBefore);
  server.push('progress', { job: 'job-0', percent: 40, step: 2, steps: 5, stage: 'decoder', eta_ms: 100 });
  await page.until('running');
  server.finish(key);
  await page.until('succeeded');
  assert.equal(page.images[0].seed, 5);
  assert.ok(page.records.has(key), 'stays until it is dismissed');
  await page.jobs.dismiss(key);
  assert.equal(page.records.size, 0);
});

test('an event that overtakes the answer is not lost', async () => {
  const server = createServer();
  const page = createPage(server);
  server.answers.push(async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    server.finish(server.sent[0]);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  });
  await page.jobs.submit(ASKED);
  await page.until('succeeded');
});

test('an event that comes while the answer is being stored is not lost', async () => {
  const server = createServer();
  const page = createPage(server);
  const put = page.db.putJob;
  let stored = 0;
  page.db.putJob = async (job) => {
    await put(job);
    // The second time it has its id.
    if (++stored !== 2) return;
    server.finish(job.key);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await page.jobs.submit(ASKED);
  await page.until('succeeded');
});

test('a job that is answered as done is not asked for again', async () => {
  const server = createServer();
  const page = createPage(server);
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  server.client.submit = async () => {
    await turns();
    return { id: 'done', status: 'succeeded', parameters: {}, images: [{ index: 0, seed: 5, width: 64, height: 64, media_type: 'image/png' }] };
  };
  // The stream is open only after the request was sent.
  const { events } = server.client;
  server.client.events = async (...args) => {
    await new Promise((resolve) => setImmediate(resolve));
    return events(...args);
  };
  server.client.job = async () => {
    throw new ApiError({ type: 'not-found', status: 404 });
  };
  await page.jobs.submit(ASKED);
  await page.until('succeeded');
  await turns();
  assert.equal(page.seen.at(-1), 'succeeded');
});

test('a job that nothing is heard of is asked for', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval', 'Date'] });
  const server = createServer();
  const page = createPage(server);
  const { key } = await page.jobs.submit(ASKED);
  await page.until('queued');
  server.push = () => {};
  server.finish(key);
  context.mock.timers.tick(40_000);
  await page.until('succeeded');
});

test('after a lost answer and a reload the same key is sent again, and gives the same job', async () => {
  const server = createServer();
  const first = createPage(server);
  server.answers.push('lost after');
  const { key } = await first.jobs.submit(ASKED);
  await first.until('waiting');
  const second = createPage(server, first.records);
  await second.jobs.restore();
  await second.until('queued');
  assert.deepEqual(server.sent, [key, key]);
  assert.equal(server.byKey.size, 1);
  await first.jobs.cancel(key);
});

test('a busy server is asked again when it said, or at once by hand', async () => {
  const server = createServer();
  const page = createPage(server);
  server.answers.push(new ApiError({ type: 'queue-full', status: 503, retryAfter: 100 }));
  const { key } = await page.jobs.submit(ASKED);
  await page.until('waiting');
  await page.jobs.retry(key);
  await page.until('queued');
  assert.deepEqual(server.sent, [key, key]);
});

test('a quota that is used up for today is told, not waited for', async () => {
  const server = createServer();
  const page = createPage(server);
  server.answers.push(new ApiError({ type: 'quota', status: 429, retryAfter: 20_000 }));
  await page.jobs.submit(ASKED);
  await page.until('failed');
  assert.equal(page.jobs.list()[0].problem.type, 'quota');
});

test('a job that is stopped while it is being sent is stopped on the server', async () => {
  const server = createServer();
  const page = createPage(server);
  let answer = () => {};
  server.answers.push(() => new Promise((resolve) => {
    answer = resolve;
  }));
  const { key } = await page.jobs.submit(ASKED);
  await new Promise((resolve) => setImmediate(resolve));
  await page.jobs.cancel(key);
  answer();
  await page.until('canceled');
  assert.deepEqual(server.canceled, ['job-0']);
  assert.equal(page.records.size, 0);
});

test('what the server refuses fails with its words, and is sent anew under the same key after a change of mind', async () => {
  const server = createServer();
  const page = createPage(server);
  server.answers.push(new ApiError({ type: 'validation', status: 422, errors: [{ pointer: '/steps', message: 'must be 1 to 500' }] }));
  const { key } = await page.jobs.submit(ASKED);
  await page.until('failed');
  assert.equal(page.jobs.list()[0].problem.errors[0].pointer, '/steps');
  await page.jobs.retry(key);
  await page.until('queued');
  assert.deepEqual(server.sent, [key, key]);
});
