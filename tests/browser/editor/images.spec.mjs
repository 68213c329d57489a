// Images from words, by every ratio and in both languages; several at a time; and their parameters back from a file.

import { execFile } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "./fixtures.mjs";
import { decode } from "./png.mjs";

const SIZES = { "9:16": [45, 80], "2:3": [48, 72], "1:1": [64, 64], "3:2": [72, 48], "16:9": [80, 45] };

/** The file of the newest image, as the Images panel saves it. */
export async function newestFile(editor) {
  await editor.images();
  await editor.page.locator(".tile-button").first().click();
  const card = editor.page.locator(".picture-card");
  const [download] = await Promise.all([editor.page.waitForEvent("download"), card.getByRole("button", { name: /^(Save|Сохранить)$/ }).click()]);
  return readFile(await download.path());
}

for (const { locale, prompt } of [
  { locale: "en-US", prompt: "red heart on a blue background" },
  { locale: "ru-RU", prompt: "красное сердце на синем фоне" },
]) {
  test.describe(locale, () => {
    test.use({ locale });

    test("every ratio gives its size, and the file that the API gives", async ({ editor, request }) => {
      await editor.quick();
      await editor.seed(7);
      for (const [ratio, [width, height]] of Object.entries(SIZES)) {
        await editor.ratio(ratio);
        await editor.prompt.fill(prompt);
        const sent = await editor.sent(() => editor.generateButton.click());
        await editor.accept();
        const image = await editor.save("window");
        expect([image.width, image.height], ratio).toEqual([width, height]);
        const answer = await request.post(`${editor.server.url}/v1/text-to-image`, {
          headers: { accept: "image/png" },
          data: { prompt, width, height, seed: 7, steps: 1, prior: { steps: 1 } },
        });
        const file = await answer.body();
        expect(decode(file).rgba.equals(image.rgba), ratio).toBe(true);
        if (ratio === "1:1") {
          const same = await request.post(`${editor.server.url}${sent.path}`, { headers: { accept: "image/png" }, data: sent.fields });
          expect((await newestFile(editor)).equals(await same.body())).toBe(true);
        }
        await editor.newSheet();
      }
    });
  });
}

test("of four candidates the third is accepted, and all four are kept", async ({ editor, request }) => {
  await editor.quick();
  await editor.seed(40);
  await editor.count(4);
  await editor.generate("panda on a yellow background");
  await expect(editor.candidates).toContainText("1 / 4");
  await editor.page.keyboard.press("Escape").catch(() => {});
  await editor.page.keyboard.press("Control+z").catch(() => {});
  await editor.images();
  await expect(editor.page.locator(".tile-button")).toHaveCount(4);
  await editor.page.locator("#generate").click();
  await expect(editor.candidates).toContainText("1 / 4");
  await editor.canvas.focus();
  await editor.page.keyboard.press(".");
  await editor.page.keyboard.press(".");
  await expect(editor.candidates).toContainText("3 / 4");
  await editor.page.keyboard.press("Enter");
  await expect(editor.candidates).toBeHidden();
  const image = await editor.save();
  const answer = await request.post(`${editor.server.url}/v1/text-to-image`, {
    headers: { accept: "image/png" },
    data: { prompt: "panda on a yellow background", seed: 42, steps: 1, prior: { steps: 1 } },
  });
  expect(decode(await answer.body()).rgba.equals(image.rgba)).toBe(true);
});

test("a file that was made here gives its parameters back, and then the same image", async ({ editor }) => {
  await editor.quick({ steps: 5, prior: 3 });
  await editor.seed(99);
  await editor.ratio("3:2");
  await editor.generate("car on a white background");
  const file = await newestFile(editor);
  await editor.page.keyboard.press("Escape");
  await editor.forget();
  await editor.drop("kept.png", file);
  await expect(editor.prompt).toHaveValue("car on a white background");
  const sent = await editor.sent(() => editor.generateButton.click());
  expect(sent.fields).toMatchObject({ prompt: "car on a white background", seed: 99, steps: 5, prior: { steps: 3 } });
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  await editor.accept();
  expect((await editor.save("window")).rgba.equals(decode(file).rgba)).toBe(true);
});

test.describe("the history", () => {
  test.use({ permissions: ["clipboard-read", "clipboard-write"] });

  test("images are found by their words, starred, used again, and repeated by curl", async ({ editor }) => {
    const { page } = editor;
    await editor.quick();
    for (const [prompt, seed] of [["it's a panda on a yellow background", 5], ["red heart on a blue background", 6]]) {
      await editor.seed(seed);
      await editor.generate(prompt);
      await editor.accept();
      await editor.newSheet();
    }
    await editor.images();
    const tiles = page.locator(".tile-button");
    const card = page.locator(".picture-card");
    await expect(tiles).toHaveCount(2);
    const search = page.locator("#side-panel input[type=search]");
    await search.fill("PANDA yellow");
    await expect(tiles).toHaveCount(1);
    await tiles.first().click();
    await card.getByRole("button", { name: "Star", exact: true }).click();
    await card.getByRole("button", { name: "Copy as curl" }).click();
    await expect(page.locator("#toasts")).toContainText("clipboard");
    // The command gives the pixels that the panel saves.
    const command = await page.evaluate(() => navigator.clipboard.readText());
    const folder = await mkdtemp(join(tmpdir(), "curl-"));
    await promisify(execFile)("sh", ["-c", command], { cwd: folder });
    await tiles.first().click();
    const [download] = await Promise.all([page.waitForEvent("download"), card.getByRole("button", { name: "Save", exact: true }).click()]);
    const [again, kept] = [decode(await readFile(join(folder, "image.png"))), decode(await readFile(await download.path()))];
    expect(again.rgba.equals(kept.rgba)).toBe(true);
    await search.fill("");
    await page.getByRole("button", { name: "Starred only" }).click();
    await expect(tiles).toHaveCount(1);
    await tiles.first().click();
    await card.getByRole("button", { name: "Prompt", exact: true }).click();
    await expect(editor.prompt).toHaveValue("it's a panda on a yellow background");
    await tiles.first().click();
    await card.getByRole("button", { name: "Seed", exact: true }).click();
    const sent = await editor.sent(() => editor.generateButton.click());
    expect(sent.fields).toMatchObject({ prompt: "it's a panda on a yellow background", seed: 5 });
    await editor.accept();
    // What was deleted is gone after a reload, too, and the star is not.
    await page.getByRole("button", { name: "Starred only" }).click();
    await search.fill("heart");
    await tiles.first().click();
    await card.getByRole("button", { name: "Delete" }).click();
    await card.getByRole("button", { name: "Delete for good" }).click();
    await expect(tiles).toHaveCount(0);
    // The panel is open as it was.
    await page.reload();
    await expect(tiles).toHaveCount(2);
    await page.getByRole("button", { name: "Starred only" }).click();
    await expect(tiles).toHaveCount(1);
  });
});
