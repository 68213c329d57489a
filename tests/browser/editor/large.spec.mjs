// Sizes of the published model, on a stand-in that draws one colour: large windows, large photos.

import { expect, test as base } from "./fixtures.mjs";
import { decode, encode } from "./png.mjs";
import { COLOR, startStandIn } from "./stand-in.mjs";

const test = base.extend({
  server: [
    // biome-ignore lint/correctness/noEmptyPattern: the runner reads the names of fixtures out of it
    async ({}, use) => {
      const server = await startStandIn(process.env.EDITOR_WEB);
      await use(server);
      await server.stop();
    },
    { scope: "worker" },
  ],
});

const SIZES = { "9:16": [576, 1024], "2:3": [640, 960], "1:1": [768, 768], "3:2": [960, 640], "16:9": [1024, 576] };

test("every ratio is the model's own size", async ({ editor }) => {
  for (const [ratio, [width, height]] of Object.entries(SIZES)) {
    await editor.ratio(ratio);
    await expect(editor.plan).toContainText("Describe");
    await editor.generate("a fox");
    await editor.accept();
    const image = await editor.save();
    expect([image.width, image.height], ratio).toEqual([width, height]);
    await editor.prompt.fill("");
    await editor.newSheet();
  }
});

test("a hole in a photo of 12 megapixels is filled from a part of it, and nothing else changes", async ({ editor, server }) => {
  const [width, height] = [4096, 3072];
  const file = encode(width, height, (x, y) => [(x >> 4) & 255, (y >> 4) & 255, ((x + (y & ~15)) >> 5) & 255], 16);
  await editor.openFile("large.png", file);
  await editor.opened();
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: width, h: height }, [[1000, 900], [1400, 1200]]);
  await expect(editor.plan).toContainText("erased");
  await editor.generate("");
  await editor.accept();
  const sent = server.requests.at(-1);
  expect(sent.path).toBe("/v1/inpainting");
  expect(sent.width * sent.height).toBeLessThanOrEqual(4194304);
  expect(sent.width).toBeGreaterThan(400);
  const [before, after] = [decode(file), await editor.save()];
  let [inside, wrong] = [0, 0];
  const box = { x0: width, y0: height, x1: 0, y1: 0 };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = (y * width + x) * 4;
      if (before.rgba.readUInt32LE(i) === after.rgba.readUInt32LE(i)) continue;
      if (COLOR.every((value, c) => after.rgba[i + c] === value)) inside++;
      else wrong++;
      Object.assign(box, { x0: Math.min(box.x0, x), y0: Math.min(box.y0, y), x1: Math.max(box.x1, x), y1: Math.max(box.y1, y) });
    }
  }
  expect(wrong).toBe(0);
  expect(inside).toBe((box.x1 - box.x0 + 1) * (box.y1 - box.y0 + 1));
  // On a screen of 1280 px a pixel of the mouse is several of the photo.
  for (const [got, want] of [[box.x0, 1000], [box.y0, 900], [box.x1, 1400], [box.y1, 1200]]) expect(Math.abs(got - want)).toBeLessThan(10);
});
