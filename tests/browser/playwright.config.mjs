// Scenarios of the editor in Chromium, each on a server of its own worker. `.ci/editor` says where the binary and the browser are.
// Invariant: no test waits for a fixed time, and every picture is judged by the pixels of a saved file.

import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "editor",
  testMatch: "*.spec.mjs",
  outputDir: process.env.EDITOR_RESULTS ?? "results",
  fullyParallel: true,
  workers: 2,
  // Generous, since the machine may have other work: a state that does not come is a fault after three minutes, too.
  timeout: 180_000,
  // Once more where the whole of it runs beside other work: what passes then is reported as flaky.
  retries: process.env.CI ? 1 : 0,
  expect: { timeout: 60_000 },
  reporter: [["list"]],
  forbidOnly: Boolean(process.env.CI),
  use: {
    viewport: { width: 1280, height: 800 },
    locale: "en-US",
    colorScheme: "light",
    // Hands wait until what they reach for rests.
    contextOptions: { reducedMotion: "reduce" },
    actionTimeout: 60_000,
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
  },
});
