// A smoke test in Debian's Firefox: the editor opens, makes an image and places it, and nothing breaks the page's policy.
// `.ci/firefox` says where browser and server are.

import assert from "node:assert/strict";
import { test } from "node:test";

import puppeteer from "puppeteer-core";
import { startServer } from "./editor/server.mjs";

test("the editor makes an image in Firefox", { timeout: 180_000 }, async () => {
  const server = await startServer();
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: process.env.FIREFOX, headless: true });
  try {
    const page = await browser.newPage();
    const faults = [];
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    await page.goto(`${server.url}/`);
    const prompt = await page.waitForSelector("#prompt-text");
    await prompt.type("red heart on a blue background");
    await (await page.waitForSelector("#generate:not([aria-disabled])")).click();
    await (await page.waitForSelector(".candidates .primary:not(:disabled)", { timeout: 120_000 })).click();
    await page.waitForSelector(".candidates", { hidden: true });
    // What was accepted is on the sheet: red in the middle of the window.
    const color = await page.evaluate(async () => {
      for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
      const canvas = document.getElementById("canvas");
      const style = document.getElementById("over").style;
      const [x, y, w, h] = ["x", "y", "w", "h"].map((name) => Number.parseFloat(style.getPropertyValue(`--win-${name}`)) * devicePixelRatio);
      return [...canvas.getContext("2d").getImageData(x + w / 2, y + h / 2, 1, 1).data];
    });
    assert.ok(color[0] > 150 && color[1] < 110 && color[2] < 140, `a heart is red: ${color}`);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.stop();
  }
});
