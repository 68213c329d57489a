/**
 * Server-sent events over fetch, since EventSource cannot send the API key.
 *
 * Invariant: the same events come out however the bytes were cut on the way (also inside a character). No DOM.
 */

/**
 * `id` is the last that the stream gave: where to resume.
 * @typedef {{event: string, data: string, id: string}} ServerEvent
 */

/** ms without a byte after which a stream is taken for dead; the server sends a comment every 15 s. */
const SILENCE = 45_000;

/** @param {(event: ServerEvent) => void} onEvent */
export function createParser(onEvent) {
  const decoder = new TextDecoder();
  let rest = '';
  let event = '';
  /** @type {string[]} */
  let data = [];
  let id = '';
  let afterReturn = false;

  /** @param {string} line */
  function take(line) {
    if (line === '') {
      if (data.length) onEvent({ event: event || 'message', data: data.join('\n'), id });
      event = '';
      data = [];
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id' && !value.includes('\0')) id = value;
  }

  return {
    /** @param {Uint8Array} bytes */
    push(bytes) {
      let text = decoder.decode(bytes, { stream: true });
      // A line feed after a carriage return ends the same line, also when they came apart.
      if (text) {
        if (afterReturn && text.startsWith('\n')) text = text.slice(1);
        afterReturn = text.endsWith('\r');
      }
      rest += text;
      const lines = rest.split(/\r\n|\n|\r/);
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    },
  };
}

/**
 * Listens until stopped: opens again after an end, a loss of the network or a restart of the server.
 * @param {object} options
 * @param {(lastEventId: string, signal: AbortSignal) => Promise<Response>} options.open
 * @param {(event: ServerEvent) => void} options.onEvent
 * @param {() => void} [options.onOpen] each time: what was missed in between is to be asked for now
 * @param {(up: boolean) => void} [options.onState]
 * @param {(ms: number, signal: AbortSignal) => Promise<void>} [options.wait]
 * @returns {{stop: () => void}}
 */
export function listen({ open, onEvent, onOpen = () => {}, onState = () => {}, wait = pause }) {
  const stopping = new AbortController();
  let lastId = '';
  let failures = 0;

  async function read() {
    const response = await open(lastId, stopping.signal);
    failures = 0;
    onState(true);
    onOpen();
    const parser = createParser((event) => {
      lastId = event.id || lastId;
      onEvent(event);
    });
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    for (;;) {
      const silence = setTimeout(() => void reader.cancel().catch(() => {}), SILENCE);
      const part = await reader.read().finally(() => clearTimeout(silence));
      if (part.done) return;
      parser.push(part.value);
    }
  }

  async function run() {
    while (!stopping.signal.aborted) {
      let asked = null;
      try {
        await read();
      } catch (error) {
        if (stopping.signal.aborted) return;
        asked = /** @type {any} */ (error)?.problem?.retryAfter ?? null;
        failures += 1;
        onState(false);
      }
      const backoff = Math.min(15_000, 250 * 2 ** Math.min(failures, 6)) * (0.75 + Math.random() / 2);
      await wait(asked === null ? backoff : asked * 1000, stopping.signal);
    }
  }
  void run();
  return { stop: () => stopping.abort() };
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
