/**
 * Undo and redo, by name.
 *
 * Invariant: bounded in steps and in bytes. What is too old is forgotten from the oldest on; the document itself never is.
 */

/**
 * Something that was done and can be taken back. `bytes`: what it holds; `merge`: commands that follow each other with the same
 * value become one step; `back`, `forth`: the same as `undo` and `redo` as data, to be stored.
 * @typedef {{key: string, params: Record<string, string|number>, bytes: number, undo: () => void, redo: () => void, merge?: string, back?: any, forth?: any}} Command
 */
/** @typedef {Command & {id: number, at: number}} Done */
/** @typedef {import('./types.js').Step} Step */

const MERGE_WITHIN_MS = 1000;

export class History {
  /** @param {{mostSteps?: number, mostBytes?: number, now?: () => number}} [limits] */
  constructor({ mostSteps = 200, mostBytes = 256 * 1024 * 1024, now = Date.now } = {}) {
    this.mostSteps = mostSteps;
    this.mostBytes = mostBytes;
    this.now = now;
    /** @type {Done[]} */
    this.commands = [];
    /** How many of them are done. */
    this.done = 0;
    this.bytes = 0;
    this.nextId = 1;
    /** @type {Step} */
    this.first = { id: 0, key: 'step.opened', params: {}, at: now() };
  }

  /**
   * Begin anew.
   * @param {string} key
   * @param {Record<string, string|number>} params
   */
  reset(key, params) {
    this.commands = [];
    this.done = 0;
    this.bytes = 0;
    this.nextId = 1;
    this.first = { id: 0, key, params, at: this.now() };
  }

  /**
   * Note what was just done. What was undone before can no longer be redone.
   * @param {Command} command
   */
  push(command) {
    for (const gone of this.commands.splice(this.done)) this.bytes -= gone.bytes;
    const last = this.commands.at(-1);
    if (last && command.merge && last.merge === command.merge && this.now() - last.at < MERGE_WITHIN_MS) {
      const { undo, back, id, bytes } = last;
      Object.assign(last, command, { undo, back, id, bytes, at: this.now() });
      return;
    }
    this.commands.push({ ...command, id: this.nextId++, at: this.now() });
    this.bytes += command.bytes;
    this.done = this.commands.length;
    this.trim(this.mostBytes);
  }

  /**
   * Forget the oldest until no more than so many bytes are held. The newest stays: taking back the last thing must work.
   * @param {number} bytes
   */
  trim(bytes) {
    while (this.commands.length > 1 && this.done > 1 && (this.commands.length > this.mostSteps || this.bytes > bytes)) {
      const [gone] = this.commands.splice(0, 1);
      this.bytes -= gone.bytes;
      this.done -= 1;
      this.first = { id: gone.id, key: gone.key, params: gone.params, at: gone.at };
    }
  }

  /**
   * What of it is worth storing: the newest that hold so many bytes in all, how many of them are done, and the step before them.
   * @param {number} bytes
   */
  newest(bytes) {
    let from = this.commands.length;
    for (let sum = 0; from > 0; from -= 1) {
      sum += this.commands[from - 1].bytes;
      if (sum > bytes) break;
    }
    if (from > this.done) from = this.commands.length;
    const { id, key, params, at } = this.commands[from - 1] ?? this.first;
    return { commands: this.commands.slice(from), done: Math.max(0, this.done - from), first: { id, key, params, at } };
  }

  /**
   * Go on with what was stored.
   * @param {Done[]} commands
   * @param {number} done
   * @param {Step} first
   */
  adopt(commands, done, first) {
    Object.assign(this, { commands, done, first, nextId: Math.max(0, ...commands.map(({ id }) => id)) + 1 });
    this.bytes = commands.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  undo() {
    if (this.done === 0) return false;
    this.done -= 1;
    this.commands[this.done].undo();
    return true;
  }

  redo() {
    if (this.done === this.commands.length) return false;
    this.commands[this.done].redo();
    this.done += 1;
    return true;
  }

  /**
   * Go to the state after a step.
   * @param {number} index  of `steps()`
   */
  goTo(index) {
    while (this.done > index && this.undo());
    while (this.done < index && this.redo());
  }

  /** @returns {Step[]} */
  steps() {
    return [this.first, ...this.commands.map(({ id, key, params, at }) => ({ id, key, params, at }))];
  }
}
