// Jobs live on the server: a page that is closed, a server that restarts and a network that is cut lose none and double none.

import { randomBytes } from "node:crypto";
import { expect, test } from "./fixtures.mjs";
import { startServer } from "./server.mjs";

const PROMPT = "panda on a yellow background";
/** Steps of a job that lasts until something is done to it. */
const LONG = 400;

const jobs = async (server) => (await (await fetch(`${server.url}/v1/jobs?limit=100`)).json()).data;
const statusOf = async (server, id) => (await (await fetch(`${server.url}/v1/jobs/${id}`)).json()).status;
const running = (editor) => expect(editor.plan).toContainText(/Step \d+ of|Шаг/, { timeout: 120_000 });

test("a reload finds the running job, and stops it", async ({ editor, server }) => {
  await editor.quick({ steps: LONG });
  await editor.prompt.fill(PROMPT);
  await editor.generateButton.click();
  await running(editor);
  const [job] = await jobs(server);
  await editor.page.reload();
  await running(editor);
  await editor.page.locator("#stop").click();
  await expect(editor.generateButton).toBeVisible();
  await expect.poll(() => statusOf(server, job.id)).toBe("canceled");
});

test("what ended while the page was away is there when it comes back", async ({ editor, server }) => {
  await editor.quick({ steps: 6 });
  await editor.prompt.fill(PROMPT);
  const before = (await jobs(server)).length;
  await editor.generateButton.click();
  await expect.poll(async () => (await jobs(server)).length).toBe(before + 1);
  await editor.page.goto("about:blank");
  const [job] = await jobs(server);
  await expect.poll(() => statusOf(server, job.id), { timeout: 120_000 }).toBe("succeeded");
  await editor.open();
  await expect(editor.candidates.locator(".primary")).toBeEnabled();
  await editor.accept();
  expect((await editor.save()).width).toBe(64);
});

test.describe("a server that restarts", () => {
  test.use({ allowed: [/Failed to load resource|ERR_|net::/] });

  test("goes on with the job, and the page finds it again", async ({ watched, page, browser }) => {
    void watched;
    void page;
    const server = await startServer({ KANDINSKY__SERVER__DRAIN_GRACE_S: "0" });
    const { Editor } = await import("./fixtures.mjs");
    const context = await browser.newContext();
    try {
      const editor = new Editor(await context.newPage(), server);
      await editor.open();
      await editor.quick({ steps: 60 });
      await editor.prompt.fill(PROMPT);
      await editor.generateButton.click();
      await running(editor);
      await server.halt("SIGKILL");
      await server.resume();
      await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
      expect(await jobs(server)).toHaveLength(1);
    } finally {
      await context.close();
      await server.stop();
    }
  });
});

test("a second click on Generate neither stops the image nor asks for another one", async ({ editor, server }) => {
  await editor.quick({ steps: 12 });
  await editor.prompt.fill(PROMPT);
  const before = (await jobs(server)).length;
  await editor.generateButton.dblclick();
  for (let i = 0; i < 5; i++) await editor.page.keyboard.press("Control+Enter");
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  const all = await jobs(server);
  expect(all).toHaveLength(before + 1);
  expect(all[0].status).toBe("succeeded");
});

test("of two jobs the one that is meant is stopped", async ({ editor, server }) => {
  await editor.quick({ steps: 400 });
  await editor.seed(100);
  await editor.prompt.fill(PROMPT);
  await editor.page.keyboard.press("Control+Enter");
  await expect(editor.page.locator("#stop")).toBeVisible();
  await editor.page.keyboard.press("Control+Shift+Enter");
  await editor.images();
  const lines = editor.page.locator(".job");
  await expect(lines).toHaveCount(2);
  const sent = await Promise.all(await editor.page.evaluate(() => Promise.all(window.__sent)));
  expect(sent.map(({ fields }) => fields.seed)).toEqual([100, 101]);
  // What is sent is not there yet.
  const ours = async () => (await jobs(server)).filter((job) => [100, 101].includes(job.parameters.seed));
  await expect.poll(async () => (await ours()).length).toBe(2);
  const all = await ours();
  const bySeed = (seed) => all.find((job) => job.parameters.seed === seed);
  // Newest first: the second of them is the first line.
  await lines.first().getByRole("button").click();
  await expect.poll(() => statusOf(server, bySeed(101).id)).toBe("canceled");
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  expect(await statusOf(server, bySeed(100).id)).toBe("succeeded");
});

test.describe("what the server refuses", () => {
  test.use({ allowed: [/Failed to load resource/] });

  /** Answer requests for images so, some times, and then as the server does. */
  const answer = async (editor, times, status, headers, body) => {
    let left = times;
    const keys = [];
    await editor.page.route(/\/v1\/text-to-image/, (route) => {
      keys.push(route.request().headers()["idempotency-key"]);
      if (left-- <= 0) return route.continue();
      return route.fulfill({ status, headers: { "content-type": "application/problem+json", ...headers }, body: JSON.stringify(body) });
    });
    return keys;
  };

  test("a busy server is asked again when it said, under the same key", async ({ editor, server }) => {
    await editor.quick();
    const before = (await jobs(server)).length;
    const busy = { type: "/problems/queue-full", title: "Queue full", status: 503, detail: "too many jobs wait" };
    const keys = await answer(editor, 1, 503, { "retry-after": "2" }, busy);
    await editor.prompt.fill(PROMPT);
    await editor.generateButton.click();
    await expect(editor.plan).toContainText(/busy.*second/);
    await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
    expect((await jobs(server)).length).toBe(before + 1);
  });

  test("what is wrong with a field is said at the field, in the server's words", async ({ editor, request, server }) => {
    const real = await request.post(`${server.url}/v1/text-to-image`, { data: { prompt: PROMPT, steps: 100_000 } });
    expect(real.status()).toBe(422);
    const problem = await real.json();
    await answer(editor, 1, 422, {}, problem);
    await editor.prompt.fill(PROMPT);
    await editor.generateButton.click();
    await expect(editor.page.locator("#prompt")).toContainText(problem.errors[0].message);
    await editor.drawer("more");
    await expect(editor.page.locator(".field:has(#steps)")).toContainText(problem.errors[0].message);
    await editor.number("steps", 4);
    await expect(editor.page.locator(".field:has(#steps)")).not.toContainText(problem.errors[0].message);
  });

  test("a request that is too large says so, and the prompt stays", async ({ editor }) => {
    await answer(editor, 1, 413, {}, { type: "/problems/too-large", title: "Too large", status: 413, detail: "the body has more than 32 MiB" });
    await editor.prompt.fill(PROMPT);
    await editor.generateButton.click();
    await expect(editor.page.getByRole("alert")).toContainText("Too large for this server");
    await expect(editor.page.getByRole("alert")).toContainText("32 MiB");
    await expect(editor.prompt).toHaveValue(PROMPT);
  });

  test("a network that is cut is waited for, and no image is made twice", async ({ editor, server, context }) => {
    await editor.quick();
    const before = (await jobs(server)).length;
    await editor.prompt.fill(PROMPT);
    await context.setOffline(true);
    await editor.generateButton.click();
    await expect(editor.plan).toContainText("No connection");
    await context.setOffline(false);
    await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
    expect((await jobs(server)).length).toBe(before + 1);
  });
});

test.describe("moderation", () => {
  test.use({ allowed: [/Failed to load resource/] });

  test("a prompt that is not allowed is said with its category, and stays to be changed", async ({ editor }) => {
    await editor.quick();
    await editor.prompt.fill("porn");
    await editor.generateButton.click();
    const alert = editor.page.getByRole("alert");
    await expect(alert).toContainText("Not allowed here: sexual");
    await expect(editor.prompt).toHaveValue("porn");
    await editor.generate(PROMPT);
    await expect(alert).toBeHidden();
  });
});

test.describe("keys", () => {
  test.use({ allowed: [/Failed to load resource/] });

  test("a server with keys asks for one once, remembers it as told, and is used with it", async ({ browser }) => {
    const key = randomBytes(32).toString("hex");
    const { mkdtemp, writeFile } = await import("node:fs/promises");
    const { tmpdir } = await import("node:os");
    const { join } = await import("node:path");
    const file = join(await mkdtemp(join(tmpdir(), "keys-")), "keys");
    await writeFile(file, `${key} name=editor\n`);
    const server = await startServer({ KANDINSKY__AUTH__REQUIRED: "always", KANDINSKY__AUTH__KEYS_FILE: file });
    const { Editor } = await import("./fixtures.mjs");
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      const editor = new Editor(page, server);
      await page.goto(`${server.url}/`);
      const dialog = page.locator("dialog[data-name=key]");
      await dialog.locator("#key").fill("kd_0000000000000000_wrong");
      await dialog.locator("form .primary").click();
      await expect(dialog.locator("#key-error")).toBeVisible();
      // No header can carry these letters.
      await dialog.locator("#key").fill("ключ");
      await dialog.locator("form .primary").click();
      await expect(dialog.locator("#key-error")).toBeVisible();
      await page.reload();
      await expect(dialog.locator("#key-error")).toBeVisible();
      await dialog.locator("#key").fill(key);
      await dialog.locator("form .primary").click();
      await expect(dialog).toBeHidden();
      await editor.quick();
      await editor.generate(PROMPT);
      await editor.accept();
      await page.reload();
      await expect(editor.plan).not.toHaveText(/Connecting/);
      await expect(dialog).toBeHidden();
      const other = await context.newPage();
      await other.goto(`${server.url}/`);
      await expect(other.locator("dialog[data-name=key]")).toBeVisible();
    } finally {
      await context.close();
      await server.stop();
    }
  });
});
