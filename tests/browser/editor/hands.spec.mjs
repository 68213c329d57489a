// Hands: fingers, a pen, Cyrillic keyboards, and the keyboard alone.

import { expect, test } from "./fixtures.mjs";
import { bounds, decode, encode, photo } from "./png.mjs";

const PHOTO = { x: 0, y: 0, w: 64, h: 64 };
const PLAIN = encode(64, 64, () => [200, 120, 40]);

const erased = (image) => {
  const found = [];
  for (let y = 0; y < image.height; y++) for (let x = 0; x < image.width; x++) if (image.at(x, y)[3] < 128) found.push([x, y]);
  return found;
};

test.describe("fingers", () => {
  test.use({ hasTouch: true });

  /** Touch events as a screen sends them; `points`: where fingers are, none: lifted. */
  const touch = async (editor) => {
    const driver = await editor.page.context().newCDPSession(editor.page);
    // By the clock of the screen: fingers are as quick as they are, however busy the machine is.
    let timestamp = Date.now() / 1000;
    return (type, ...points) => {
      timestamp += 0.04;
      const touchPoints = points.map(({ x, y }, id) => ({ x, y, id }));
      return driver.send("Input.dispatchTouchEvent", { type, timestamp, touchPoints });
    };
  };

  test("one finger draws, a second one takes the stroke back and zooms at the middle", async ({ editor }) => {
    await editor.openFile("plain.png", PLAIN);
    await editor.opened();
    await editor.tool("eraser");
    let map = await editor.map(PHOTO);
    const send = await touch(editor);
    await send("touchStart", map(10, 20));
    for (let x = 12; x <= 40; x += 4) await send("touchMove", map(x, 20));
    await send("touchEnd");
    await expect(editor.plan).toContainText("erased");
    const stroke = erased(await editor.save());
    const box = bounds(stroke);
    expect(box.x).toBeLessThan(10);
    expect(box.x + box.w).toBeGreaterThan(40);
    // Another stroke, and a second finger at once: nothing of it stays, and the view is zoomed where the fingers are.
    const [one, two] = [map(20, 45), map(44, 45)];
    await send("touchStart", one);
    await send("touchStart", one, two);
    for (let by = 5; by <= 40; by += 5) await send("touchMove", { x: one.x - by, y: one.y }, { x: two.x + by, y: two.y });
    await send("touchEnd");
    const before = await editor.map(PHOTO);
    expect(erased(await editor.save())).toEqual(stroke);
    const middle = { x: (one.x + two.x) / 2, y: one.y };
    map = before;
    const there = map(32, 45);
    expect(Math.abs(there.x - middle.x)).toBeLessThan(3);
    expect(Math.abs(there.y - middle.y)).toBeLessThan(3);
    expect(map(44, 45).x - map(20, 45).x).toBeGreaterThan((two.x - one.x) * 1.3);
  });

  test("two fingers that tap undo", async ({ editor }) => {
    await editor.openFile("plain.png", PLAIN);
    await editor.opened();
    await editor.tool("eraser");
    await editor.drag(PHOTO, [[30, 30], [40, 30]]);
    await expect(editor.plan).toContainText("erased");
    const map = await editor.map(PHOTO);
    const send = await touch(editor);
    await send("touchStart", map(20, 40));
    await send("touchStart", map(20, 40), map(40, 40));
    await send("touchEnd");
    await expect(editor.plan).not.toContainText("erased");
  });
});

test("a pen draws wider the harder it is pressed", async ({ editor }) => {
  await editor.openFile("plain.png", PLAIN);
  await editor.opened();
  await editor.tool("eraser");
  const driver = await editor.page.context().newCDPSession(editor.page);
  const map = await editor.map(PHOTO);
  const line = async (y, force) => {
    const send = (type, x) => driver.send("Input.dispatchMouseEvent", { type, ...map(x, y), button: "left", buttons: 1, pointerType: "pen", force, clickCount: 1 });
    await send("mousePressed", 15);
    for (let x = 18; x < 50; x += 3) await send("mouseMoved", x);
    await send("mouseReleased", 50);
  };
  await line(16, 0.15);
  await line(48, 0.95);
  const found = erased(await editor.save());
  const height = (from, to) => bounds(found.filter(([, y]) => y >= from && y < to)).h;
  expect(height(32, 64)).toBeGreaterThan(height(0, 32));
});

test("shortcuts work on a Cyrillic layout", async ({ editor }) => {
  await editor.openFile("plain.png", PLAIN);
  await editor.opened();
  const driver = await editor.page.context().newCDPSession(editor.page);
  const press = async (key, code, modifiers = 0) => {
    const what = { key, code, modifiers, text: modifiers & 2 ? undefined : key };
    await driver.send("Input.dispatchKeyEvent", { type: "keyDown", ...what });
    await driver.send("Input.dispatchKeyEvent", { type: "keyUp", key, code, modifiers });
  };
  await editor.canvas.focus();
  await press("у", "KeyE");
  await expect(editor.page.locator("[data-tool=eraser]")).toHaveAttribute("aria-checked", "true");
  await editor.drag(PHOTO, [[20, 20], [40, 20]]);
  await expect(editor.plan).toContainText("erased");
  await press("я", "KeyZ", 2);
  await expect(editor.plan).not.toContainText("erased");
  await press("Я", "KeyZ", 2 | 8);
  await expect(editor.plan).toContainText("erased");
  await press("м", "KeyV");
  await expect(editor.page.locator("[data-tool=window]")).toHaveAttribute("aria-checked", "true");
  // In a text, letters are letters.
  await editor.prompt.focus();
  await press("у", "KeyE");
  await expect(editor.page.locator("[data-tool=window]")).toHaveAttribute("aria-checked", "true");
  await expect(editor.prompt).toHaveValue("у");
});

test("the keyboard alone makes an image, moves the window, fills and saves", async ({ editor }) => {
  const { page } = editor;
  await editor.quick();
  /** Tab until this is reached: everything must be, without a trap. */
  const reach = async (selector) => {
    for (let i = 0; i < 60; i++) {
      if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`Tab does not reach ${selector}`);
  };
  await reach("#prompt-text");
  await page.keyboard.type("red heart on a blue background");
  await page.keyboard.press("Control+Enter");
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  await reach("#canvas");
  await page.keyboard.press("Enter");
  await expect(editor.candidates).toBeHidden();
  for (let i = 0; i < 2; i++) await page.keyboard.press("Shift+ArrowRight");
  await expect(editor.plan).toContainText("50%");
  await page.keyboard.press("Control+Enter");
  await expect(editor.candidates.locator(".primary")).toBeEnabled({ timeout: 120_000 });
  await page.keyboard.press("Enter");
  await expect(editor.candidates).toBeHidden();
  await page.keyboard.press("Control+s");
  await expect(page.locator("dialog[data-name=save]")).toBeVisible();
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  const { readFile } = await import("node:fs/promises");
  const image = decode(await readFile(await download.path()));
  expect([image.width, image.height]).toEqual([96, 64]);
  expect(erased(image)).toEqual([]);
});

test("the wheel zooms where the pointer is, and the document stays under it", async ({ editor }) => {
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  const before = (await editor.map(PHOTO))(10, 50);
  await editor.page.mouse.move(before.x, before.y);
  await editor.page.keyboard.down("Control");
  await editor.page.mouse.wheel(0, -300);
  await editor.page.keyboard.up("Control");
  await expect(async () => {
    const map = await editor.map(PHOTO);
    expect(map(11, 50).x - map(10, 50).x).toBeGreaterThan(8);
    expect(Math.abs(map(10, 50).x - before.x)).toBeLessThan(1.5);
    expect(Math.abs(map(10, 50).y - before.y)).toBeLessThan(1.5);
  }).toPass({ timeout: 10_000 });
});
