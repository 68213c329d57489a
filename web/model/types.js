/**
 * What the whole editor talks about: the state, and the values in it.
 *
 * Invariant: types only. Everything here is plain data that structuredClone can copy, except Blobs; no functions, no DOM.
 * All rectangles are integers in document pixels ("px"); the sheet has no origin of its own, so x and y may be negative.
 */

/** @typedef {{x: number, y: number, w: number, h: number}} Rect */
/** @typedef {'window'|'hand'|'eraser'|'restore'|'rectangle'|'compare'} ToolName */
/** @typedef {'text-to-image'|'image-to-image'|'image-variations'|'image-fusion'|'text-image-fusion'|'inpainting'|'outpainting'} Mode */
/** @typedef {'left'|'right'|'top'|'bottom'|'all'} Side */

/**
 * GET /v1/capabilities, as the server answers it. Nothing about sizes, limits or modes is known besides it.
 * @typedef {object} Capabilities
 * @property {string} model
 * @property {{mode: Mode, available: boolean, reason?: string|null}[]} modes
 * @property {{max_side: number, max_pixels: number, max_input_side: number, max_input_pixels: number, max_steps: number,
 *   max_pictures: number, max_prompt_chars: number, size_policy: string, max_enlarged_pixels: number, max_body_bytes: number}} limits
 * @property {{default_width: number, default_height: number, step: number,
 *   aspect_ratios: {name: string, width: number, height: number}[]}} sizes
 * @property {string[]} schedulers
 * @property {{fast: {steps: number, acceleration: Acceleration}}} [acceleration]
 * @property {string[]} priors
 * @property {string[]} output_formats
 * @property {string[]} priorities
 * @property {string[]} example_prompts  English and Russian ones in one list
 * @property {{en: string, ru: string}[]} [examples]  the same by language
 * @property {{n: number, steps: number, guidance_scale: number, scheduler?: string|null, strength: number, output_format: string,
 *   prior: {kind: string, steps: number, guidance_scale: number}}} [defaults]  what requests are read as where they do not say
 * @property {boolean} [keys_required]
 */

/** What decoder steps leave out. @typedef {{cache_interval?: number, guidance_start?: number, guidance_end?: number}} Acceleration */

/** One of GET /v1/styles. @typedef {{name: string, title: {en: string, ru: string}, prompt: string, negative_prompt: string}} Style */

/**
 * What the person chose for the next images. `null` is "the server's default" everywhere.
 * @typedef {object} Settings
 * @property {string} prompt
 * @property {string} negativePrompt
 * @property {string|null} style           name of a Style
 * @property {number} n                    how many images
 * @property {number|null} seed            null: random
 * @property {boolean} seedLocked          false: every Generate takes a new seed
 * @property {number|null} steps
 * @property {number|null} guidance
 * @property {string|null} scheduler
 * @property {Acceleration|null} acceleration
 * @property {{kind: string|null, steps: number|null, guidance: number|null}} prior
 * @property {number} strength             0..1 of redrawing
 * @property {number} feather              px, inside the hole
 * @property {boolean|null} matchColors    null: on where the hole reaches past the image, off elsewhere
 * @property {boolean} vary                true: Generate makes variations of what is under the window
 * @property {string} format               of saved files and results: png, jpeg, webp
 */

/**
 * What Generate would do now: the line above the prompt bar, and the button's state. Derived; never set by panels.
 * @typedef {object} Plan
 * @property {Mode|null} mode              null: nothing can be generated
 * @property {string} key                  i18n key of the sentence, such as `plan.new`, `plan.fill`, `plan.redraw`, `plan.vary`, `plan.fuse`
 * @property {Record<string, string|number>} params  of the sentence: percent, strength, width, height, reason...
 * @property {boolean} enabled             false: the sentence says why not
 * @property {boolean} usesStrength        the strength slider means something now
 * @property {boolean} usesFeather
 * @property {boolean} needsPrompt
 */

/**
 * One thing on the sheet, in drawing order.
 * @typedef {object} Patch
 * @property {string} id
 * @property {Rect} rect
 * @property {string} blobId               bytes of the file, in the store of blobs; the first is the opened file as it was
 * @property {Uint8Array|null} mask        run-length coded bytes of rect (model/rle.js): drawn where > 0. null: all of it
 * @property {string} name                 file name or prompt
 * @property {boolean} visible
 * @property {string} [jobId]
 * @property {number} [index]
 */

/** A named entry of the undo list. @typedef {{id: number, key: string, params: Record<string, string|number>, at: number}} Step */

/**
 * What a job's images are for: where they go on the sheet.
 * @typedef {object} Target
 * @property {string} documentId
 * @property {Rect} rect                   where the image lies
 * @property {Uint8Array|null} mask        run-length coded; drawn where > 0. null: all of it
 * @property {Rect} window                 the window when Generate was pressed
 */

/**
 * A job of this browser or, after a reload, of this caller. Kept in IndexedDB before it is sent.
 * @typedef {object} Job
 * @property {string} key                  its Idempotency-Key: also its identity in the page
 * @property {string|null} id              the server's id, once accepted
 * @property {Mode} mode
 * @property {'sending'|'queued'|'running'|'waiting'|'succeeded'|'failed'|'canceled'} status   waiting: for Retry-After
 * @property {string} prompt
 * @property {Record<string, any>} fields  the JSON fields that were sent, without images (curl, reuse)
 * @property {Target|null} target          null: not of this browser's documents; goes to Pictures alone
 * @property {boolean} staged              its images are shown on the sheet when it has succeeded
 * @property {number} createdAt            ms since 1970
 * @property {number} percent              0..100
 * @property {number} step
 * @property {number} steps
 * @property {number|null} position        jobs ahead of it
 * @property {number|null} etaMs
 * @property {Blob|null} preview
 * @property {number|null} retryAt         ms since 1970, while waiting
 * @property {Problem|null} problem        why it failed
 * @property {{code: string, message: string, field?: string|null}[]} warnings
 */

/**
 * problem+json of the server, or of the network (`type: 'network'`).
 * @typedef {object} Problem
 * @property {number} status
 * @property {string} type                 the last part of the URI: validation, moderation-blocked, queue-full...
 * @property {string} title
 * @property {string} detail
 * @property {{pointer: string, message: string}[]} errors
 * @property {string[]} categories
 * @property {number|null} retryAfter      s
 */

/**
 * Images that wait for a decision, shown in place.
 * @typedef {object} Staging
 * @property {Target} target
 * @property {{pictureId: string, jobKey: string, jobId: string, index: number, seed: number}[]} items
 * @property {number} at                   the one that is shown
 * @property {number} expected             how many there will be when running jobs of the group end
 */

/**
 * An image that was made. `id` is `JOB/INDEX`.
 * @typedef {object} HistoryImage
 * @property {string} id
 * @property {string} jobId
 * @property {number} index
 * @property {Mode} mode
 * @property {string} prompt
 * @property {number} seed
 * @property {number} width
 * @property {number} height
 * @property {Record<string, any>} parameters   as the server resolved them
 * @property {Record<string, any>} fields       as they were sent, without images
 * @property {number} createdAt
 * @property {boolean} starred
 * @property {string} mediaType
 * @property {Blob|null} thumbnail
 * @property {boolean} kept                the file itself is in the store of blobs, under `picture/ID`
 */

/**
 * A card of the fusion tray.
 * @typedef {{id: string, kind: 'image'|'text', weight: number, text: string, pictureId: string|null, blob: Blob|null, name: string}} FusionCard
 */

/**
 * Something to tell, once.
 * @typedef {{id: number, kind: 'info'|'success'|'warning'|'error', key: string, params: Record<string, string|number>, detail?: string,
 *   action?: {key: string, run: string, args?: any[]}}} Notice   `run`: the name of an action
 */

/** @typedef {'none'|'more'|'styles'|'shortcuts'|'save'|'key'|'documents'|'settings'|'new'|'extend'} DialogName */

/**
 * Everything that the page shows.
 * @typedef {object} State
 * @property {boolean} ready               capabilities and the last document are there
 * @property {Capabilities|null} capabilities
 * @property {Style[]} styles
 * @property {{id: string, name: string, bounds: Rect|null, patches: Patch[], revision: number, holes: boolean, readOnly: boolean}} document
 *   bounds: null while the sheet is empty; holes: something is erased; readOnly: open in another tab
 * @property {Rect} window
 * @property {string} ratio                name of an aspect ratio, or `free`
 * @property {{x: number, y: number, zoom: number}} view   document px at the centre of the canvas; CSS px per document px
 * @property {ToolName} tool
 * @property {{size: number, softness: number}} brush      size: diameter in CSS px on the screen; softness 0..1
 * @property {{mode: 'off'|'hold'|'slider', position: number}} compare   position 0..1 of the width
 * @property {Settings} settings
 * @property {Plan} plan
 * @property {Job[]} jobs                  not ended, and failed ones until dismissed; newest first
 * @property {Staging|null} staging
 * @property {Step[]} steps                oldest first; index 0 is the state as opened
 * @property {number} stepAt               index of the present one
 * @property {HistoryImage[]} pictures     newest first, all that this browser knows
 * @property {{open: boolean, cards: FusionCard[]}} fusion
 * @property {Notice[]} notices
 * @property {Record<string, string>} fieldErrors   by field name of the request: prompt, steps, width, image...; the server's words
 * @property {{needed: boolean, present: boolean, wrong: boolean}} key
 * @property {boolean} online
 * @property {{full: boolean, available: boolean}} storage
 * @property {boolean} canvasAltered       the browser changes what canvases hold
 * @property {{language: 'en'|'ru', theme: 'auto'|'light'|'dark', wheel: 'auto'|'mouse'|'trackpad', smooth: boolean,
 *   side: 'none'|'steps'|'pictures', dialog: DialogName}} ui
 * @property {{key: string, params: Record<string, string|number>}|null} announcement   for the live region
 */

export {};
