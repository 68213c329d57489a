/**
 * The list of tools.
 *
 * Invariant: one entry for each ToolName.
 */

import { createBrush } from './brush.js';
import { createCompare } from './compare.js';
import { createHand } from './hand.js';
import { createRectangle } from './rectangle.js';
import { createWindowTool } from './window.js';

/**
 * @param {import('./types.js').ToolContext} context
 * @returns {Record<import('../model/types.js').ToolName, import('./types.js').Tool>}
 */
export function createTools(context) {
  return {
    window: createWindowTool(context),
    hand: createHand(),
    eraser: createBrush(context, 'erase'),
    restore: createBrush(context, 'restore'),
    rectangle: createRectangle(context),
    compare: createCompare(context),
  };
}
