/**
 * From the browser's events to tools and actions: pointers, the wheel, keys.
 *
 * Invariant: decides nothing itself; sheet/gestures.js, wheel.js and keys.js do, which are pure. A pointer that is down is
 * captured, so a stroke that leaves the canvas goes on, and one that the browser takes away is canceled.
 */

import { Gestures } from './gestures.js';
import { meaning } from './wheel.js';

/**
 * @param {object} options
 * @param {import('./sheet.js').Sheet} options.sheet
 * @param {import('../model/store.js').Store} options.store
 * @param {import('../actions/types.js').Actions} options.actions
 * @param {Record<string, import('../tools/types.js').Tool>} options.tools
 * @param {{space: boolean}} options.held
 */
export function listenToPointers({ sheet, store, actions, tools, held }) {
  const { canvas, scene } = sheet;
  const gestures = new Gestures();
  /** The tool of the stroke under way: changing the tool does not change hands in the middle. */
  let active = tools.window;
  let grabbing = false;

  /** @param {PointerEvent} event @param {'down'|'move'|'up'|'cancel'} type @returns {import('./gestures.js').Input} */
  function inputOf(event, type) {
    const { x, y } = sheet.inCanvas(event);
    return {
      type, x, y, id: event.pointerId, pointer: event.pointerType, pressure: event.pressure, button: event.button,
      space: held.space, alt: event.altKey, shift: event.shiftKey, tool: store.state.tool, time: event.timeStamp,
    };
  }

  /** @param {import('./gestures.js').Point} point @returns {import('../tools/types.js').ToolPoint} */
  function toolPoint({ x, y, ...rest }) {
    return { ...sheet.toDocument({ x, y }), screenX: x, screenY: y, ...rest };
  }

  /** @param {import('./gestures.js').Intent[]} intents */
  function follow(intents) {
    for (const intent of intents) {
      if (intent.do === 'down') {
        active = tools[store.state.tool];
        scene.working = true;
        document.documentElement.toggleAttribute('data-drawing', true);
        active.down(toolPoint(intent.point));
      } else if (intent.do === 'move') active.move(toolPoint(intent.point));
      else if (intent.do === 'up' || intent.do === 'cancel') {
        scene.working = false;
        document.documentElement.toggleAttribute('data-drawing', false);
        if (intent.do === 'up') active.up(toolPoint(intent.point));
        else active.cancel();
      } else if (intent.do === 'pan') {
        const { view } = store.state;
        store.set({ view: { ...view, x: view.x - intent.dx / view.zoom, y: view.y - intent.dy / view.zoom } });
      } else if (intent.do === 'zoom') actions.zoomBy(intent.factor, { x: intent.x, y: intent.y });
      else if (intent.do === 'undo') {
        // Two fingers that rest for a moment must not throw candidates away.
        if (!store.state.staging) actions.undo();
      }
      else if (intent.do === 'grab') grabbing = intent.on;
    }
    sheet.request();
  }

  /** @param {PointerEvent} event */
  function hover(event) {
    scene.pointer = event.pointerType === 'touch' && !gestures.busy ? null : sheet.inCanvas(event);
    const point = toolPoint({ ...sheet.inCanvas(event), pressure: 0, pointer: event.pointerType, alt: event.altKey, shift: event.shiftKey, opposite: false });
    const cursor = grabbing ? 'grabbing' : held.space ? 'grab' : tools[store.state.tool].cursor(point);
    if (canvas.style.cursor !== cursor) canvas.style.setProperty('cursor', cursor);
    sheet.request();
  }

  canvas.style.setProperty('touch-action', 'none');
  canvas.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    try {
      canvas.setPointerCapture(event.pointerId);
    } catch {
      // A pointer that a script made up cannot be captured.
    }
    follow(gestures.handle(inputOf(event, 'down')));
    hover(event);
  });
  canvas.addEventListener('pointermove', (event) => {
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length > 0 ? all : [event]) follow(gestures.handle(inputOf(one, 'move')));
    hover(event);
  });
  canvas.addEventListener('pointerup', (event) => {
    follow(gestures.handle(inputOf(event, 'up')));
    hover(event);
  });
  canvas.addEventListener('pointercancel', (event) => follow(gestures.handle(inputOf(event, 'cancel'))));
  canvas.addEventListener('pointerleave', () => {
    scene.pointer = null;
    sheet.request();
  });
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      const turn = { deltaX: event.deltaX, deltaY: event.deltaY, deltaMode: event.deltaMode, ctrl: event.ctrlKey || event.metaKey, shift: event.shiftKey };
      const what = meaning(turn, store.state.ui.wheel);
      if ('zoom' in what) return actions.zoomBy(what.zoom, sheet.inCanvas(event));
      const { view } = store.state;
      store.set({ view: { ...view, x: view.x + what.dx / view.zoom, y: view.y + what.dy / view.zoom } });
    },
    { passive: false },
  );
  addEventListener('blur', () => follow(gestures.reset()));

  return { escape: () => follow(gestures.reset()), busy: () => gestures.busy };
}
