// Eyes and ears: no finding of axe in either theme, language and size; words for the sheet; what is loaded weighs little.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { expect, test } from "./fixtures.mjs";
import { photo } from "./png.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Bytes of the page and everything that it loads, compressed. */
const MOST_BYTES = 120 * 1024;

/** Rules that a theme can break: it changes colours and nothing else. */
const OF_COLORS = ["color-contrast", "link-in-text-block"];

/** @param rules  those alone */
async function findings(page, rules) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  const violations = await page.evaluate(async (rules) => {
    // What moves has another contrast on its way.
    await Promise.all(document.getAnimations().filter(({ effect }) => effect?.getTiming().iterations !== Infinity).map(({ finished }) => finished.catch(() => {})));
    const runOnly = rules ?? ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    return (await window.axe.run({ runOnly, resultTypes: ["violations"] })).violations;
  }, rules);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join("\n")}`);
}

for (const width of [360, 1280]) {
  for (const locale of ["en-US", "ru-RU"]) {
    test.describe(`${width} px, ${locale}`, () => {
      test.use({ viewport: { width, height: width === 360 ? 740 : 800 }, locale, hasTouch: width === 360 });

      test("axe finds nothing in either theme", async ({ editor }) => {
        const { page } = editor;
        const found = {};
        const check = async (state) => {
          const light = await findings(page);
          await page.emulateMedia({ colorScheme: "dark" });
          const dark = await findings(page, OF_COLORS);
          await page.emulateMedia({ colorScheme: "light" });
          if (light.length + dark.length) found[state] = { light, dark };
        };
        await check("empty");
        await editor.drawer("styles");
        await check("styles");
        await editor.drawer("styles");
        await editor.quick();
        await editor.drawer("more");
        await check("more");
        await editor.drawer("more");
        await editor.generate("red heart on a blue background");
        await check("candidate");
        await editor.accept();
        await editor.tool("eraser");
        await check("eraser");
        await editor.images();
        await check("images");
        await page.locator(".tile-button").first().click();
        await check("image card");
        await page.keyboard.press("Escape");
        await page.keyboard.press("Escape");
        await page.locator("#menu-button").click();
        await check("menu");
        await page.keyboard.press("Escape");
        for (const name of ["save", "shortcuts", "settings"]) {
          if (name === "save") await page.keyboard.press("Control+s");
          else {
            await page.locator("#menu-button").click();
            await page.locator("#menu").getByRole("button", { name: name === "shortcuts" ? /^(Shortcuts|Клавиши|Сочетания)/ : /^(Settings|Настройки)/ }).click();
          }
          await expect(page.locator(`dialog[data-name=${name}]`)).toBeVisible();
          await check(name);
          await page.keyboard.press("Escape");
        }
        expect(found).toEqual({});
      });
    });
  }
}

for (const locale of ["en-US", "ru-RU"]) {
  test.describe(locale, () => {
    test.use({ locale });

    test("what the page loads weighs little, and comes from the server alone", async ({ watched, server }) => {
      const page = await watched.newPage();
      const loaded = new Map();
      page.on("response", async (response) => {
        const path = new URL(response.url()).pathname;
        if (path === "/" || path.startsWith("/assets/")) loaded.set(path, gzipSync(await response.body(), { level: 9 }).length);
      });
      await page.goto(`${server.url}/`);
      await expect(page.locator(".welcome")).toBeVisible();
      await page.waitForLoadState("networkidle");
      const sum = [...loaded].filter(([path]) => !path.startsWith("/assets/styles/")).reduce((sum, [, bytes]) => sum + bytes, 0);
      expect(loaded.size).toBeGreaterThan(30);
      expect(sum).toBeLessThan(MOST_BYTES);
    });
  });
}

test("the sheet is told in words, and what happens is announced", async ({ editor }) => {
  await editor.quick();
  await editor.openFile("photo.png", photo(64, 64));
  await editor.opened();
  await expect(editor.canvas).toHaveAttribute("aria-label", /64 × 64|64 by 64/);
  await editor.tool("rectangle");
  await editor.drag({ x: 0, y: 0, w: 64, h: 64 }, [[10, 10], [40, 40]]);
  await editor.generateButton.click();
  await expect(editor.page.locator("#live")).not.toBeEmpty();
  await expect(editor.page.locator("#live")).toContainText("ready", { timeout: 120_000 });
});

for (const { width, height } of [{ width: 320, height: 640 }, { width: 360, height: 640 }, { width: 640, height: 400 }, { width: 740, height: 360 }, { width: 900, height: 600 }, { width: 1280, height: 800 }]) {
  test.describe(`${width} × ${height}`, () => {
    // The longer words.
    test.use({ viewport: { width, height }, hasTouch: width < 900, locale: "ru-RU" });

    test("nothing lies outside of the screen, and fingers find what they touch", async ({ editor }) => {
      await editor.quick();
      await editor.count(4);
      await editor.generate("red heart on a blue background");
      await expect.poll(() => lost(editor)).toEqual([]);
      await editor.accept();
      await expect.poll(() => lost(editor)).toEqual([]);
      await editor.tool("eraser");
      await expect.poll(() => lost(editor)).toEqual([]);
    });

    const lost = (editor) =>
      editor.page.evaluate((coarse) => {
        const found = [];
        if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
        for (const button of document.querySelectorAll("button, input, textarea, select")) {
          if (!button.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || button.closest("[popover]:not(:popover-open)") || button.closest(".unseen") || button.matches(".unseen")) continue;
          const box = button.getBoundingClientRect();
          const name = button.getAttribute("aria-label") ?? button.textContent.trim();
          const scrolls = button.closest("[role=radiogroup], .prompt-row, .drawer, .side-body, .tools");
          if (!scrolls && (box.left < -1 || box.top < -1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1)) found.push(`${name} lies outside`);
          // Nothing may lie over it either.
          const over = scrolls || button.matches(":disabled, [type=file]") ? null : document.elementFromPoint(box.right - 4, box.top + box.height / 2);
          if (over && !button.contains(over) && !over.contains(button)) found.push(`${name} lies under ${over.outerHTML.slice(0, 60)}`);
          if (coarse && button.matches(".icon-button, .primary") && (box.width < (innerWidth < 360 ? 35.5 : 43.5) || box.height < 43.5) && !button.matches(".small")) found.push(`${name} is ${box.width} × ${box.height}`);
        }
        return found;
      }, width < 900);
  });
}
