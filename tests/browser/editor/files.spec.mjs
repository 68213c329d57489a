// Files in every way that they come, and that nothing is lost: reloads, full storage, several tabs, one file for everything.

import { readFile } from "node:fs/promises";
import { Editor, expect, test } from "./fixtures.mjs";
import { decode, differing, encode, photo } from "./png.mjs";

/** A file that Chromium makes of pixels: [r, g, b] by column and row. */
const made = (page, width, height, type) =>
  page.evaluate(async ([width, height, type]) => {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.fillStyle = "red";
    context.fillRect(0, 0, width, height);
    context.fillStyle = "blue";
    context.fillRect(0, 0, width / 2, height / 2);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type, quality: 1 })).arrayBuffer());
    return [...bytes];
  }, [width, height, type]).then((bytes) => Buffer.from(bytes));

/** A JPEG with an orientation, as phones write it. */
const turned = (jpeg, orientation) => {
  const exif = Buffer.concat([
    Buffer.from("Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", "latin1"),
    Buffer.from([orientation, 0, 0, 0, 0, 0, 0]),
  ]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(exif.length + 2);
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1]), length, exif, jpeg.subarray(2)]);
};

const near = (color, want) => color.slice(0, 3).every((value, i) => Math.abs(value - want[i]) < 40);

test("words that were drawn stay with their sheet, those that were not go with the photo", async ({ editor }) => {
  await editor.quick({ steps: 1, prior: 1 });
  await editor.generate("red heart on a blue background");
  await editor.accept();
  await editor.openFile("a.png", photo(48, 32));
  await expect(editor.page.locator("#toasts")).toContainText("former sheet");
  await expect(editor.prompt).toHaveValue("");
  await editor.prompt.fill("a balloon");
  await editor.openFile("b.png", photo(32, 48));
  await expect(editor.canvas).toHaveAttribute("aria-label", /32/);
  await expect(editor.prompt).toHaveValue("a balloon");
});

test("PNG, JPEG, WebP and turned photos are opened, dropped and pasted as they are meant", async ({ editor }) => {
  const { page } = editor;
  const webp = await made(page, 48, 32, "image/webp");
  const jpeg = await made(page, 48, 32, "image/jpeg");
  for (const [name, file, type, size, corner] of [
    ["a.png", photo(48, 32), "image/png", [48, 32]],
    ["b.webp", webp, "image/webp", [48, 32], [0, 0]],
    ["c.jpg", jpeg, "image/jpeg", [48, 32], [0, 0]],
    // Turned by a quarter: what was above left is above right.
    ["d.jpg", turned(jpeg, 6), "image/jpeg", [32, 48], [31, 0]],
  ]) {
    await editor.openFile(name, file, type);
    await expect(page.locator(".welcome")).toBeHidden();
    await expect(async () => {
      const image = await editor.save();
      expect([image.width, image.height], name).toEqual(size);
      if (!corner) expect(differing(decode(file), image)).toEqual([]);
      else expect(near(image.at(...corner), [0, 0, 255]) && near(image.at(size[0] - 1, size[1] - 1), [255, 0, 0]), name).toBe(true);
    }).toPass();
  }
  await editor.newSheet();
  await editor.drop("dropped.png", photo(20, 30));
  await expect(page.locator(".welcome")).toBeHidden();
  expect(differing(decode(photo(20, 30)), await editor.save())).toEqual([]);
  await editor.newSheet();
  await editor.drop("pasted.png", photo(30, 20), "image/png", "paste");
  await expect(page.locator(".welcome")).toBeHidden();
  expect(differing(decode(photo(30, 20)), await editor.save())).toEqual([]);
});

test("a file that is no image is said, and changes nothing", async ({ editor }) => {
  await editor.openFile("photo.png", photo(32, 32));
  await editor.opened();
  await editor.openFile("notes.txt", Buffer.from("not an image"), "text/plain");
  await expect(editor.page.locator("#toasts")).toContainText("notes.txt");
  expect(differing(decode(photo(32, 32)), await editor.save())).toEqual([]);
});

test("a photo of 60 megapixels is opened, erased, and saved with every other pixel as it was", async ({ editor }) => {
  test.slow();
  const [width, height] = [8000, 7500];
  const file = encode(width, height, (x, y) => [x >> 6, y >> 6, 90], 64);
  await editor.openFile("large.png", file);
  await expect(editor.page.locator(".welcome")).toBeHidden({ timeout: 90_000 });
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: width, h: height }, [[2000, 2000], [3000, 3000]]);
  await expect(editor.plan).toContainText("erased");
  const image = await editor.save("sheet", 150_000);
  expect([image.width, image.height]).toEqual([width, height]);
  let [erased, wrong] = [0, 0];
  for (let y = 0; y < height; y += 5) {
    for (let x = 0; x < width; x += 5) {
      const i = (y * width + x) * 4;
      if (image.rgba[i + 3] === 0) erased++;
      else if (image.rgba[i] !== x >> 6 || image.rgba[i + 1] !== y >> 6 || image.rgba[i + 2] !== 90) wrong++;
    }
  }
  expect(wrong).toBe(0);
  expect(Math.abs(erased - 40_000)).toBeLessThan(3000);
});

test("a reload brings the sheet back as it was, with its steps of the window and its words", async ({ editor }) => {
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10.2, 10.2], [30.8, 20.8]]);
  await editor.prompt.fill("a green hat");
  const before = await editor.save();
  await editor.page.reload();
  await editor.opened();
  await expect(editor.prompt).toHaveValue("a green hat");
  await expect(editor.plan).toContainText("erased");
  expect((await editor.save()).rgba.equals(before.rgba)).toBe(true);
});

test("words and strokes outlive a page that ends in the same moment, also where the database has written nothing of them", async ({ editor }) => {
  const { page } = editor;
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await editor.tool("rectangle");
  /** Do something that ends the page at once, and with it all that the database was asked since. */
  const last = async (event, act) => {
    await page.evaluate((event) => {
      IDBTransaction.prototype.commit = IDBTransaction.prototype.abort;
      addEventListener(event, () => location.reload());
    }, event);
    await Promise.all([page.waitForEvent("load"), act()]);
    await editor.opened();
  };
  await last("input", () => editor.prompt.fill("a green hat"));
  await expect(editor.prompt).toHaveValue("a green hat");
  await editor.tool("rectangle");
  await last("pointerup", () => editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10.2, 10.2], [30.8, 20.8]]));
  await expect(editor.plan).toContainText("erased");
  await expect(editor.prompt).toHaveValue("a green hat");
  expect((await editor.save()).at(20, 15)[3]).toBe(0);
  // It is a step like any other, and so is taking it back.
  await last("keyup", () => editor.undo());
  await expect(page.getByRole("button", { name: /^Redo/ })).toBeEnabled();
  await expect(editor.plan).not.toContainText("erased");
  await editor.redo();
  await expect(editor.plan).toContainText("erased");
  // What is stored is no longer told.
  await expect.poll(() => page.evaluate(() => Object.keys(localStorage).filter((name) => name.startsWith("kandinsky.unsaved.")))).toEqual([]);
});

test("a fusion is there after a reload, with its files, words and weights", async ({ editor }) => {
  const { page } = editor;
  await editor.page.getByRole("button", { name: "Fusion", exact: true }).click();
  const tray = page.locator(".fusion");
  await tray.locator("input[type=file]").setInputFiles({ name: "photo.png", mimeType: "image/png", buffer: photo(64, 64) });
  await expect(tray.locator(".card[data-kind=image]")).toHaveCount(1);
  await tray.getByRole("button", { name: "Text" }).click();
  await tray.locator("input[type=range]").first().fill("0.25");
  await tray.locator(".card-text").fill("panda");
  await page.reload();
  await expect(tray.locator(".card-text")).toHaveValue("panda");
  await expect(tray.locator("input[type=range]").first()).toHaveValue("0.25");
  const sent = await editor.sent(() => editor.generateButton.click());
  expect(Buffer.from(sent.fields.inputs[0].image, "base64").equals(photo(64, 64))).toBe(true);
});

test("a mask is saved, and gives the same holes when it is loaded", async ({ editor }) => {
  const { page } = editor;
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10.2, 10.2], [30.8, 20.8]]);
  await expect(editor.plan).toContainText("erased");
  const holes = await editor.save();
  const menu = async (name) => {
    await page.locator("#menu-button").click();
    await page.locator("#menu").locator("button", { hasText: name }).click();
  };
  const [download] = await Promise.all([page.waitForEvent("download"), menu("Save mask")]);
  const file = await readFile(await download.path());
  const mask = decode(file);
  expect([mask.width, mask.height]).toEqual([64, 64]);
  expect([mask.at(20, 15)[0], mask.at(40, 40)[0]]).toEqual([255, 0]);
  /** Load a mask where nothing is erased. */
  const load = async (buffer) => {
    await editor.tool("restore");
    await page.locator("[data-for=restore]").getByRole("button").click();
    await expect(editor.plan).not.toContainText("erased");
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), menu("Load mask…")]);
    await chooser.setFiles({ name: "mask.png", mimeType: "image/png", buffer });
    await expect(editor.plan).toContainText("erased");
    return editor.save();
  };
  expect(differing(holes, await load(file))).toEqual([]);
  // Of the same shape at another size, and as other programs write it: what is to be drawn is transparent.
  const inside = (x, y) => x >= 20 && x < 62 && y >= 20 && y < 42;
  expect((await load(encode(128, 128, (x, y) => (inside(x, y) ? [255, 255, 255] : [0, 0, 0])))).at(20, 15)[3]).toBe(0);
  const other = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(64, 64);
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, 64, 64);
    context.clearRect(0, 0, 32, 32);
    return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
  });
  const clear = await load(Buffer.from(other));
  expect([clear.at(10, 10)[3], clear.at(40, 40)[3]]).toEqual([0, 255]);
});

test("full storage is said, drawing and saving go on, and nothing is lost when there is space again", async ({ editor }) => {
  await editor.page.evaluate(() => {
    window.__put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await expect(editor.page.locator("#toasts")).toContainText("no space left");
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10.2, 10.2], [30.8, 20.8]]);
  await expect(editor.plan).toContainText("erased");
  expect((await editor.save()).at(20, 15)[3]).toBe(0);
  await editor.page.evaluate(() => {
    IDBObjectStore.prototype.put = window.__put;
  });
  await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[40.2, 40.2], [50.8, 50.8]]);
  await expect(editor.page.locator("#toasts")).not.toContainText("no space left");
  const before = await editor.save();
  await editor.page.reload();
  await editor.opened();
  await expect(editor.plan).toContainText("erased");
  expect((await editor.save()).rgba.equals(before.rgba)).toBe(true);
});

test("a second tab says that the sheet is open in another one, and goes on when that is closed", async ({ editor, watched }) => {
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  const second = new Editor(await watched.newPage(), editor.server);
  await second.open();
  await expect(second.page.locator("#toasts")).toContainText("another tab");
  // What is drawn there is not kept, and it goes on where the first one ended.
  await second.tool("rectangle");
  await second.drag({ x: 0, y: 0, w: 64, h: 64 }, [[40, 40], [60, 60]]);
  await expect(second.plan).not.toContainText("erased");
  // A tab in the background draws a frame a second.
  await editor.page.bringToFront();
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10.2, 10.2], [30.8, 20.8]]);
  const before = await editor.save();
  await editor.page.close({ runBeforeUnload: true });
  await expect(second.page.locator("#toasts")).not.toContainText("another tab");
  await expect(second.plan).toContainText("erased");
  expect((await second.save()).rgba.equals(before.rgba)).toBe(true);
});

test("a browser that forbids all storage is told so, and works for as long as the page is open", async ({ watched, server }) => {
  const page = await watched.newPage();
  await page.addInitScript(() => {
    for (const name of ["localStorage", "sessionStorage", "indexedDB"]) {
      Object.defineProperty(window, name, {
        get() {
          throw new DOMException("denied", "SecurityError");
        },
      });
    }
  });
  const editor = new Editor(page, server);
  await editor.open();
  await expect(page.locator("#toasts")).toContainText("keeps nothing");
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  expect(differing(decode(photo(64, 64)), await editor.save())).toEqual([]);
});

test("each of two tabs comes back to its own sheet and its own words", async ({ editor, watched }) => {
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await editor.prompt.fill("a green hat");
  const second = new Editor(await watched.newPage(), editor.server);
  await second.open();
  await expect(second.page.locator("#toasts")).toContainText("another tab");
  // What is written beside a sheet that is not its own is this tab's, too.
  await second.prompt.fill("a blue hat");
  await second.page.reload();
  await expect(second.page.locator("#toasts")).toContainText("another tab");
  await expect(second.prompt).toHaveValue("a blue hat");
  // Neither can take it from the other, and a copy is one's own.
  const recent = async (tab) => {
    await tab.page.locator("#menu-button").click();
    await tab.page.locator("#menu").getByRole("button", { name: "Recent sheets" }).click();
  };
  await second.page.getByRole("button", { name: "Work on a copy" }).click();
  await expect(second.page.locator("#toasts")).not.toContainText("another tab");
  await second.tool("rectangle");
  await second.drag({ x: 0, y: 0, w: 64, h: 64 }, [[40, 40], [60, 60]]);
  await second.page.reload();
  await expect(second.plan).toContainText("erased");
  await expect(second.prompt).toHaveValue("a blue hat");
  await recent(second);
  const sheets = second.page.locator("dialog[data-name=documents]");
  await expect(sheets.getByRole("button", { name: "Delete" })).toHaveCount(2);
  // The first is the copy, which is open here.
  await sheets.getByRole("button", { name: "Delete" }).last().click();
  await sheets.getByRole("button", { name: "Delete for good" }).click();
  await expect(second.page.locator("#toasts")).toContainText("open in another tab");
  await second.page.keyboard.press("Escape");
  await second.page.locator("#toasts .icon-button").click();
  await second.newSheet();
  await expect(second.page.locator("#toasts")).not.toContainText("another tab");
  await second.ratio("16:9");
  await second.prompt.fill("a red hat");
  for (const [tab, words] of [[editor, "a green hat"], [second, "a red hat"]]) {
    await tab.page.bringToFront();
    await tab.page.reload();
    await expect(tab.prompt).toHaveValue(words);
    await expect(tab.page.locator(".welcome")).toBeVisible({ visible: tab === second });
    await expect(tab.page.locator("#toasts")).not.toContainText("another tab");
  }
});

test("a sheet travels as one file", async ({ editor }) => {
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10.2, 10.2], [30.8, 20.8]]);
  const before = await editor.save();
  await editor.page.locator("#menu-button").click();
  const [download] = await Promise.all([
    editor.page.waitForEvent("download"),
    editor.page.locator("#menu").getByRole("button", { name: "Export as one file" }).click(),
  ]);
  const file = await readFile(await download.path());
  await editor.forget();
  await editor.openFile("sheet.kdoc", file, "application/zip");
  await editor.opened();
  await expect(editor.plan).toContainText("erased");
  expect((await editor.save()).rgba.equals(before.rgba)).toBe(true);
});
