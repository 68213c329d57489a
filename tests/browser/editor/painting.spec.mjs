// Holes: where they are, what comes back into them, and that nothing else changes.

import { expect, test } from "./fixtures.mjs";
import { bounds, decode, differing, encode, photo } from "./png.mjs";

const PHOTO = { x: 0, y: 0, w: 64, h: 64 };

/** Points of an image that are erased. */
const erased = (image) => {
  const found = [];
  for (let y = 0; y < image.height; y++) for (let x = 0; x < image.width; x++) if (image.at(x, y)[3] === 0) found.push([x, y]);
  return found;
};

test("after ten rounds of filling, pixels outside of the masks are the photo's, bit for bit", async ({ editor }) => {
  const file = photo(64, 64);
  const original = decode(file);
  await editor.quick();
  await editor.openFile("photo.png", file);
  await editor.opened();
  const touched = new Set();
  for (let round = 0; round < 10; round++) {
    await editor.tool("eraser");
    const [x, y] = [8 + ((round * 23) % 45), 8 + ((round * 17) % 45)];
    await editor.drag(PHOTO, [[x, y], [x + 6, y + 3]]);
    await expect(editor.plan).toContainText("erased");
    for (const [x, y] of erased(await editor.save())) touched.add(`${x},${y}`);
    await editor.generate("");
    await editor.accept();
  }
  const result = await editor.save();
  expect([result.width, result.height]).toEqual([64, 64]);
  const changed = differing(original, result);
  const outside = changed.filter(([x, y]) => !touched.has(`${x},${y}`));
  expect(outside).toEqual([]);
  expect(changed.length).toBeGreaterThan(touched.size / 2);
  expect(touched.size).toBeLessThan(64 * 64);
  expect(erased(result)).toEqual([]);
});

test("Extend continues an image past its edge, and the window grows with it", async ({ editor }) => {
  const file = photo(64, 64);
  await editor.quick();
  await editor.openFile("photo.png", file);
  await editor.opened();
  await editor.drawer("extend");
  const sent = await editor.sent(() => editor.page.locator("#drawer").getByRole("button", { name: "Right" }).click());
  expect(sent.path).toBe("/v1/outpainting");
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  await editor.accept();
  const image = await editor.save("window");
  expect([image.width, image.height]).toEqual([96, 64]);
  const original = decode(file);
  for (let y = 0; y < 64; y++) for (let x = 0; x < 64; x++) if (`${image.at(x, y)}` !== `${original.at(x, y)}`) throw new Error(`${x}, ${y} is not as it was`);
  await editor.undo();
  expect((await editor.save("window")).width).toBe(64);
});

test("a window that is slid past the edge draws what outpainting draws", async ({ editor, request }) => {
  const file = photo(64, 64);
  await editor.quick({ steps: 4, prior: 2 });
  await editor.seed(11);
  await editor.openFile("photo.png", file);
  await editor.opened();
  await editor.canvas.focus();
  await editor.page.keyboard.press("Shift+ArrowRight");
  await editor.page.keyboard.press("Shift+ArrowRight");
  await expect(editor.plan).toContainText("50%");
  await editor.generate("panda on a yellow background");
  await editor.accept();
  const window = await editor.save("window");
  const sheet = await editor.save();
  expect([sheet.width, sheet.height]).toEqual([96, 64]);
  expect(differing(decode(file), sheet)).toEqual([]);
  const answer = await request.post(`${editor.server.url}/v1/outpainting`, {
    headers: { accept: "image/png" },
    data: {
      prompt: "panda on a yellow background", image: file.toString("base64"), window: { x: 32, y: 0, width: 64, height: 64 },
      seed: 11, steps: 4, prior: { steps: 2 },
    },
  });
  expect(answer.status()).toBe(200);
  expect(differing(decode(await answer.body()), window)).toEqual([]);
});

for (const { scale, viewport, zoom, size = [64, 64] } of [
  { scale: 1, viewport: { width: 1280, height: 800 } },
  { scale: 1.25, viewport: { width: 1024, height: 640 } },
  { scale: 2, viewport: { width: 900, height: 700 } },
  // As browsers zoom a page by 110 %: fewer px, each larger.
  { scale: 1.1, viewport: { width: 1163, height: 727 } },
  { scale: 1, viewport: { width: 1280, height: 800 }, zoom: -4 },
  { scale: 1.5, viewport: { width: 1280, height: 800 }, size: [60, 208] },
  { scale: 1, viewport: { width: 1280, height: 800 }, size: [330, 40] },
]) {
  test.describe(`at device scale ${scale}, ${viewport.width} px, zoom ${zoom ?? 0}, ${size.join(" × ")}`, () => {
    test.use({ deviceScaleFactor: scale, viewport });

    test("holes are where they were drawn, and so is the mask", async ({ editor }) => {
      const [w, h] = size;
      const whole = { x: 0, y: 0, w, h };
      await editor.quick();
      await editor.openFile("photo.png", photo(w, h));
      await editor.opened();
      for (let i = zoom ?? 0; i < 0; i++) await editor.page.keyboard.press("-");
      await editor.tool("rectangle");
      await editor.drag(whole, [[11.2, 13.2], [30.8, 24.8]]);
      const hole = { x: 11, y: 13, w: 20, h: 12 };
      await expect(editor.plan).toContainText("erased");
      expect(bounds(erased(await editor.save()))).toEqual(hole);
      const sent = await editor.sent(() => editor.generateButton.click());
      const mask = decode(sent.files.mask);
      const marked = [];
      for (let y = 0; y < mask.height; y++) for (let x = 0; x < mask.width; x++) if (mask.at(x, y)[0] > 127) marked.push([x, y]);
      const box = bounds(marked);
      expect([box.w, box.h]).toEqual([hole.w, hole.h]);
      expect(marked.length).toBe(hole.w * hole.h);
      // The image that was sent is the part of the photo around the hole: its pixels tell where it was cut out.
      const part = decode(sent.files.image);
      const original = decode(photo(w, h));
      const [dx, dy] = [hole.x - box.x, hole.y - box.y];
      const known = differing(part, original, { dx, dy }).filter(([x, y]) => mask.at(x, y)[0] === 0);
      expect(known).toEqual([]);
    });
  });
}

test("every command can be undone to the start and redone to the end, also after a reload", async ({ editor }) => {
  await editor.quick();
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  const states = [];
  const note = async () => states.push((await editor.save()).rgba);
  await note();
  await editor.tool("eraser");
  await editor.drag(PHOTO, [[10, 10], [30, 12]]);
  await note();
  await editor.tool("rectangle");
  await editor.drag(PHOTO, [[40, 40], [60, 50]]);
  await note();
  await editor.tool("restore");
  await editor.drag(PHOTO, [[45, 45], [50, 46]]);
  await note();
  await editor.generate("");
  await editor.accept();
  await note();
  await editor.tool("window");
  await editor.canvas.focus();
  await editor.page.keyboard.press("Delete");
  await editor.page.keyboard.press("Shift+ArrowDown");
  await editor.undo();
  await editor.undo();
  for (let at = states.length - 1; at >= 0; at--) {
    expect((await editor.save()).rgba.equals(states[at]), `undone to ${at}`).toBe(true);
    if (at) await editor.undo();
    // In the middle: some of it can be undone, some redone.
    if (at !== 3) continue;
    await editor.page.reload();
    await expect(editor.page.getByRole("button", { name: /^Undo/ })).toBeEnabled();
    await expect(editor.page.getByRole("button", { name: /^Redo/ })).toBeEnabled();
  }
  for (let at = 1; at < states.length; at++) {
    await editor.redo();
    expect((await editor.save()).rgba.equals(states[at]), `redone to ${at}`).toBe(true);
  }
});

test("a stroke that leaves the canvas goes on, and Restore takes holes back", async ({ editor }) => {
  const file = encode(64, 64, () => [200, 120, 40]);
  await editor.openFile("plain.png", file);
  await editor.opened();
  await editor.tool("eraser");
  await editor.drag(PHOTO, [[32, 32], [32, -30], [40, 32]]);
  const holes = erased(await editor.save());
  expect(holes.length).toBeGreaterThan(20);
  await editor.tool("restore");
  await editor.page.locator(".options button").click();
  await expect(editor.plan).not.toContainText("erased");
  expect(differing(decode(file), await editor.save())).toEqual([]);
});
