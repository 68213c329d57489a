// Screenshots for people to look at: `node screenshots.mjs FOLDER` with KANDINSKY_BINARY and CHROMIUM set; with `--readme`
// the two of the README alone (tools/editor_screenshots.sh).

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "@playwright/test";

import { Editor } from "./editor/fixtures.mjs";
import { startServer } from "./editor/server.mjs";

const folder = process.argv[2] ?? "screenshots";
const readme = process.argv.includes("--readme");
const WORDS = {
  en: { locale: "en-US", prompt: "red heart on a blue background", more: "panda on a yellow background" },
  ru: { locale: "ru-RU", prompt: "красное сердце на синем фоне", more: "панда на жёлтом фоне" },
};
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };

await mkdir(folder, { recursive: true });
const server = await startServer();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  if (readme) {
    await inReadme("en", "en-US", "light", "sailboat on a blue background", "palm tree on a blue background");
    await inReadme("ru", "ru-RU", "dark", "кошка на жёлтом фоне", "собака на жёлтом фоне");
  } else {
    for (const [language, words] of Object.entries(WORDS)) await everywhere(language, words);
  }
} finally {
  await browser.close();
  await server.stop();
}

/** An image that was continued to the right, with a hole in it. */
async function inReadme(language, locale, colorScheme, first, second) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale, colorScheme });
  const editor = new Editor(await context.newPage(), server);
  await editor.open();
  await editor.seed(5);
  await editor.generate(first);
  await editor.accept();
  await editor.canvas.focus();
  for (let i = 0; i < 3; i++) await editor.page.keyboard.press("Shift+ArrowRight");
  await editor.generate(second);
  await editor.accept();
  await editor.tool("eraser");
  await editor.page.mouse.move(10, 400);
  await editor.page.keyboard.press("Control+0");
  const map = await editor.map({ x: 48, y: 0, w: 64, h: 64 });
  const [from, to] = [map(72, 22), map(92, 30)];
  await editor.page.mouse.move(from.x, from.y);
  await editor.page.mouse.down();
  await editor.page.mouse.move(to.x, to.y, { steps: 12 });
  await editor.page.mouse.up();
  await editor.prompt.fill(second);
  await editor.images();
  await editor.page.screenshot({ path: join(folder, `editor-${language}.png`) });
  await context.close();
}

async function everywhere(language, words) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport, locale: words.locale, colorScheme, hasTouch: size === "phone", deviceScaleFactor: 1 });
      const editor = new Editor(await context.newPage(), server);
      const shoot = async (state) => {
        await editor.page.evaluate(() => Promise.all(document.getAnimations().filter(({ effect }) => effect.getTiming().iterations !== Infinity).map(({ finished }) => finished.catch(() => {}))));
        await editor.page.screenshot({ path: join(folder, `${language}-${size}-${colorScheme}-${state}.png`) });
      };
      await editor.open();
      await shoot("1-empty");
      await editor.quick({ steps: 25, prior: 10 });
      await editor.seed(8);
      await editor.generate(words.more);
      await editor.accept();
      await editor.canvas.focus();
      for (let i = 0; i < 3; i++) await editor.page.keyboard.press("Shift+ArrowRight");
      await editor.page.keyboard.press("Control+0");
      await shoot("2-slid");
      await editor.generate(words.prompt);
      await shoot("3-candidate");
      await editor.accept();
      await editor.tool("eraser");
      const map = await editor.map({ x: 48, y: 0, w: 64, h: 64 });
      const [from, to] = [map(70, 20), map(95, 34)];
      await editor.page.mouse.move(from.x, from.y);
      await editor.page.mouse.down();
      await editor.page.mouse.move(to.x, to.y, { steps: 12 });
      await editor.page.mouse.up();
      if (size === "desktop") await editor.images();
      await shoot("4-erased");
      await editor.drawer("styles");
      await shoot("5-styles");
      await editor.drawer("styles");
      await editor.drawer("more");
      await shoot("6-more");
      await editor.drawer("more");
      await context.close();
    }
  }
}
