// Keys and hands.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHORTCUTS, find } from '../sheet/keys.js';
import { Gestures } from '../sheet/gestures.js';
import { History } from '../model/history.js';

const press = (key, code, mods = {}) => ({ key, code, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...mods });

test('shortcuts work on a Cyrillic layout by place, and on others by letter', () => {
  assert.equal(find(press('я', 'KeyZ', { ctrlKey: true }), false)?.id, 'undo');
  assert.equal(find(press('Я', 'KeyZ', { ctrlKey: true, shiftKey: true }), false)?.id, 'redo');
  assert.equal(find(press('у', 'KeyE'), false)?.id, 'eraser');
  assert.equal(find(press('х', 'BracketLeft'), false)?.id, 'smaller');
  assert.equal(find(press('ю', 'Period'), false)?.id, 'next');
  // French: the key that is Z in place gives W; the letter counts.
  assert.equal(find(press('z', 'KeyW', { ctrlKey: true }), false)?.id, 'undo');
  assert.equal(find(press('w', 'KeyZ', { ctrlKey: true }), false), undefined);
  assert.equal(find(press('?', 'Minus', { shiftKey: true }), false)?.id, 'help');
  assert.equal(find(press(',', 'Slash', { shiftKey: true }), false)?.id, 'help');
});

test('in a text field only what is meant for everywhere works', () => {
  assert.equal(find(press('e', 'KeyE'), true), undefined);
  assert.equal(find(press('z', 'KeyZ', { ctrlKey: true }), true), undefined);
  assert.equal(find(press('Enter', 'Enter', { ctrlKey: true }), true)?.id, 'generate');
  assert.equal(find(press('Enter', 'Enter', { metaKey: true }), true)?.id, 'generate');
});

test('no key has two meanings', () => {
  const keys = SHORTCUTS.flatMap((shortcut) => shortcut.keys);
  assert.equal(new Set(keys).size, keys.length);
});

const event = (type, id, x, y, over = {}) => ({
  type, id, x, y, pointer: 'touch', pressure: 0.5, button: 0, space: false, alt: false, shift: false, tool: 'eraser', time: 0, ...over,
});
const kinds = (intents) => intents.map((intent) => intent.do);

test('one finger draws, a second one cancels at once, and two zoom at their middle', () => {
  const hands = new Gestures();
  assert.deepEqual(kinds(hands.handle(event('down', 1, 100, 100))), ['down']);
  assert.deepEqual(kinds(hands.handle(event('down', 2, 200, 100, { time: 50 }))), ['cancel']);
  const [pan, zoom] = hands.handle(event('move', 2, 300, 100, { time: 60 }));
  assert.deepEqual([pan.do, pan.dx, zoom.do, zoom.factor, zoom.x], ['pan', 50, 'zoom', 2, 200]);
  assert.deepEqual(kinds(hands.handle(event('up', 2, 300, 100, { time: 900 }))), []);
  assert.deepEqual(kinds(hands.handle(event('move', 1, 10, 10, { time: 910 }))), []);
  hands.handle(event('up', 1, 10, 10, { time: 920 }));
  assert.deepEqual(kinds(hands.handle(event('down', 3, 1, 1, { time: 999 }))), ['down']);
});

test('a stroke that was drawn for a while is finished by a second finger', () => {
  const hands = new Gestures();
  hands.handle(event('down', 1, 0, 0));
  hands.handle(event('move', 1, 90, 0, { time: 900 }));
  assert.deepEqual(kinds(hands.handle(event('down', 2, 50, 50, { time: 1000 }))), ['up']);
});

test('a tap of two fingers undoes', () => {
  const hands = new Gestures();
  hands.handle(event('down', 1, 0, 0));
  hands.handle(event('down', 2, 50, 0, { time: 20 }));
  assert.deepEqual(kinds(hands.handle(event('up', 1, 0, 0, { time: 120 }))), ['undo']);
  assert.deepEqual(kinds(hands.handle(event('up', 2, 50, 0, { time: 130 }))), []);
});

test('once a pen was seen a finger moves the sheet', () => {
  const hands = new Gestures();
  const pen = { pointer: 'pen', pressure: 0.4 };
  assert.deepEqual(hands.handle(event('down', 9, 1, 1, pen))[0].point.pressure, 0.4);
  hands.handle(event('up', 9, 1, 1, pen));
  hands.handle(event('down', 1, 0, 0));
  assert.deepEqual(hands.handle(event('move', 1, 5, 7)), [{ do: 'pan', dx: 5, dy: 7 }]);
});

test('space and the middle button pan; right button, Alt and the eraser end turn the brush around', () => {
  const mouse = { pointer: 'mouse' };
  for (const over of [{ button: 1 }, { space: true }, { tool: 'hand' }]) {
    const hands = new Gestures();
    assert.deepEqual(hands.handle(event('down', 1, 0, 0, { ...mouse, ...over })), [{ do: 'grab', on: true }]);
    assert.deepEqual(kinds(hands.handle(event('move', 1, 4, 0, mouse))), ['pan']);
  }
  for (const over of [{ button: 2 }, { alt: true }, { button: 5, pointer: 'pen' }]) {
    const [down] = new Gestures().handle(event('down', 1, 0, 0, { ...mouse, ...over }));
    assert.equal(down.point.opposite, true);
  }
});

test('history is bounded in steps and bytes, and drops the oldest', () => {
  const history = new History({ mostSteps: 5, mostBytes: 100, now: () => 0 });
  const log = [];
  const push = (key, bytes, more = {}) => history.push({ key, params: {}, bytes, undo: () => log.push(`-${key}`), redo: () => log.push(`+${key}`), ...more });
  for (let i = 0; i < 8; i++) push(`s${i}`, 1);
  assert.deepEqual(history.steps().map(({ key }) => key), ['s2', 's3', 's4', 's5', 's6', 's7']);
  push('big', 98);
  assert.deepEqual(history.steps().map(({ key }) => key), ['s5', 's6', 's7', 'big']);
  history.goTo(1);
  assert.deepEqual(log, ['-big', '-s7']);
  push('other', 1);
  assert.equal(history.redo(), false);
  assert.equal(history.bytes, 2);
  push('huge', 1000);
  assert.equal(history.undo(), true, 'the newest step can be undone however large it is');
});

test('nudges that follow each other are one step', () => {
  let now = 0;
  const history = new History({ now: () => now });
  let x = 0;
  const nudge = () => {
    const was = x;
    x += 1;
    const to = x;
    history.push({ key: 'n', params: {}, bytes: 1, merge: 'nudge', undo: () => { x = was; }, redo: () => { x = to; } });
  };
  nudge();
  nudge();
  now = 5000;
  nudge();
  assert.equal(history.steps().length, 3);
  history.undo();
  history.undo();
  assert.equal(x, 0);
  history.redo();
  assert.equal(x, 2);
});
