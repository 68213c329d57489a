// PNG files of tests: made from pixels, and read back. 8 bits, not interlaced, which is what browsers and the server write.

import * as zlib from "node:zlib";

const { deflateSync, inflateSync } = zlib;

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 };

/** The file's chunks: [type, data]. */
function* chunks(file) {
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    yield [file.toString("latin1", at + 4, at + 8), file.subarray(at + 8, at + 8 + length)];
    at += 12 + length;
  }
}

const paeth = (a, b, c) => {
  const p = a + b - c;
  const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
};

/** A line as it was before its filter, in place; one function a filter, since large files have many bytes. */
function unfilter(filter, line, above, channels) {
  const left = (x) => (x < channels ? 0 : line[x - channels]);
  if (filter === 1) for (let x = channels; x < line.length; x++) line[x] += line[x - channels];
  else if (filter === 2) for (let x = 0; x < line.length; x++) line[x] += above[x];
  else if (filter === 3) for (let x = 0; x < line.length; x++) line[x] += (left(x) + above[x]) >> 1;
  else for (let x = 0; x < line.length; x++) line[x] += paeth(left(x), above[x], x < channels ? 0 : above[x - channels]);
}

/** Width, height and RGBA bytes of a file. */
export function decode(file) {
  const parts = [...chunks(file)];
  const header = parts.find(([type]) => type === "IHDR")[1];
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const channels = CHANNELS[header[9]];
  if (header[8] !== 8 || !channels || header[12]) throw new Error("a kind of PNG that tests do not read");
  const raw = inflateSync(Buffer.concat(parts.filter(([type]) => type === "IDAT").map(([, data]) => data)));
  const stride = width * channels;
  const lines = Buffer.alloc(height * stride);
  for (let y = 0; y < height; y++) {
    const from = y * (stride + 1);
    const line = lines.subarray(y * stride, (y + 1) * stride);
    raw.copy(line, 0, from + 1, from + 1 + stride);
    if (raw[from]) unfilter(raw[from], line, y ? lines.subarray((y - 1) * stride, y * stride) : Buffer.alloc(stride), channels);
  }
  const rgba = channels === 4 ? lines : Buffer.alloc(width * height * 4);
  for (let i = 0; i < width * height && channels < 4; i++) {
    const at = i * channels;
    const step = channels < 3 ? 0 : 1;
    rgba[i * 4] = lines[at];
    rgba[i * 4 + 1] = lines[at + step];
    rgba[i * 4 + 2] = lines[at + step * 2];
    rgba[i * 4 + 3] = channels % 2 ? 255 : lines[at + 1];
  }
  return { width, height, rgba, at: (x, y) => [...rgba.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)] };
}

/** A file of this size; `color(x, y)` gives [r, g, b]; lines come in groups of `alike` that are the same. */
export function encode(width, height, color, alike = 1) {
  const line = width * 3 + 1;
  const raw = Buffer.alloc(height * line);
  for (let y = 0; y < height; y++) {
    // A colour that asks for no place is the same in every line.
    if (y && (color.length === 0 || y % alike)) raw.copyWithin(y * line, (y - 1) * line, y * line);
    else {
      for (let x = 0, at = y * line + 1; x < width; x++) {
        const [r, g, b] = color(x, y);
        raw[at++] = r;
        raw[at++] = g;
        raw[at++] = b;
      }
    }
  }
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE((zlib.crc32 ?? ownCrc)(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("IDAT", deflateSync(raw, { level: raw.length > 1e6 ? 1 : 6 })), chunk("IEND", Buffer.alloc(0))]);
}

/** Node before 22 has no crc32. */
function ownCrc(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** A photo of sorts, in which every pixel tells where it was. */
export const photo = (width, height) =>
  encode(width, height, (x, y) => [(x * 37 + y * 3) % 256, (y * 53 + x * 5) % 256, (x * y + 90) % 256]);

/** Whether a pixel is the same in both, where one lies at (dx, dy) in the other. */
export function differing(one, other, { dx = 0, dy = 0 } = {}) {
  const found = [];
  for (let y = 0; y < one.height; y++) {
    for (let x = 0; x < one.width; x++) {
      if (one.at(x, y).some((value, i) => value !== other.at(x + dx, y + dy)?.[i])) found.push([x, y]);
    }
  }
  return found;
}

/** The smallest rectangle around points: {x, y, w, h}. */
export function bounds(points) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, w: Math.max(...xs) - x + 1, h: Math.max(...ys) - y + 1 };
}
