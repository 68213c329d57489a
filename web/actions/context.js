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
 * @property {import('./types.js').Actions} actions    all of them, once app.js has put them together
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
 * @property {() => Promise<void>} saveDocument
 * @property {(stored: import('../model/document.js').Stored) => Promise<void>} showStored
 * @property {() => Promise<void>} claimDocument
 * @property {(id: string) => Promise<Blob>} pictureFile            the bytes of an image that was made
 * @property {(parameters: Record<string, any>, what: 'all'|'prompt'|'seed') => void} useParameters
 * @property {(given: boolean) => void} keyGiven
 * @property {(error: unknown) => void} storeFailed             a write to the browser's storage failed
 */

/** A key for what has to be told apart in this browser. */
export const makeId = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(36).padStart(2, '0')).join('');

/**
 * @param {import('../model/store.js').Store} store
 * @param {import('../model/document.js').Document} doc
 */
export function showDocument(store, doc) {
  const { id, name, patches, revision, window, ratio, history } = doc;
  const { readOnly } = store.state.document;
  store.set({
    document: { id, name, bounds: doc.bounds(), patches, revision, holes: false, readOnly },
    window,
    ratio,
    steps: history.steps(),
    stepAt: history.done,
  });
}
