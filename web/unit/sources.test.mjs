// The server leaves out lines that are only comment: none may be part of a text.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith('.js') && !name.startsWith('vendor'));

test('no line of a template text looks like a comment', () => {
  for (const name of files) {
    let inside = false;
    let ticks = 0;
    readFileSync(root + name, 'utf8').split('\n').forEach((line, number) => {
      const text = line.trim();
      const starts = !inside && text.startsWith('/*') && (!text.includes('*/') || text.indexOf('*/') + 2 === text.length);
      if (inside || starts || text.startsWith('//')) {
        assert.equal(ticks % 2, 0, `${name}:${number + 1} is within a template`);
        if (inside || starts) inside = !text.endsWith('*/');
        return;
      }
      ticks += (line.match(/(?<!\\)`/g) ?? []).length;
    });
  }
});

test('files are short, and say at their top why they exist and what stays true', () => {
  for (const name of files) {
    const text = readFileSync(root + name, 'utf8');
    assert.ok(text.split('\n').length <= 301, `${name} is too long`);
    assert.match(text, /^\/\*\*\n \* [A-Z]/, name);
    assert.match(text.slice(0, 1200), /Invariant: /, name);
  }
});
