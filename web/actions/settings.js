/**
 * What the person chose: for images, for the page, and what is said to them.
 *
 * Invariant: every choice is remembered in this browser; the API key only as it was told to be.
 */

import { randomSeed } from '../model/request.js';
import { DEFAULTS, FIELDS } from '../model/settings.js';

/** @typedef {import('../model/types.js').Settings} Settings */

const MOST_NOTICES = 4;

/**
 * @param {import('./context.js').Context} context
 * @returns {import('./types.js').SettingActions}
 */
export function createSettings(context) {
  const { store, db, keys, inner } = context;
  let notices = 0;

  /** @param {Partial<Settings>} settings */
  function setSettings(settings) {
    const fieldErrors = { ...store.state.fieldErrors };
    for (const name of Object.keys(settings)) delete fieldErrors[FIELDS[name] ?? name];
    store.set({ settings: { ...store.state.settings, ...settings }, fieldErrors });
    context.autosave.schedule();
  }

  return {
    setSettings,
    rollSeed: () => setSettings({ seed: randomSeed(), seedLocked: true }),
    resetSettings: () => setSettings({ ...DEFAULTS, prompt: store.state.settings.prompt }),
    setUi(change) {
      const ui = { ...store.state.ui, ...change };
      store.set({ ui });
      const { dialog: _, ...kept } = ui;
      void db.putSetting('ui', kept).catch(() => {});
    },
    openDialog(dialog) {
      if (dialog === 'none' && store.state.ui.dialog === 'key') inner.keyGiven(false);
      store.set({ ui: { ...store.state.ui, dialog } });
    },
    async setKey(key, remember) {
      keys.set(key, remember);
      store.set({ key: { needed: true, present: key !== '', wrong: false }, ui: { ...store.state.ui, dialog: 'none' } });
      inner.keyGiven(key !== '');
    },
    dismissNotice: (id) => store.set({ notices: store.state.notices.filter((notice) => notice.id !== id) }),
    notify(notice) {
      notices += 1;
      const others = store.state.notices.filter(({ key }) => key !== notice.key);
      store.set({ notices: [...others, { ...notice, id: notices }].slice(-MOST_NOTICES) });
    },
    announce: (key, params = {}) => store.set({ announcement: { key, params } }),
  };
}
