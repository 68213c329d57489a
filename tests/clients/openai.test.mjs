// OpenAI's Node SDK, unmodified.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import OpenAI, { toFile } from "openai";

const server = process.env.KANDINSKY_URL;
const client = new OpenAI({ baseURL: `${server}/v1`, apiKey: process.env.KANDINSKY_KEY ?? "none", maxRetries: 0 });
const prompt = "red heart on a blue background";
const own = { seed: 7, steps: 4, prior: { steps: 3 } };
const goldens = process.env.KANDINSKY_PICTURES;
const file = (name, as = name) => toFile(readFileSync(`${goldens}/${name}`), as, { type: "image/png" });

const PNG = "89504e470d0a1a0a";
const isPng = (b64) => assert.equal(Buffer.from(b64, "base64").subarray(0, 8).toString("hex"), PNG);

test("generate", async () => {
  const answer = await client.images.generate({ prompt, n: 2, size: "auto", ...own });
  assert.equal(answer.data.length, 2);
  answer.data.forEach((image) => isPng(image.b64_json));
  assert.equal(answer.size, "64x64");
  const alias = await client.images.generate({ model: "dall-e-3", prompt, size: "1024x1024", ...own });
  assert.equal(alias.size, "1024x1024");
  assert.ok(alias.data[0].url && !alias.data[0].b64_json);
  const linked = await client.images.generate({ prompt, response_format: "url", ...own });
  const fetched = await fetch(linked.data[0].url);
  assert.equal(fetched.headers.get("content-type"), "image/png");
});

test("stream", async () => {
  const types = [];
  for await (const event of await client.images.generate({ prompt, stream: true, partial_images: 1, ...own })) {
    types.push(event.type);
    isPng(event.b64_json);
  }
  assert.deepEqual(types, ["image_generation.partial_image", "image_generation.completed"]);
});

test("edit and variation", async () => {
  const picture = () => file("text_english.png");
  for (const image of [await picture(), [await picture(), await file("text_english.png", "b.png")]]) {
    const answer = await client.images.edit({ image, prompt, ...own });
    isPng(answer.data[0].b64_json);
  }
  const answer = await client.images.createVariation({ image: await picture(), n: 2, ...own });
  assert.equal(answer.data.length, 2);
  assert.ok(answer.data.every((image) => image.url));
});

test("models and moderations", async () => {
  const [model] = (await client.models.list()).data;
  assert.equal((await client.models.retrieve(model.id)).id, model.id);
  const moderation = await client.moderations.create({ input: ["a cat", "a frobnicator"] });
  assert.deepEqual(moderation.results.map((result) => result.flagged), [false, true]);
});

test("errors", async () => {
  const caught = (call) => call.then(() => assert.fail("no error"), (error) => error);
  const range = await caught(client.images.generate({ prompt, n: 99 }));
  assert.ok(range instanceof OpenAI.BadRequestError);
  assert.deepEqual([range.param, range.type], ["n", "invalid_request_error"]);
  const refused = await caught(client.images.generate({ prompt: "a frobnicator in a box" }));
  assert.deepEqual([refused.status, refused.code], [400, "moderation_blocked"]);
  const unknown = await caught(client.models.retrieve("someone/else"));
  assert.ok(unknown instanceof OpenAI.NotFoundError);
  assert.ok(unknown.requestID);
});
