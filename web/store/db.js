/**
 * What stays in the browser: documents, files, images made, jobs, choices.
 *
 * Invariant: every write is one transaction and rejects if it did not happen (QuotaExceededError comes through as it is); where
 * IndexedDB is forbidden the same calls work on memory, so that no caller has to ask.
 */

/** @typedef {import('../model/types.js').HistoryImage} HistoryImage */
/** @typedef {Awaited<ReturnType<typeof openDb>>} Db */

const NAME = 'kandinsky';
const VERSION = 2;
/** @type {Record<string, string|undefined>} store → path of the key within its values */
const STORES = { documents: 'id', blobs: undefined, pictures: 'id', jobs: 'key', settings: undefined, steps: undefined };

/**
 * @typedef {object} Table
 * @property {(store: string, key: string) => Promise<any>} get
 * @property {(store: string) => Promise<any[]>} all
 * @property {(store: string) => Promise<string[]>} keys
 * @property {(store: string, value: any, key?: string) => Promise<unknown>} put
 * @property {(store: string, key: string) => Promise<unknown>} remove
 */

/**
 * What a request gives.
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const given = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @returns {Promise<Table & {persistent: boolean}>} */
async function openTable() {
  try {
    const opening = indexedDB.open(NAME, VERSION);
    opening.onupgradeneeded = () => {
      for (const [store, keyPath] of Object.entries(STORES)) {
        if (!opening.result.objectStoreNames.contains(store)) opening.result.createObjectStore(store, keyPath ? { keyPath } : undefined);
      }
    };
    const db = await given(opening);
    // A newer page in another tab wants to change the tables: let it.
    db.onversionchange = () => db.close();
    const read = (/** @type {string} */ store) => db.transaction(store).objectStore(store);
    /** @param {string} store @param {(table: IDBObjectStore) => void} change */
    const write = (store, change) =>
      new Promise((resolve, reject) => {
        const transaction = db.transaction(store, 'readwrite');
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
        change(transaction.objectStore(store));
        // At once: a page that goes away is not there to hear that the value has arrived.
        transaction.commit();
      });
    return {
      persistent: true,
      get: async (store, key) => given(read(store).get(key)),
      all: async (store) => given(read(store).getAll()),
      keys: async (store) => (await given(read(store).getAllKeys())).map(String),
      put: (store, value, key) => write(store, (table) => table.put(value, key)),
      remove: (store, key) => write(store, (table) => table.delete(key)),
    };
  } catch {
    return { persistent: false, ...memoryTable() };
  }
}

/** @returns {Table} */
function memoryTable() {
  /** @type {Record<string, Map<string, any>>} */
  const stores = Object.fromEntries(Object.keys(STORES).map((store) => [store, new Map()]));
  return {
    get: async (store, key) => stores[store].get(key),
    all: async (store) => [...stores[store].values()],
    keys: async (store) => [...stores[store].keys()],
    put: async (store, value, key) => stores[store].set(key ?? value[/** @type {string} */ (STORES[store])], value),
    remove: async (store, key) => stores[store].delete(key),
  };
}

export async function openDb() {
  const table = await openTable();
  let asked = false;
  /** Files that are not stored, or not yet. @type {Map<string, Blob>} */
  const held = new Map();

  /**
   * @param {string} store
   * @param {any} value
   * @param {string} [key]
   */
  async function put(store, value, key) {
    await table.put(store, value, key);
    // Asked at the first thing worth keeping: a browser that asks the person then asks for a reason.
    if (!asked && store === 'documents') {
      asked = true;
      void navigator.storage?.persist?.().catch(() => false);
    }
  }

  return {
    /** Whether anything outlives the page. */
    persistent: table.persistent,
    /** @param {string} id @returns {Promise<any>} */
    getDocument: (id) => table.get('documents', id),
    /** @param {{id: string, [name: string]: any}} document */
    putDocument: (document) => put('documents', document),
    /** @param {string} id */
    deleteDocument: (id) => table.remove('documents', id),
    /** @returns {Promise<any[]>} */
    listDocuments: () => table.all('documents'),
    /** @param {string} id @returns {Promise<Blob|undefined>} */
    getBlob: async (id) => held.get(id) ?? table.get('blobs', id),
    /** @param {string} id @param {Blob} blob */
    async putBlob(id, blob) {
      // Images made are on the server, too; what is on a sheet is nowhere else.
      if (!id.startsWith('picture/')) held.set(id, blob);
      await put('blobs', blob, id);
      held.delete(id);
    },
    /** Stores what there was no space for. */
    putHeld: () => Promise.all([...held].map(([id, blob]) => put('blobs', blob, id).then(() => held.delete(id)))),
    /** @param {string} id */
    deleteBlob(id) {
      held.delete(id);
      return table.remove('blobs', id);
    },
    /** Ids of all blobs, to find those that nothing uses any more. */
    listBlobs: () => table.keys('blobs'),
    /** @param {string} id  the document's, and the step's: `DOCUMENT/7` @returns {Promise<any>} */
    getStep: (id) => table.get('steps', id),
    /** @param {string} id @param {any} step */
    putStep: (id, step) => put('steps', step, id),
    /** @param {string} id */
    deleteStep: (id) => table.remove('steps', id),
    listSteps: () => table.keys('steps'),
    /** @returns {Promise<HistoryImage[]>} */
    getPictures: () => table.all('pictures'),
    /** @param {HistoryImage} picture */
    putPicture: (picture) => put('pictures', picture),
    /** @param {string} id */
    deletePicture: (id) => table.remove('pictures', id),
    /** @returns {Promise<any[]>} */
    getJobs: () => table.all('jobs'),
    /** @param {any} job */
    putJob: (job) => put('jobs', job),
    /** @param {string} key */
    async deleteJob(key) {
      await table.remove('jobs', key);
    },
    /** @param {string} name @returns {Promise<any>} */
    getSetting: (name) => table.get('settings', name),
    /** @param {string} name @param {any} value */
    putSetting: (name, value) => put('settings', value, name),
  };
}
