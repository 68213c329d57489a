/**
 * Everything that panels, keys and the sheet can ask for, by name.
 *
 * Invariant: types only; an action returns nothing that a panel needs (what comes of it is in the state), and never throws:
 * what goes wrong becomes a notice, a field error or a failed job.
 *
 * Each group is made by one module of this folder, `create(context)`, and app.js puts them together into one flat object.
 */

/** @typedef {import('../model/types.js').Rect} Rect */
/** @typedef {import('../model/types.js').Settings} Settings */
/** @typedef {import('../model/types.js').State} State */

/**
 * generate.js
 * @typedef {object} GenerateActions
 * @property {(options?: {ahead?: boolean}) => Promise<void>} generate   what `state.plan` says; ahead: one more with the next seed
 * @property {() => Promise<void>} again              the staged group's request once more, with the next seed
 * @property {(side: import('../model/types.js').Side) => Promise<void>} extend   outpainting past an edge of the picture
 * @property {(key: string) => Promise<void>} cancel  a job, by its key
 * @property {(key: string) => void} dismiss          a failed job, by its key
 * @property {(key: string) => Promise<void>} retry   a failed job
 * @property {() => void} stop                        the newest job of the window that has not ended
 */

/**
 * staging.js
 * @typedef {object} StagingActions
 * @property {() => Promise<void>} accept
 * @property {() => void} discard
 * @property {(by: number) => void} browse            -1, +1: the candidate before or after
 * @property {(index: number) => void} showCandidate
 */

/**
 * steps.js
 * @typedef {object} StepActions
 * @property {() => void} undo
 * @property {() => void} redo
 * @property {(index: number) => void} goTo           an index of state.steps
 */

/**
 * files.js
 * @typedef {object} FileActions
 * @property {() => void} newDocument
 * @property {(file: Blob & {name?: string}, how?: 'new'|'place') => Promise<void>} openFile  image, .kdoc; own PNG files give parameters back
 * @property {() => void} chooseFile                  the browser's dialog, then openFile
 * @property {() => Promise<void>} paste              from the clipboard
 * @property {(options: {format: string, quality: number, area: 'sheet'|'window'}) => Promise<void>} save
 * @property {() => Promise<void>} copy               the window to the clipboard
 * @property {() => Promise<void>} exportMask         of the window: white is what would be repainted
 * @property {(file: Blob) => Promise<void>} importMask
 * @property {() => Promise<void>} exportDocument     one .kdoc file
 * @property {() => Promise<void>} copyDocument             of a sheet that is open in another tab
 * @property {(id: string) => Promise<void>} openDocument      an autosaved one
 * @property {(id: string) => Promise<void>} deleteDocument
 * @property {() => Promise<{id: string, name: string, savedAt: number, thumbnail: Blob|null}[]>} listDocuments
 */

/**
 * edit.js
 * @typedef {object} EditActions
 * @property {(tool: import('../model/types.js').ToolName) => void} setTool
 * @property {(brush: Partial<State['brush']>) => void} setBrush
 * @property {(rect: Rect, step?: boolean) => void} setWindow  step: false while a gesture is under way
 * @property {(name: string) => void} setRatio
 * @property {(dx: number, dy: number, big: boolean) => void} nudgeWindow   by cells, or by steps of the model
 * @property {() => void} eraseWindow                 everything under the window becomes a hole
 * @property {() => void} restoreAll                  no holes any more
 * @property {(id: string, visible: boolean) => Promise<void>} showPatch
 * @property {(id: string) => Promise<void>} removePatch
 * @property {(factor: number, at?: {x: number, y: number}) => void} zoomBy   at: CSS px in the canvas
 * @property {(zoom: number) => void} zoomTo
 * @property {(what?: 'window'|'sheet'|Rect) => void} fit
 * @property {(compare: Partial<State['compare']>) => void} setCompare
 */

/**
 * settings.js
 * @typedef {object} SettingActions
 * @property {(settings: Partial<Settings>) => void} setSettings   also clears the field's error
 * @property {() => void} rollSeed                    a new seed, locked
 * @property {() => void} resetSettings               all but the prompt
 * @property {(ui: Partial<State['ui']>) => void} setUi
 * @property {(name: import('../model/types.js').DialogName) => void} openDialog    'none' closes
 * @property {(key: string, remember: boolean) => Promise<void>} setKey
 * @property {(id: number) => void} dismissNotice
 * @property {(notice: Omit<import('../model/types.js').Notice, 'id'>) => void} notify
 * @property {(key: string, params?: Record<string, string|number>) => void} announce
 */

/**
 * pictures.js
 * @typedef {object} PictureActions
 * @property {(id: string) => Promise<void>} putOnSheet
 * @property {(id: string) => Promise<void>} vary
 * @property {(id: string, what: 'all'|'prompt'|'seed') => void} reuse
 * @property {(id: string) => Promise<void>} copyPicture
 * @property {(id: string) => Promise<void>} savePicture
 * @property {(id: string) => Promise<void>} copyCurl
 * @property {(id: string, starred: boolean) => Promise<void>} star
 * @property {(id: string) => Promise<void>} deletePicture
 */

/**
 * fusion.js
 * @typedef {object} FusionActions
 * @property {(open: boolean) => void} openFusion
 * @property {(id: string) => Promise<void>} addPictureToFusion
 * @property {(file: Blob & {name?: string}) => Promise<void>} addFileToFusion
 * @property {() => Promise<void>} addWindowToFusion
 * @property {() => void} addTextToFusion
 * @property {(id: string, change: {weight?: number, text?: string}) => void} changeCard
 * @property {(id: string) => void} removeCard
 */

/** @typedef {GenerateActions & StagingActions & StepActions & FileActions & EditActions & SettingActions & PictureActions & FusionActions} Actions */

export {};
