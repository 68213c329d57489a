// What every scenario has: a server of its worker, the editor open in a page, and hands to use it as people do.
// Invariant: a console error, a breach of the content security policy, an exception or a request to another origin fails the test.

import { readFile } from "node:fs/promises";
import { test as base, expect } from "@playwright/test";

import { decode } from "./png.mjs";
import { startServer } from "./server.mjs";

export { expect };

export const test = base.extend({
  /** Variables of the server's configuration. */
  env: [{}, { option: true, scope: "worker" }],
  server: [
    async ({ env }, use) => {
      const server = await startServer(env);
      await use(server);
      await server.stop();
    },
    { scope: "worker" },
  ],
  /** Console errors that a test brings about on purpose. */
  allowed: [[], { option: true }],
  /** The browser's context, watched. */
  watched: async ({ context, server, allowed }, use) => {
    const faults = [];
    const origin = () => new URL(server.url).origin;
    await context.addInitScript(() => {
      // What is sent, since Chromium tells its driver nothing of the files in a form.
      const sent = [];
      const send = window.fetch;
      const text = async (file) => btoa(Array.from(new Uint8Array(await file.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(""));
      window.__sent = sent;
      window.fetch = (url, init) => {
        if (init?.method === "POST") {
          const entry = { path: new URL(url, location.href).pathname, fields: {}, files: {}, headers: Object.fromEntries(new Headers(init.headers)) };
          const body = init.body;
          const whole = body instanceof FormData ? Promise.all([...body].map(async ([name, value]) => {
            if (typeof value === "string") entry.fields[name] = value;
            else entry.files[name] = await text(value);
          })) : Promise.resolve().then(() => Object.assign(entry.fields, typeof body === "string" ? JSON.parse(body) : {}));
          sent.push(whole.then(() => entry));
        }
        return send(url, init);
      };
      document.addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
    context.on("console", (message) => {
      if (message.type() === "error" && !allowed.some((known) => known.test(message.text()))) faults.push(`${message.text()} (${message.location().url})`);
    });
    context.on("weberror", (error) => faults.push(String(error.error().stack)));
    context.on("request", (request) => {
      if (/^(https?|wss?):/.test(request.url()) && new URL(request.url()).origin !== origin()) faults.push(`a request to ${request.url()}`);
    });
    await use(context);
    expect(faults).toEqual([]);
  },
  editor: async ({ watched, server }, use) => {
    const editor = new Editor(await watched.newPage(), server);
    await editor.open();
    await use(editor);
  },
});

/** A person at the editor. */
export class Editor {
  constructor(page, server) {
    this.page = page;
    this.server = server;
    this.prompt = page.locator("#prompt-text");
    this.generateButton = page.locator("#generate");
    this.plan = page.locator("#plan");
    this.candidates = page.locator(".candidates");
    this.canvas = page.locator("#canvas");
  }

  async open() {
    await this.page.goto(`${this.server.url}/`);
    await expect(this.prompt).toBeVisible();
    await expect(this.plan).not.toHaveText(/Connecting|Подключение/);
  }

  /** Few steps, so that an image takes a moment. */
  async quick({ steps = 1, prior = 1 } = {}) {
    await this.drawer("more");
    await this.number("steps", steps);
    await this.number("prior-steps", prior);
    await this.drawer("more");
  }

  async drawer(name) {
    await this.page.locator(`[data-drawer=${name}]`).click();
  }

  async number(id, value) {
    const field = this.page.locator(`.field:has(#${id}) input.number`);
    await field.fill(String(value));
    await field.press("Tab");
  }

  async seed(value) {
    await this.drawer("more");
    await this.page.locator("#seed").fill(String(value));
    await this.page.locator("#seed").press("Tab");
    await this.drawer("more");
  }

  async ratio(name) {
    await this.page.locator(`.prompt-row [role=radio][data-value="${name}"]`).click();
  }

  /** Choose a tool. */
  async tool(name) {
    await this.page.locator(`[data-tool=${name}]`).click();
  }

  async generate(prompt) {
    if (prompt !== undefined) await this.prompt.fill(prompt);
    await this.generateButton.click();
    await expect(this.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  }

  async accept() {
    await this.candidates.locator(".primary").click();
    await expect(this.candidates).toBeHidden();
  }

  /** The request that an action sends: its path, fields, and files as bytes. */
  async sent(action) {
    const before = await this.page.evaluate(() => window.__sent.length);
    await action();
    await this.page.waitForFunction((before) => window.__sent.length > before, before);
    const { files, ...rest } = await this.page.evaluate((before) => window.__sent[before], before);
    return { ...rest, files: Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text, "base64")])) };
  }

  /** The file that Save gives, decoded. */
  async save(area = "sheet", timeout = 60_000) {
    await this.page.keyboard.press("Control+s");
    const dialog = this.page.locator("dialog[data-name=save]");
    await dialog.locator(`[role=radio][data-value=${area}]`).click();
    await dialog.locator('[role=radio][data-value=png]').click();
    const [download] = await Promise.all([this.page.waitForEvent("download", { timeout }), dialog.locator("footer .primary").click()]);
    return decode(await readFile(await download.path()));
  }

  /** Open files as from the browser's dialog. */
  async openFile(name, buffer, mimeType = "image/png") {
    const [chooser] = await Promise.all([this.page.waitForEvent("filechooser"), this.page.locator("#top nav").first().getByRole("button").nth(1).click()]);
    await chooser.setFiles({ name, mimeType, buffer });
  }

  /** The window on the screen, CSS px, once it is drawn as it is. */
  async frame() {
    return this.page.evaluate(async () => {
      const read = () => {
        const canvas = document.getElementById("canvas").getBoundingClientRect();
        const style = document.getElementById("over").style;
        const [x, y, w, h] = ["x", "y", "w", "h"].map((name) => Number.parseFloat(style.getPropertyValue(`--win-${name}`)));
        return { x: x + canvas.x, y: y + canvas.y, w, h };
      };
      // A panel that opens or closes takes room, and the view follows it some frames later.
      for (let last = "", same = 0; same < 8; ) {
        await new Promise(requestAnimationFrame);
        const now = JSON.stringify(read());
        same = now === last ? same + 1 : 0;
        last = now;
      }
      return read();
    });
  }

  /** From points of the document to the screen; `window`: the rectangle of the document that the window is now. */
  async map(window) {
    const frame = await this.frame();
    return (x, y) => ({ x: frame.x + ((x - window.x) * frame.w) / window.w, y: frame.y + ((y - window.y) * frame.h) / window.h });
  }

  /** Drag the mouse along points of the document. */
  async drag(window, points) {
    const map = await this.map(window);
    const [first, ...rest] = points.map(([x, y]) => map(x, y));
    await this.page.mouse.move(first.x, first.y);
    await this.page.mouse.down();
    for (const { x, y } of rest) await this.page.mouse.move(x, y, { steps: 4 });
    await this.page.mouse.up();
  }

  /** The number of steps that can be undone is what tells that a command has happened. */
  async undo() {
    await this.page.keyboard.press("Control+z");
  }

  async redo() {
    await this.page.keyboard.press("Control+Shift+z");
  }

  /** Show the images that were made. */
  async images() {
    const button = this.page.locator("#top nav").last().getByRole("button").last();
    if ((await button.getAttribute("aria-expanded")) !== "true") await button.click();
    await expect(this.page.locator("#side-panel")).toBeVisible();
  }

  async newSheet() {
    await this.page.locator("#menu-button").click();
    await this.page.locator("#menu").getByRole("button").first().click();
    const dialog = this.page.locator("dialog[data-name=new]");
    await dialog.locator(".primary").click();
    await expect(this.page.locator(".welcome")).toBeVisible();
  }

  /** How many images at a time. */
  async count(n) {
    const chip = this.page.locator(".count-chip");
    for (let i = 0; i < 4 && !(await chip.textContent()).includes(String(n)); i++) await chip.click();
    await expect(chip).toContainText(String(n));
  }

  /** A browser that knows nothing of this editor. */
  async forget() {
    await this.page.goto("about:blank");
    await this.page.goto(`${this.server.url}/healthz`);
    await this.page.evaluate(async () => {
      for (const { name } of await indexedDB.databases()) await new Promise((done) => (indexedDB.deleteDatabase(name).onsuccess = done));
      localStorage.clear();
    });
    await this.open();
  }

  /** Drop a file on the page, or paste it. */
  async drop(name, buffer, type = "image/png", event = "drop") {
    await this.page.evaluate(async ({ name, base64, type, event }) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], name, { type }));
      const target = document.getElementById("canvas");
      const options = { bubbles: true, cancelable: true };
      if (event === "paste") target.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: data }));
      else for (const one of ["dragenter", "dragover", "drop"]) target.dispatchEvent(new DragEvent(one, { ...options, dataTransfer: data }));
    }, { name, base64: buffer.toString("base64"), type, event });
  }

  /** Wait until the sheet shows an image, also after a reload, when nothing is there at first. */
  async opened() {
    await expect(this.page.locator(".welcome")).toBeHidden();
    await expect(this.canvas).toHaveAttribute("aria-label", /^(Sheet|Лист) /);
  }
}
