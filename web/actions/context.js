/**
 * What actions share, and how the document comes into the state.
 *
 * Invariant: the document is the truth about patches, window and steps; the state shows it after each of its changes.
 */

/**
 * @typedef {object} Context
 * @property {import('../model/store.js').Store} store
 * @property {import('../model/document.js').Document} doc
 * @property {import('../sheet/sheet.js').Sheet} sheet
 * @property {ReturnType<typeof import('../api/client.js').createClient>} client
 * @property {ReturnType<typeof import('../api/jobs.js').createJobs>} jobs
 * @property {import('../store/db.js').Db} db
 * @property {import('../workers/encoder.js').Encode} encode
 * @property {{get: () => string, set: (key: string, remember: boolean) => void}} keys
 * @property {{schedule: () => void, flush: () => Promise<void>|void}} autosave
 * @property {import('./types.js').Actions & {sendWhole: (job: import('../model/types.js').Job) => Promise<void>}} actions    all of them, once app.js has put them together
 * @property {Inner} inner
 */

/**
 * What modules of this folder ask of each other, but panels do not.
 * @typedef {object} Inner
 * @property {() => import('../model/types.js').Plan} plan          computed anew, if need be
 * @property {() => void} settle                                    take the candidate that is shown, so that editing goes on with it
 * @property {(job: import('../api/jobs.js').JobView, images: import('../api/jobs.js').JobImage[]) => Promise<void>} stage
 * @property {() => import('../model/holes.js').Coverage} coverage  of the window
 * @property {() => void} reshow                                    another document is on the sheet
 * @property {() => Promise<void>} restage                          candidates of this document that wait for a decision
 * @property {() => Promise<void>} leave                            before another document comes: this one is stored
 * @property {(stored: import('./unsaved.js').Opened) => Promise<void>} showStored
 * @property {() => Promise<import('./unsaved.js').Opened|undefined>} lastDocument
 * @property {(stored: import('./unsaved.js').Opened|undefined, before: import('../model/types.js').Settings) => Promise<void>} restoreChoices
 * @property {() => Promise<void>} claimDocument
 * @property {(id: string) => Promise<Blob>} pictureFile            the bytes of an image that was made
 * @property {(parameters: Record<string, any>, what: 'all'|'prompt'|'seed') => void} useParameters
 * @property {(given: boolean) => void} keyGiven
 * @property {() => Promise<void>} know                             ask again what the server can do
 * @property {() => Promise<void>} collectGarbage
 * @property {(error: unknown) => void} storeFailed             a write to the browser's storage failed
 */

/** A key for what has to be told apart in this browser; it says when it was made. */
export const makeId = () => `t${Date.now().toString(36)}-${Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(36).padStart(2, '0')).join('')}`;

/** When a key was made, ms since 1970; null: it is not one of these. @param {string} id */
export function madeAt(id) {
  const [, time] = /^t([0-9a-z]{8,9})-[0-9a-z]{16}$/.exec(id) ?? [];
  return time ? Number.parseInt(time, 36) : null;
}

/**
 * @param {import('../model/store.js').Store} store
 * @param {import('../model/document.js').Document} doc
 */
export function showDocument(store, doc) {
  const { id, name, patches, revision, window, ratio, history } = doc;
  const { readOnly, holes } = store.state.document;
  store.set({
    document: { id, name, bounds: doc.bounds(), patches, revision, holes, readOnly },
    window,
    ratio,
    steps: history.steps(),
    stepAt: history.done,
  });
}
