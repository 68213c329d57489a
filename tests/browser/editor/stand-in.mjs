// A server of the published model's sizes that draws one colour at once: geometry of large sheets without its weights.
// Invariant: it answers by the same contract; what it says of itself is what the real server says with a model of 768 px.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { encode } from "./png.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".webmanifest": "application/manifest+json" };
export const COLOR = [10, 200, 30];

const CAPABILITIES = {
  model: "stand-in",
  modes: ["text-to-image", "image-to-image", "image-variations", "image-fusion", "text-image-fusion", "inpainting", "outpainting"].map((mode) => ({ mode, available: true })),
  limits: {
    max_side: 2048, max_pixels: 4194304, max_input_side: 8192, max_input_pixels: 67108864, max_steps: 500, max_pictures: 10, max_prompt_chars: 32000,
    size_policy: "refuse", max_enlarged_pixels: 4194304, max_body_bytes: 33554432, max_feather: 256,
  },
  sizes: {
    default_width: 768, default_height: 768, step: 64,
    aspect_ratios: [["1:1", 768, 768], ["2:3", 640, 960], ["3:2", 960, 640], ["9:16", 576, 1024], ["16:9", 1024, 576]].map(([name, width, height]) => ({ name, width, height })),
  },
  schedulers: ["ddim"], priors: ["diffusion"], output_formats: ["png", "jpeg", "webp"], priorities: ["normal"],
  example_prompts: ["a fox"], examples: [{ en: "a fox", ru: "лиса" }],
  defaults: { n: 1, steps: 50, guidance_scale: 4, strength: 0.3, prior: { kind: "diffusion", steps: 25, guidance_scale: 4 }, output_format: "png" },
  keys_required: false,
};

/** The size of the image that a request wants: its own words, or the size of what was sent. */
function sizeOf(body, type) {
  if (type.includes("json")) {
    const { width, height, aspect_ratio: ratio } = JSON.parse(body);
    const named = CAPABILITIES.sizes.aspect_ratios.find(({ name }) => name === ratio);
    return { width: width ?? named?.width ?? 768, height: height ?? named?.height ?? 768 };
  }
  const at = body.indexOf("IHDR");
  return { width: body.readUInt32BE(at + 4), height: body.readUInt32BE(at + 8) };
}

/** Start it on the files of a folder. */
export async function startStandIn(web) {
  const jobs = new Map();
  const requests = [];
  const server = createServer(async (asked, answer) => {
    const { pathname } = new URL(asked.url, "http://x");
    const json = (status, value) => answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (asked.method === "POST") {
      const parts = [];
      for await (const part of asked) parts.push(part);
      const body = Buffer.concat(parts);
      const { width, height } = sizeOf(body, asked.headers["content-type"]);
      requests.push({ path: pathname, bytes: body.length, width, height });
      const id = crypto.randomUUID();
      jobs.set(id, encode(width, height, () => COLOR));
      const parameters = { prompt: "", seed: 1, width, height, steps: 50 };
      return json(202, { id, mode: pathname.slice(4), status: "succeeded", parameters, warnings: [], images: [{ index: 0, seed: 1, width, height, media_type: "image/png" }] });
    }
    const image = /^\/v1\/jobs\/([^/]+)\/images\/0/.exec(pathname);
    if (image) return answer.writeHead(200, { "content-type": "image/png" }).end(jobs.get(image[1]));
    if (pathname === "/v1/capabilities") return json(200, CAPABILITIES);
    if (pathname === "/v1/styles" || pathname === "/v1/jobs") return json(200, { data: [] });
    if (pathname === "/v1/jobs/events") return answer.writeHead(200, { "content-type": "text/event-stream" }).write(":\n\n");
    const name = pathname === "/" ? "index.html" : normalize(pathname.replace(/^\/assets\//, ""));
    try {
      answer.writeHead(200, { "content-type": TYPES[extname(name)] ?? "text/plain" }).end(await readFile(join(web, name)));
    } catch {
      answer.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
