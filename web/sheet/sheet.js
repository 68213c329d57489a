/**
 * The canvas that everything is seen on: the view, and one drawing for each frame in which something changed.
 *
 * Invariant: drawing changes nothing. What is drawn comes from the state, the document's bytes and the scene, and is placed by
 * sheet/transform.js alone.
 */

import { contains, intersect, union } from '../model/rect.js';
import * as overlay from './overlay.js';
import { checkerboard, readColors } from './theme.js';
import { Tiles } from './tiles.js';
import { fitted, origin, toDocument, toScreen } from './transform.js';

/** @typedef {import('../model/types.js').Rect} Rect */
/** @typedef {import('../model/types.js').State} State */
/** An image on the sheet that is not of the document yet, or no more. @typedef {{image: CanvasImageSource, rect: Rect, blur?: number}} Layer */
/**
 * What is on the sheet for a moment.
 * @typedef {object} Scene
 * @property {Layer|null} candidate
 * @property {Layer[]} previews
 * @property {Layer|null} original      the opened file, to compare with
 * @property {Rect|null} marquee
 * @property {{x: string|null, y: string|null}} snap
 * @property {{x: number, y: number}|null} pointer   CSS px in the canvas; null: no brush to show
 * @property {boolean} working           a gesture is under way
 */
/** @typedef {ReturnType<typeof createSheet>} Sheet */

/** ms of a frame that making tiles may take. */
const BUDGET_MS = 10;

/**
 * @param {object} options
 * @param {HTMLCanvasElement} options.canvas
 * @param {import('../model/store.js').Store} options.store
 * @param {import('../model/pixels.js').Pixels} options.pixels
 * @param {HTMLElement|null} options.over   gets the window's place as CSS variables
 * @param {HTMLElement|null} options.free   the part that no panel covers
 */
export function createSheet({ canvas, store, pixels, over, free }) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
  const tiles = new Tiles(pixels);
  /** @type {Scene} */
  const scene = { candidate: null, previews: [], original: null, marquee: null, snap: { x: null, y: null }, pointer: null, working: false };
  let colors = readColors();
  /** @type {CanvasPattern|null} */
  let checks = null;
  let wanted = false;

  const screen = () => ({ w: canvas.clientWidth || 1, h: canvas.clientHeight || 1, scale: window.devicePixelRatio || 1 });

  function draw() {
    wanted = false;
    const size = screen();
    const [w, h] = [Math.round(size.w * size.scale), Math.round(size.h * size.scale)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    const { state } = store;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = colors.sheet;
    context.fillRect(0, 0, w, h);
    if (!state.ready) return;
    drawPaper(state, size);
    drawImages(state, size);
    drawOverlay(state, size);
  }

  /** @param {State} state @param {import('./transform.js').Screen} size */
  function drawPaper({ document, window, view }, size) {
    checks ??= context.createPattern(checkerboard(colors, Math.round(8 * size.scale)), 'repeat');
    const o = origin(view, size);
    checks?.setTransform(new DOMMatrix([1, 0, 0, 1, o.x * size.scale, o.y * size.scale]));
    for (const rect of [document.bounds, window]) {
      if (!rect) continue;
      const box = deviceBox(rect, view, size);
      context.fillStyle = /** @type {CanvasPattern} */ (checks);
      context.fillRect(box.x, box.y, box.w, box.h);
    }
  }

  /** @param {State} state @param {import('./transform.js').Screen} size */
  function drawImages(state, size) {
    const { view, compare } = state;
    const split = compare.mode === 'slider' ? Math.round(compare.position * size.w * size.scale) : compare.mode === 'hold' ? canvas.width : 0;
    context.imageSmoothingEnabled = state.ui.smooth || view.zoom * size.scale < 1;
    context.imageSmoothingQuality = 'high';
    // After: right of the divider.
    part(split, canvas.width, () => {
      drawDocument(view, size);
      for (const layer of scene.previews) drawLayer(layer, view, size);
      if (scene.candidate) drawLayer(scene.candidate, view, size);
    });
    // Before: without what waits for a decision, or as the file was.
    part(0, split, () => {
      drawDocument(view, size);
      if (scene.original) drawLayer(scene.original, view, size);
    });
  }

  /** @param {number} from @param {number} to @param {() => void} paint */
  function part(from, to, paint) {
    if (to <= from) return;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, canvas.height);
    context.clip();
    paint();
    context.restore();
  }

  /** @param {State['view']} view @param {import('./transform.js').Screen} size */
  function drawDocument(view, size) {
    const a = toDocument(view, size, { x: 0, y: 0 });
    const visible = { x: a.x, y: a.y, w: size.w / view.zoom, h: size.h / view.zoom };
    const o = origin(view, size);
    const zoom = view.zoom * size.scale;
    const whole = tiles.draw(context, visible, (x, y) => ({ x: x * zoom + o.x * size.scale, y: y * zoom + o.y * size.scale }), zoom, performance.now() + BUDGET_MS);
    if (!whole) request();
  }

  /** @param {Layer} layer @param {State['view']} view @param {import('./transform.js').Screen} size */
  function drawLayer({ image, rect, blur }, view, size) {
    const box = deviceBox(rect, view, size);
    context.save();
    if (blur) context.filter = `blur(${Math.max(1, Math.round(Math.min(box.w, box.h) * blur))}px)`;
    context.beginPath();
    context.rect(box.x, box.y, box.w, box.h);
    context.clip();
    context.drawImage(image, box.x, box.y, box.w, box.h);
    context.restore();
  }

  /** @param {State} state @param {import('./transform.js').Screen} size */
  function drawOverlay(state, size) {
    const { view, window, tool, brush } = state;
    context.setTransform(size.scale, 0, 0, size.scale, 0, 0);
    const box = toScreen(view, size, lit(state));
    const looking = state.staging !== null || state.compare.mode !== 'off';
    overlay.drawVeil(context, box, size, colors);
    const focused = document.activeElement === canvas && canvas.matches(':focus-visible');
    const snap = [scene.snap.x, scene.snap.y].filter((name) => name && /\d/.test(name)).map((name) => `${name} %`);
    const label = scene.working && tool === 'window' ? [`${window.w} × ${window.h}`, ...snap].join(' · ') : labelOf(state);
    overlay.drawFrame(context, box, colors, { handles: tool === 'window' && !looking, label: looking ? '' : label, focused });
    if (scene.marquee) overlay.drawMarquee(context, toScreen(view, size, scene.marquee));
    if (state.compare.mode === 'slider') overlay.drawDivider(context, state.compare.position * size.w, size.h, colors);
    if (scene.pointer && (tool === 'eraser' || tool === 'restore')) overlay.drawBrush(context, scene.pointer, brush.size, brush.softness);
    if (!over) return;
    for (const name of /** @type {const} */ (['x', 'y', 'w', 'h'])) over.style.setProperty(`--win-${name}`, `${box[name]}px`);
  }

  /** What is not dimmed: the window, or what is made beyond it. @param {State} state @returns {Rect} */
  function lit({ window, staging }) {
    const [from, made] = staging ? [staging.target.window, staging.target.rect] : [window, scene.previews.find(({ rect }) => !contains(window, rect))?.rect];
    return /** @type {Rect} */ (made && !intersect(from, made) ? made : union(from, made ?? null));
  }

  function request() {
    if (wanted) return;
    wanted = true;
    requestAnimationFrame(draw);
  }

  function themeChanged() {
    colors = readColors();
    checks = null;
    request();
  }

  /** @returns {{top: number, right: number, bottom: number, left: number}} */
  function margins() {
    const own = canvas.getBoundingClientRect();
    const room = free?.getBoundingClientRect();
    const label = 40;
    if (!room || room.width < 50 || room.height < 50) return { top: label, right: 16, bottom: 16, left: 16 };
    return { top: room.top - own.top + label, right: own.right - room.right + 16, bottom: own.bottom - room.bottom + 16, left: room.left - own.left + 16 };
  }

  /** The room for the view has changed. */
  let onRoom = () => {};
  const observer = new ResizeObserver(() => {
    request();
    if (!scene.working) onRoom();
  });
  observer.observe(canvas);
  if (free) observer.observe(free);
  document.addEventListener('kd:theme', themeChanged);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', themeChanged);
  canvas.addEventListener('focus', request);
  canvas.addEventListener('blur', request);
  store.subscribe(request);

  return {
    canvas,
    scene,
    screen,
    request,
    /** @param {() => void} listener */
    listenToRoom(listener) {
      onRoom = listener;
    },
    /** @param {Rect|null} rect */
    invalidate(rect) {
      tiles.invalidate(rect);
      request();
    },
    /** A view that shows a rectangle in the part that no panel covers. @param {Rect} rect */
    viewOf: (rect) => fitted(rect, screen(), margins()),
    /** @param {{clientX: number, clientY: number}} event */
    inCanvas(event) {
      const box = canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    },
    /** A small copy of what is on the sheet. @param {Rect} rect @param {number} side  px, at the most @returns {Promise<Blob>} */
    picture(rect, side) {
      const zoom = Math.min(1, side / Math.max(rect.w, rect.h));
      const small = document.createElement('canvas');
      Object.assign(small, { width: Math.max(1, Math.round(rect.w * zoom)), height: Math.max(1, Math.round(rect.h * zoom)) });
      const paint = /** @type {CanvasRenderingContext2D} */ (small.getContext('2d'));
      tiles.draw(paint, rect, (x, y) => ({ x: (x - rect.x) * zoom, y: (y - rect.y) * zoom }), zoom);
      return new Promise((resolve, reject) => small.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('canvas')))));
    },
    /** @param {{x: number, y: number}} point  CSS px in the canvas */
    toDocument: (point) => toDocument(store.state.view, screen(), point),
  };
}

/**
 * Whole device px of a rectangle.
 * @param {Rect} rect
 * @param {import('./transform.js').View} view
 * @param {import('./transform.js').Screen} size
 */
function deviceBox(rect, view, size) {
  const box = toScreen(view, size, rect);
  const [x, y] = [Math.round(box.x * size.scale), Math.round(box.y * size.scale)];
  return { x, y, w: Math.round((box.x + box.w) * size.scale) - x, h: Math.round((box.y + box.h) * size.scale) - y };
}

/** @param {State} state */
function labelOf({ window, ratio }) {
  return `${window.w} × ${window.h}${ratio === 'free' ? '' : ` · ${ratio}`}`;
}
