/**
 * Undo and redo.
 *
 * Invariant: while candidates wait for a decision, undo takes them away first: they are the last thing that happened.
 */

/**
 * @param {import('./context.js').Context} context
 * @returns {import('./types.js').StepActions}
 */
export function createSteps(context) {
  const { store, doc } = context;
  return {
    undo() {
      if (store.state.staging) context.actions.discard();
      else doc.undo();
    },
    redo: () => doc.redo(),
    goTo(index) {
      if (store.state.staging) context.actions.discard();
      doc.goTo(index);
    },
  };
}
