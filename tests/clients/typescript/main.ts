// The client that openapi-typescript types from the contract, and openapi-fetch sends.

import assert from "node:assert/strict";

import createClient from "openapi-fetch";

import type { components, paths } from "./api.js";

const client = createClient<paths>({ baseUrl: process.env["KANDINSKY_URL"] ?? "" });
type Job = components["schemas"]["JobAnswer"];

const few = { seed: 7, steps: 4, prior: { steps: 3 } };

/** The answer can be a picture's bytes or events as well, where they are asked for. */
function job(answer: Job | components["schemas"]["ServerSentEvent"] | string | undefined): Job {
  assert.ok(typeof answer === "object" && "images" in answer);
  return answer;
}

const made = await client.POST("/v1/text-to-image", {
  body: { prompt: "red heart on a blue background", width: 96, ...few },
});
assert.equal(made.error, undefined);
const [image] = job(made.data).images;
assert.ok(image);
assert.deepEqual([image.width, image.height, image.seed, image.media_type], [96, 64, 7, "image/png"]);
assert.ok(image.b64_json);

const varied = await client.POST("/v1/image-variations", { body: { image: image.b64_json, ...few } });
assert.equal(job(varied.data).images.length, 1);

const queued = await client.POST("/v1/text-to-image", {
  params: { header: { Prefer: "respond-async" } },
  body: { prompt: "red heart", ...few },
});
assert.equal(queued.response.status, 202);
const id = job(queued.data).id;
const found = await client.GET("/v1/jobs/{id}", { params: { path: { id } } });
assert.equal(found.data?.id, id);

const wrong = await client.POST("/v1/text-to-image", { body: { prompt: "x", ...few, steps: 100000 } });
assert.equal(wrong.response.status, 422);
assert.equal(wrong.error?.errors?.[0]?.pointer, "/steps");

// @ts-expect-error: the types refuse it before the server does.
const mistyped = await client.POST("/v1/text-to-image", { body: { prompt: 3 } });
assert.equal(mistyped.response.status, 422);
console.log("made pictures through a client typed from the contract");
