// Fusion: two to eight images and texts, each with its weight.

import { expect, test } from "./fixtures.mjs";
import { decode, photo } from "./png.mjs";

const DROP = "application/x-kandinsky-picture";

test("two images are fused by their weights, as the API fuses them", async ({ editor, request, server }) => {
  await editor.quick();
  await editor.seed(3);
  for (const prompt of ["red heart on a blue background", "panda on a yellow background"]) {
    await editor.generate(prompt);
    await editor.accept();
    await editor.newSheet();
  }
  await editor.images();
  for (const i of [0, 1]) {
    await editor.page.locator(".tile-button").nth(i).click();
    await editor.page.locator(".picture-card").getByRole("button", { name: "Use in fusion" }).click();
  }
  const cards = editor.page.locator(".card[data-kind=image]");
  await expect(cards).toHaveCount(2);
  await cards.first().locator("input[type=range]").fill("0.25");
  await expect(editor.plan).toContainText("Fuse 2 cards");
  const sent = await editor.sent(() => editor.generateButton.click());
  expect(sent.path).toBe("/v1/image-fusion");
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  await editor.accept();
  const image = await editor.save("window");
  const answer = await request.post(`${server.url}/v1/image-fusion`, { headers: { accept: "image/png" }, data: sent.fields });
  expect(answer.status()).toBe(200);
  expect(decode(await answer.body()).rgba.equals(image.rgba)).toBe(true);
  const weights = sent.fields.images.map(({ weight }) => weight);
  expect(weights[0]).toBeLessThan(weights[1]);
});

test("a text and an image are fused", async ({ editor }) => {
  await editor.quick();
  await editor.page.getByRole("button", { name: "Fusion", exact: true }).click();
  const tray = editor.page.locator(".fusion");
  await tray.locator("input[type=file]").setInputFiles({ name: "photo.png", mimeType: "image/png", buffer: photo(64, 64) });
  await expect(tray.locator(".card[data-kind=image]")).toHaveCount(1);
  await expect(editor.plan).toContainText("at least 2");
  await tray.getByRole("button", { name: "Text" }).click();
  await tray.locator(".card-text").fill("panda");
  const sent = await editor.sent(() => editor.generateButton.click());
  expect(sent.path).toBe("/v1/text-image-fusion");
  expect(sent.fields.inputs).toHaveLength(2);
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  await editor.accept();
  expect((await editor.save("window")).width).toBe(64);
});

test("an image is dragged from the history into the tray", async ({ editor }) => {
  await editor.quick();
  await editor.generate("panda on a yellow background");
  await editor.accept();
  await editor.page.getByRole("button", { name: "Fusion", exact: true }).click();
  await editor.images();
  await editor.page.evaluate((type) => {
    const data = new DataTransfer();
    document.querySelector(".tile-button").dispatchEvent(new DragEvent("dragstart", { bubbles: true, dataTransfer: data }));
    if (!data.getData(type)) throw new Error("nothing is dragged");
    document.querySelector(".fusion").dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
  }, DROP);
  await expect(editor.page.locator(".card[data-kind=image]")).toHaveCount(1);
});
