// What is done while something else is under way, and what breaks in between: nothing of it gets to the wrong place, or is waited for in vain.

import { expect, test } from "./fixtures.mjs";
import { photo } from "./png.mjs";

test.describe("a script that cannot be loaded", () => {
  test.use({ allowed: [/Failed to load resource|ERR_/] });

  test("costs no image: the page encodes without its worker, and tries that again", async ({ editor }) => {
    const { page } = editor;
    let asked = 0;
    await page.route("**/workers/png.js", (route) => {
      asked += 1;
      return route.abort();
    });
    // Large enough for the worker.
    const file = photo(512, 512);
    await editor.openFile("large.png", file);
    await editor.opened();
    await editor.tool("rectangle");
    await editor.drag({ x: 0, y: 0, w: 512, h: 512 }, [[100, 100], [200, 200]]);
    await expect(editor.plan).toContainText("erased");
    const first = await editor.save();
    expect(first.at(150, 150)[3]).toBe(0);
    expect((await editor.save()).rgba.equals(first.rgba)).toBe(true);
    expect(asked).toBe(2);
    await page.unroute("**/workers/png.js");
    await Promise.all([page.waitForResponse("**/workers/png.js"), editor.save()]);
  });
});
