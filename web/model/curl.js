/**
 * A request as a command line, to be repeated without this page.
 *
 * Invariant: nothing of the API key is in it, and no text of the person can break out of its quotes.
 */

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * @param {string} url
 * @param {import('./types.js').Mode} mode
 * @param {Record<string, any>} fields
 * @param {boolean} key  the server asks for one
 */
export function curl(url, mode, fields, key) {
  const { response_format: _, preview_interval: __, ...own } = fields;
  const lines = [`curl ${quoted(url)}`];
  if (key) lines.push('-H "Authorization: Bearer $KANDINSKY_KEY"');
  lines.push("-H 'Accept: image/png'");
  if (mode === 'inpainting' || mode === 'outpainting' || (mode !== 'text-to-image' && !('image' in own) && !own.images && !own.inputs)) {
    for (const [name, value] of Object.entries(own)) lines.push(`-F ${quoted(`${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`)}`);
    lines.push("-F 'image=@image.png'");
    if (mode === 'inpainting') lines.push("-F 'mask=@mask.png'");
  } else {
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(own))}`);
  }
  lines.push('-o image.png');
  return lines.join(' \\\n  ');
}
