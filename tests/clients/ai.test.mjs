// Vercel's AI SDK, unmodified, with its providers for OpenAI and for servers that speak OpenAI's API.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage } from "ai";

const baseURL = `${process.env.KANDINSKY_URL}/v1`;
const openai = createOpenAI({ baseURL, apiKey: "none" });
const compatible = createOpenAICompatible({ name: "kandinsky", baseURL });
const prompt = "red heart on a blue background";
const image = readFileSync(`${process.env.KANDINSKY_PICTURES}/text_english.png`);

// Width and height in the header of a PNG.
const sizeOf = ({ uint8Array }) => {
  const view = Buffer.from(uint8Array);
  assert.equal(view.toString("latin1", 1, 4), "PNG");
  return [view.readUInt32BE(16), view.readUInt32BE(20)];
};

for (const model of [openai.image("dall-e-3"), openai.image("gpt-image-1"), compatible.imageModel("kandinsky-mini")]) {
  test(`${model.provider} ${model.modelId} generates an image of the size asked for`, async () => {
    const { images } = await generateImage({ model, prompt, size: "1024x1024", maxRetries: 0 });
    assert.deepEqual(images.map(sizeOf), [[1024, 1024]]);
  });
}

test("an edit", async () => {
  const { images } = await generateImage({
    model: openai.image("gpt-image-1"),
    prompt: { text: prompt, images: [image] },
    maxRetries: 0,
  });
  assert.deepEqual(images.map(sizeOf), [[64, 64]]);
});

test("an error says what is wrong", async () => {
  const model = openai.image("dall-e-3");
  const failed = await generateImage({ model, prompt: " ", maxRetries: 0 }).then(() => null, (error) => error);
  assert.match(String(failed?.message), /prompt: must not be empty/);
});
