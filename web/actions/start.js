/**
 * What happens when the page opens: choices, what the server can do, the document and jobs of last time.
 *
 * Invariant: the sheet is there and can be drawn on even if the server is out of reach; what is missing is asked for again.
 */

import { detectLanguage, setLanguage } from '../i18n/index.js';
import { problemOf } from '../api/problem.js';
import { canvasIsFaithful } from '../sheet/images.js';

const AGAIN_MS = 5000;
/** Older than this, what is known of the server is asked for when the page is looked at again, ms. */
const OLD_MS = 60_000;

/** @param {import('./context.js').Context} context */
export async function start(context) {
  const { store, doc, db, client, inner } = context;
  const ui = { ...store.state.ui, language: detectLanguage(), ...(await db.getSetting('ui').catch(() => null)), dialog: /** @type {const} */ ('none') };
  store.set({ ui, canvasAltered: !canvasIsFaithful(), storage: { full: false, available: db.persistent }, key: { ...store.state.key, present: context.keys.get() !== '' } });
  await setLanguage(ui.language);
  const before = store.state.settings;
  const stored = await inner.lastDocument().catch(() => undefined);
  await inner.restoreChoices(stored, before).catch(() => {});
  store.set({ pictures: (await db.getPictures().catch(() => [])).sort((a, b) => b.createdAt - a.createdAt) });

  let asking = false;
  let asked = 0;
  store.subscribe(({ online }, before) => {
    if (online && !before.online) void know();
  });
  addEventListener('focus', () => {
    // Who has no key is not asked for one each time.
    if (store.state.capabilities && Date.now() - asked > OLD_MS) void know();
  });
  inner.know = know;
  const known = know();
  if (stored) await inner.showStored(stored);
  else {
    await known;
    context.actions.newDocument();
  }
  store.set({ ready: true });
  context.actions.fit(stored ? 'sheet' : 'window');
  await known;
  await context.jobs.restore();
  await inner.collectGarbage().catch(() => {});

  /** Ask what the server can do, until it answers. */
  async function know() {
    if (asking) return;
    asking = true;
    asked = Date.now();
    const before = store.state.capabilities;
    try {
      const capabilities = await client.capabilities();
      const { format } = store.state.settings;
      const known = capabilities.output_formats.includes(format) ? format : capabilities.output_formats[0];
      store.set({ capabilities, settings: { ...store.state.settings, format: known }, online: true });
      // The window waited for the model's size, or has another model's; a sheet of last time has its own, and jobs that belong to it.
      const { default_width: size } = capabilities.sizes;
      if ((before ? before.sizes.default_width !== size : !stored && store.state.ready) && doc.patches.length === 0) context.actions.newDocument();
      store.set({ styles: await client.styles() });
    } catch (error) {
      console.warn(error);
      const { status, type } = problemOf(error);
      store.set({ online: type !== 'network' });
      // A key is asked for once; after that the person says when.
      if (status !== 401) setTimeout(know, AGAIN_MS);
    } finally {
      asking = false;
    }
  }
}
