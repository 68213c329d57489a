// What Chromium lets pages do with a server that asks for no key: its own page everything, pages of other origins nothing.
// `.ci/browser` starts the server and says where it is.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";

import puppeteer from "puppeteer-core";

const server = process.env.KANDINSKY_URL;
const { port } = new URL(server);
const shared = process.env.KANDINSKY_SHARED_URL;
const prompt = "red heart on a blue background";
const few = { prompt, steps: 3, prior: { steps: 2 } };
let browser, pages, proxy;

/** A server on a free port of this machine. */
const listen = (handler) =>
  new Promise((done) => {
    const started = createServer(handler).listen(0, "127.0.0.1", () => done(started));
  });

before(async () => {
  browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM,
    // Names that lead to this machine, as their owner could make them do at any time.
    args: ["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP app.example 127.0.0.1"],
  });
  pages = await listen((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html><title>page</title>"));
  // A proxy that shows the server below a path, and takes the path away.
  proxy = await listen((asked, answer) => {
    if (!asked.url.startsWith("/kandinsky/")) return answer.writeHead(404).end();
    const headers = { ...asked.headers, host: `127.0.0.1:${port}`, "x-forwarded-proto": "http" };
    headers["x-forwarded-host"] = asked.headers.host;
    headers["x-forwarded-prefix"] = "/kandinsky";
    const passed = request({ host: "127.0.0.1", port, path: asked.url.slice("/kandinsky".length), method: asked.method, headers });
    passed.on("response", (response) => response.pipe(answer.writeHead(response.statusCode, response.headers)));
    passed.on("error", () => answer.destroy());
    // A page that leaves in the middle of an answer ends the question as well: an answer that is not read would never end.
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
});

after(async () => {
  await browser?.close();
  for (const listening of [pages, proxy]) {
    listening?.close();
    listening?.closeAllConnections();
  }
});

/** Do something in a page of this address. */
const inPage = async (url, action, ...values) => {
  const page = await browser.newPage();
  try {
    await page.goto(url, { waitUntil: "load" });
    return await page.evaluate(action, ...values);
  } finally {
    await page.close();
  }
};

const jobs = async (at = server) => (await (await fetch(`${at}/v1/jobs`)).json()).data;

/** Everything that a page can send without being asked, and what it could read. */
const attack = async (server, few, job) => {
  const form = () => {
    const form = new FormData();
    form.append("prompt", few.prompt);
    form.append("steps", few.steps);
    return form;
  };
  const post = (path, body, headers) => fetch(server + path, { method: "POST", mode: "no-cors", body, headers }).catch(() => {});
  const json = JSON.stringify(few);
  await post("/v1/text-to-image", form());
  await post("/v1/text-to-image", new Blob([json]));
  await post("/v1/text-to-image", new Blob([json], { type: "text/plain" }));
  await post("/v1/images/generations", new Blob([json]));
  await post("/", new Blob([JSON.stringify({ inputs: few.prompt })]));
  await post(`/v1/jobs/${job}/cancel`);
  const read = async (path, init) => {
    try {
      const answer = await fetch(server + path, init);
      return `${answer.status} ${(await answer.text()).slice(0, 200)}`;
    } catch {
      return "nothing";
    }
  };
  return [
    await read("/v1/jobs"),
    await read(`/v1/jobs/${job}`),
    await read(`/v1/jobs/${job}`, { method: "DELETE" }),
    await read("/v1/text-to-image", { method: "POST", body: json, headers: { "content-type": "application/json" } }),
    await new Promise((done) => {
      const source = new EventSource(`${server}/v1/jobs/${job}/events`);
      const end = (what) => {
        source.close();
        done(what);
      };
      source.onerror = () => end("nothing");
      source.addEventListener("completed", (event) => end(event.data));
    }),
  ];
};

/** A finished job. */
const draw = async () => {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${server}/v1/text-to-image`, { method: "POST", headers, body: JSON.stringify(few) });
  return (await answer.json()).id;
};

for (const host of ["127.0.0.1", "evil.example"]) {
  test(`a page of ${host} on another port can neither use nor read it`, async () => {
    const job = await draw();
    const before = await jobs();
    const read = await inPage(`http://${host}:${pages.address().port}/`, attack, server, few, job);
    assert.deepEqual(read, Array(5).fill("nothing"));
    assert.deepEqual(await jobs(), before, "no job was made, canceled or deleted");
    // A form that the page sends off by itself is a navigation.
    const page = await browser.newPage();
    await page.goto(`http://${host}:${pages.address().port}/`);
    await page.setContent(`<form method=post enctype=multipart/form-data action="${server}/v1/text-to-image">
      <input name=prompt value=x><input name=steps value=3></form>`);
    const [answer] = await Promise.all([page.waitForNavigation(), page.$eval("form", (form) => form.submit())]);
    assert.equal(answer.status(), 403);
    await page.close();
    assert.deepEqual(await jobs(), before);
  });
}

test("a name that was made to lead to the server reads nothing of it", async () => {
  const job = await draw();
  const before = await jobs();
  // The page is the server's own, which holds nothing; its origin is the other name's.
  const read = await inPage(`http://evil.example:${port}/`, attack, "", few, job);
  assert.ok(read.slice(0, 4).every((text) => text.startsWith("421") && text.includes("foreign-host")), read.join("\n"));
  assert.equal(read[4], "nothing");
  assert.deepEqual(await jobs(), before);
});

test("an allowed page calls it, and any page shows an image whose address it has", async () => {
  const job = await draw();
  const at = `http://app.example:${pages.address().port}/`;
  const listed = await inPage(at, async (server) => (await (await fetch(`${server}/v1/jobs`)).json()).data.length, shared);
  assert.equal(listed, 0);
  const url = `${server}/v1/jobs/${job}/images/0`;
  const show = (url) =>
    new Promise((done) => {
      const image = new Image();
      image.onload = () => done(image.naturalWidth);
      image.onerror = () => done(0);
      image.src = url;
    });
  assert.equal(await inPage(`http://evil.example:${pages.address().port}/`, show, url), 64);
});

for (const where of ["directly", "below a path"]) {
  test(`its own pages work ${where}`, async () => {
    const at = where === "directly" ? server : `http://127.0.0.1:${proxy.address().port}/kandinsky`;
    const page = await browser.newPage();
    const failed = [];
    page.on("response", (answer) => answer.status() >= 400 && failed.push(`${answer.status()} ${answer.url()}`));
    await page.goto(`${at}/`);
    await (await page.waitForSelector("#prompt-text")).type(prompt);
    await page.click("#generate");
    await page.waitForSelector(".candidates .primary:not(:disabled)", { timeout: 60_000 });
    await page.goto(`${at}/docs`);
    await page.waitForSelector("#operations-generation-text_to_image", { timeout: 30_000 });
    const servers = await page.$$eval(".servers option", (options) => options.map((option) => option.value));
    assert.deepEqual(servers, where === "directly" ? [] : ["/kandinsky"]);
    assert.deepEqual(failed.filter((line) => !line.includes("favicon")), []);
    await page.close();
  });
}
