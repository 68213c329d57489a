// What is under the window decides the request; what a model lacks is said, and another model is heard of.

import { Editor, expect, test } from "./fixtures.mjs";
import { differing, photo } from "./png.mjs";

const PROMPT = "panda on a yellow background";

test("an image is redrawn as strongly as the slider says, and varied, without being sent again", async ({ editor }) => {
  await editor.quick();
  await editor.generate(PROMPT);
  await editor.accept();
  const first = await editor.save();
  await editor.page.locator("#strength").fill("0.6");
  await expect(editor.plan).toContainText("0.6");
  const redraw = await editor.sent(() => editor.generateButton.click());
  expect([redraw.path, redraw.fields.strength, redraw.files]).toEqual(["/v1/image-to-image", 0.6, {}]);
  expect(redraw.fields.image).toMatchObject({ index: 0 });
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  // Discarding gives the sheet back as it was.
  await editor.page.keyboard.press("Escape");
  await expect(editor.candidates).toBeHidden();
  expect(differing(first, await editor.save())).toEqual([]);
  await editor.page.getByRole("button", { name: "Vary" }).click();
  await expect(editor.plan).toContainText("Variations");
  const vary = await editor.sent(() => editor.generateButton.click());
  expect([vary.path, vary.fields.image]).toEqual(["/v1/image-variations", redraw.fields.image]);
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  await editor.accept();
  expect(differing(first, await editor.save()).length).toBeGreaterThan(100);
});

test("what the model lacks is greyed with the reason, and what it has works", async ({ watched, server }) => {
  const page = await watched.newPage();
  const reason = "the checkpoint has no image encoder";
  await page.route("**/v1/capabilities", async (route) => {
    const response = await route.fetch();
    const said = await response.json();
    said.modes = said.modes.map((one) => (one.mode === "text-to-image" ? one : { ...one, available: false, reason }));
    await route.fulfill({ response, json: said });
  });
  const editor = new Editor(page, server);
  await editor.open();
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await editor.prompt.fill(PROMPT);
  await expect(editor.plan).toContainText(reason);
  await expect(editor.generateButton).toHaveAttribute("aria-disabled", "true");
  for (const name of ["Vary", "Extend", "Fusion"]) {
    const chip = page.locator(".extras .chip", { hasText: name });
    await expect(chip).toHaveAttribute("aria-disabled", "true");
    await expect(chip).toHaveAttribute("title", reason);
    // A finger sees no title.
    await chip.dispatchEvent("click");
    await expect(page.locator("#toasts")).toContainText(reason);
    await page.locator("#toasts .icon-button").click();
  }
  await editor.newSheet();
  await editor.quick();
  await editor.generate(PROMPT);
});

test("a page that is looked at again hears that the server has another model", async ({ watched, server }) => {
  const page = await watched.newPage();
  let size = 64;
  await page.route("**/v1/capabilities", async (route) => {
    const response = await route.fetch();
    const said = await response.json();
    said.sizes.default_width = said.sizes.default_height = size;
    await route.fulfill({ response, json: said });
  });
  const editor = new Editor(page, server);
  await editor.open();
  await expect(editor.canvas).toHaveAttribute("aria-label", /64 by 64/);
  size = 96;
  await page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 120_000;
    dispatchEvent(new Event("focus"));
  });
  await expect(editor.canvas).toHaveAttribute("aria-label", /96 by 96/);
});
