// The real server, as people run it, with kandinsky-mini.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.KANDINSKY_BINARY;

/** Start a server: its address, and how to stop it or start it again on the same data and port. */
export async function startServer(env = {}) {
  const data = await mkdtemp(join(tmpdir(), "kandinsky-editor-"));
  let child;
  let url = await launch("127.0.0.1:0");
  return {
    get url() {
      return url;
    },
    /** End the process, politely or not. */
    async halt(signal = "SIGTERM") {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill(signal);
      await ended;
    },
    async resume() {
      url = await launch(new URL(url).host);
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) await this.halt("SIGKILL");
      await rm(data, { recursive: true, force: true });
    },
  };

  function launch(listen) {
    child = spawn(BINARY, ["serve", "--listen", listen, "--data", data], { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] });
    return new Promise((done, fail) => {
      let log = "";
      child.stderr.setEncoding("utf8").on("data", (text) => {
        log += text;
        const ready = /ready on (http:\S+)/.exec(log);
        if (ready) done(ready[1]);
      });
      child.once("exit", (code) => fail(new Error(`the server ended with ${code}: ${log}`)));
    });
  }
}
