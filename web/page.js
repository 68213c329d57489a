// A prompt, and what is drawn of it.

const form = document.querySelector("form"), bar = document.querySelector("progress");
const message = document.getElementById("message"), pictures = document.getElementById("pictures");

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part; !(part = await reader.read()).done;) {
    text += part.value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split("\n");
      const field = name => lines.filter(l => l.startsWith(name + ":")).map(l => l.slice(name.length + 1).trim()).join("\n");
      if (field("data")) yield { name: field("event"), data: JSON.parse(field("data")) };
    }
  }
}

form.addEventListener("submit", async event => {
  event.preventDefault();
  const body = { prompt: form.prompt.value };
  if (form.seed.value) body.seed = Number(form.seed.value);
  const image = new Image();
  image.alt = body.prompt;
  message.textContent = "";
  bar.hidden = false;
  try {
    const response = await fetch("v1/text-to-image", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        ...(form.key.value && { "Authorization": `Bearer ${form.key.value}` }),
      },
      body: JSON.stringify({ ...body, preview_interval: 5 }),
    });
    if (!response.ok) {
      // Servers that want keys say so.
      if (response.status === 401) form.key.hidden = false;
      const problem = await response.json();
      throw new Error((problem.errors ?? []).map(e => `${e.pointer} ${e.message}`).join("; ") || problem.detail);
    }
    for await (const { name, data } of events(response)) {
      if (name === "progress") bar.value = data.percent;
      if (name === "preview") image.src = "data:image/png;base64," + data.b64_json;
      if (name === "failed") throw new Error(data.error?.detail ?? "canceled");
      if (name === "completed") {
        image.src = "data:image/png;base64," + data.images[0].b64_json;
        image.title = `seed ${data.images[0].seed}`;
      }
      if (image.src && !image.isConnected) pictures.prepend(image);
    }
  } catch (error) {
    message.textContent = error.message;
  } finally {
    bar.hidden = true;
  }
});
