/**
 * Puts the editor together: the store, the document, the sheet, the actions, the panels.
 *
 * Invariant: the only file that knows everyone; it composes and decides nothing.
 */

import { createEdit } from './actions/edit.js';
import { showDocument } from './actions/context.js';
import { createFiles } from './actions/files.js';
import { createFusion } from './actions/fusion.js';
import { createGenerate } from './actions/generate.js';
import { createJobEvents } from './actions/jobs.js';
import { createPersist } from './actions/persist.js';
import { createPictures } from './actions/pictures.js';
import { createPlan } from './actions/plan.js';
import { createSettings } from './actions/settings.js';
import { createStaging } from './actions/staging.js';
import { start } from './actions/start.js';
import { createSteps } from './actions/steps.js';
import { createClient } from './api/client.js';
import { createJobs } from './api/jobs.js';
import { createKeys } from './api/keys.js';
import { Document } from './model/document.js';
import { INITIAL } from './model/initial.js';
import { createStore } from './model/store.js';
import { createPanels } from './panels/index.js';
import { describeSheet } from './sheet/describe.js';
import { listenToDrops } from './sheet/drop.js';
import { listenToPointers } from './sheet/input.js';
import { listenToKeys } from './sheet/keyboard.js';
import { createSheet } from './sheet/sheet.js';
import { createAutosave } from './store/autosave.js';
import { openDb } from './store/db.js';
import { createTools } from './tools/index.js';
import { createEncoder } from './workers/encoder.js';

/** @typedef {import('./actions/context.js').Context} Context */

const store = createStore(INITIAL);
const doc = new Document();
const keys = createKeys();
const db = await openDb();

const stage = /** @type {HTMLElement} */ (document.getElementById('sheet'));
const canvas = document.createElement('canvas');
canvas.id = 'canvas';
canvas.tabIndex = 0;
stage.prepend(canvas);
const sheet = createSheet({ canvas, store, pixels: doc.pixels, over: document.getElementById('over'), free: document.getElementById('free') });
doc.pixels.onChange = (/** @type {import('./model/types.js').Rect|null} */ rect) => sheet.invalidate(rect);

/** The dialog's answer that requests wait for. @type {((given: boolean) => void)|null} */
let keyWanted = null;
const client = createClient({
  getKey: keys.get,
  onUnauthorized: () =>
    new Promise((resolve) => {
      keyWanted = resolve;
      store.set({ key: { needed: true, present: false, wrong: keys.get() !== '' }, ui: { ...store.state.ui, dialog: 'key' } });
    }),
});

const context = /** @type {Context} */ (/** @type {unknown} */ ({ store, doc, sheet, client, db, keys, encode: createEncoder() }));
const inner = /** @type {Context['inner']} */ ({
  keyGiven(given) {
    if (!keyWanted && given) void inner.know();
    keyWanted?.(given);
    keyWanted = null;
  },
});
context.inner = inner;

const plan = createPlan(context);
const staging = createStaging(context);
const persist = createPersist(context);
const pictures = createPictures(context);
const jobEvents = createJobEvents(context);
Object.assign(inner, {
  plan: plan.plan,
  coverage: plan.coverage,
  settle: staging.settle,
  stage: staging.stage,
  reshow: staging.reshow,
  restage: jobEvents.restage,
  pictureFile: pictures.pictureFile,
  useParameters: pictures.useParameters,
  leave: persist.leave,
  showStored: persist.showStored,
  lastDocument: persist.lastDocument,
  restoreChoices: persist.restoreChoices,
  claimDocument: persist.claimDocument,
  storeFailed: persist.storeFailed,
  collectGarbage: persist.collectGarbage,
});

context.autosave = createAutosave({ save: persist.saveDocument, onError: persist.storeFailed, note: persist.note });
context.jobs = createJobs({
  client,
  db,
  onChange: jobEvents.changed,
  onGone: jobEvents.gone,
  keptImage: async (job, index) => (await db.getBlob(`picture/${job}/${index}`)) ?? null,
  onOnline: (online) => store.set({ online }),
  onStoreError: persist.storeFailed,
});
doc.onChange = () => {
  showDocument(store, doc);
  context.autosave.schedule();
};

const actions = {
  ...createSettings(context),
  ...createEdit(context),
  ...createSteps(context),
  ...createGenerate(context),
  ...staging.actions,
  ...createFiles(context, persist.importDocument),
  ...persist.actions,
  ...pictures.actions,
  ...createFusion(context),
};
context.actions = actions;

function canEdit() {
  if (store.state.document.readOnly) {
    actions.announce('state.read_only');
    return false;
  }
  inner.settle();
  return true;
}

const held = { space: false };
const tools = createTools({ store, doc, sheet, actions, canEdit });
const pointers = listenToPointers({ sheet, store, actions, tools, held });
listenToKeys({ sheet, store, actions, held, pointers });
listenToDrops(actions);
createPanels({ store, actions });
describeSheet(canvas, store);
addEventListener('online', () => context.jobs.wake());
await start(context);
