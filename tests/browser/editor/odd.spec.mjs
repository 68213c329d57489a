// Odd things that people do, and places where the editor is put.

import { createServer, request as ask } from "node:http";
import { Editor, expect, test } from "./fixtures.mjs";
import { decode, differing, encode, photo } from "./png.mjs";

const PROMPT = "panda on a yellow background";

test("a tray of eight cards is full, and all of them are fused by their weights", async ({ editor, request, server }) => {
  const { page } = editor;
  await editor.quick();
  await page.getByRole("button", { name: "Fusion", exact: true }).click();
  const tray = page.locator(".fusion");
  const colors = ["a", "b", "c", "d", "e", "f", "g"].map((name, i) => ({ name: `${name}.png`, mimeType: "image/png", buffer: encode(32, 32, () => [i * 30, 200 - i * 20, 90]) }));
  await tray.locator("input[type=file]").setInputFiles(colors);
  await expect(tray.locator(".card[data-kind=image]")).toHaveCount(7);
  await tray.getByRole("button", { name: "Text" }).click();
  await tray.locator(".card-text").fill("panda");
  await expect(tray.locator(".card.add")).toHaveCount(0);
  await tray.locator("input[type=file]").setInputFiles(colors.slice(0, 1));
  await expect(page.locator("#toasts")).toContainText("No more than 8");
  await tray.locator("input[type=range]").first().fill("0.5");
  const shares = await tray.locator("output").allTextContents();
  const sum = shares.reduce((all, text) => all + Number.parseInt(text, 10), 0);
  expect(Math.abs(sum - 100)).toBeLessThanOrEqual(4);
  const sent = await editor.sent(() => editor.generateButton.click());
  expect(sent.fields.inputs).toHaveLength(8);
  await editor.accept();
  const answer = await request.post(`${server.url}/v1/text-image-fusion`, { headers: { accept: "image/png" }, data: sent.fields });
  expect(decode(await answer.body()).rgba.equals((await editor.save("window")).rgba)).toBe(true);
});

test("images as thin as a line are opened, erased, filled and saved", async ({ editor }) => {
  await editor.quick();
  for (const [w, h] of [[700, 17], [19, 600]]) {
    const file = photo(w, h);
    await editor.openFile("thin.png", file);
    await expect(editor.canvas).toHaveAttribute("aria-label", new RegExp(`${w}`));
    await editor.tool("rectangle");
    await editor.drag({ x: 0, y: 0, w, h }, [[w / 2, h / 2], [w * 0.6, h * 0.6]]);
    await expect(editor.plan).toContainText("erased");
    await editor.generate("");
    await editor.accept();
    const image = await editor.save();
    expect([image.width, image.height]).toEqual([w, h]);
    const changed = differing(decode(file), image);
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.length).toBeLessThan(w * h * 0.1);
  }
});

test("below a path of a proxy everything works as at the root", async ({ browser, server }) => {
  const proxy = createServer((asked, answer) => {
    if (!asked.url.startsWith("/art/")) return answer.writeHead(404).end();
    const { hostname, port, host } = new URL(server.url);
    const headers = { ...asked.headers, host, "x-forwarded-prefix": "/art", "x-forwarded-host": asked.headers.host, "x-forwarded-proto": "http" };
    const passed = ask({ hostname, port, method: asked.method, path: asked.url.slice(4), headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
  await new Promise((done) => proxy.listen(0, "127.0.0.1", done));
  const { port } = proxy.address();
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const outside = [];
    page.on("request", (request) => request.url().startsWith(`http://127.0.0.1:${port}/art/`) || /^(blob|data):/.test(request.url()) || outside.push(request.url()));
    page.on("console", (message) => message.type() === "error" && outside.push(message.text()));
    const editor = new Editor(page, { url: `http://127.0.0.1:${port}/art` });
    await editor.open();
    await editor.quick();
    await editor.generate(PROMPT);
    await editor.accept();
    await editor.tool("rectangle");
    await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10, 10], [30, 20]]);
    await editor.generate("");
    await editor.accept();
    await editor.drawer("styles");
    await expect(page.locator("#drawer img").first()).toHaveJSProperty("complete", true);
    await page.reload();
    await editor.opened();
    expect((await editor.save()).width).toBe(64);
    expect(outside).toEqual([]);
  } finally {
    await context.close();
    proxy.closeAllConnections();
    proxy.close();
  }
});

test.describe("keys", () => {
  test.use({ allowed: [/Failed to load resource/] });

  test("a key that is taken away in the middle is asked for again, and the same image is made with the new one", async ({ editor }) => {
    const { page } = editor;
    let refused = 0;
    await editor.quick();
    await page.route(/\/v1\/text-to-image/, (route) => {
      if (route.request().headers().authorization === "Bearer kd_new") return route.continue({ headers: { ...route.request().headers(), authorization: "" } });
      refused += 1;
      return route.fulfill({ status: 401, headers: { "content-type": "application/problem+json" }, body: JSON.stringify({ type: "/problems/key-missing", title: "Key missing", status: 401, detail: "no key" }) });
    });
    await editor.prompt.fill(PROMPT);
    await editor.generateButton.click();
    const dialog = page.locator("dialog[data-name=key]");
    await dialog.locator("#key").fill("kd_new");
    await dialog.locator("form .primary").click();
    await expect(editor.candidates.locator(".primary")).toBeEnabled();
    expect(refused).toBe(1);
  });
});

test("a transparent image keeps its colours, and what is transparent is filled", async ({ editor }) => {
  const bytes = await editor.page.evaluate(async () => {
    const canvas = new OffscreenCanvas(64, 64);
    const context = canvas.getContext("2d");
    context.fillStyle = "#c87828";
    context.fillRect(0, 0, 64, 32);
    return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
  });
  await editor.openFile("half.png", Buffer.from(bytes));
  await expect(editor.plan).toContainText(/50%|edge|erased/);
  const image = await editor.save();
  expect([image.at(5, 5), image.at(5, 50)[3]]).toEqual([[200, 120, 40, 255], 0]);
});

test("the zoom goes from 5 to 3200 %, and the keys and Fit bring it back", async ({ editor }) => {
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  const width = async () => (await editor.frame()).w / 64;
  await editor.canvas.focus();
  for (let i = 0; i < 40; i++) await editor.page.keyboard.press("-");
  expect(await width()).toBeCloseTo(0.05, 2);
  for (let i = 0; i < 60; i++) await editor.page.keyboard.press("+");
  expect(await width()).toBeCloseTo(32, 0);
  await editor.page.keyboard.press("Control+1");
  expect(await width()).toBeCloseTo(1, 1);
  await editor.page.keyboard.press("Control+0");
  expect(await width()).toBeGreaterThan(5);
});

test("two keys on Accept accept once, and an image that is stopped in the middle leaves nothing", async ({ editor }) => {
  const { page } = editor;
  await editor.quick();
  await editor.generate(PROMPT);
  await editor.canvas.focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await expect(editor.candidates).toBeHidden();
  await page.locator("#steps-button").click();
  await expect(page.locator("#side-panel")).toContainText("Accepted");
  await expect(page.getByRole("button", { name: /^Undo/ })).toBeEnabled();
  await editor.undo();
  await expect(page.locator(".welcome")).toBeVisible();
  await editor.quick({ steps: 500 });
  await editor.count(4);
  await editor.generateButton.click();
  await expect(editor.plan).toContainText(/Step \d+ of/);
  // A click in the first half second is taken for the second one of a double click.
  await expect(async () => {
    await page.locator("#stop").click({ timeout: 2000 });
    await expect(editor.generateButton).toBeVisible({ timeout: 2000 });
  }).toPass();
  await expect(page.locator(".welcome")).toBeVisible();
  await expect(editor.candidates).toBeHidden();
  await expect(page.getByRole("alert")).toHaveCount(0);
});
