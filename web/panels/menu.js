/**
 * Menus beside what opened them.
 *
 * Invariant: a menu is a popover of the browser (Escape and a click elsewhere close it, focus returns); this only finds its place
 * within the page.
 */

/** px between a menu and what opened it, and between a menu and the edge of the page */
const GAP = 8;

/**
 * @param {HTMLElement} menu  with the attribute `popover`
 * @param {Element} anchor
 */
export function openMenu(menu, anchor) {
  if (menu.matches(':popover-open')) {
    menu.hidePopover();
    return;
  }
  menu.showPopover();
  const [from, own] = [anchor.getBoundingClientRect(), menu.getBoundingClientRect()];
  const panel = anchor.closest('.side')?.getBoundingClientRect();
  if (panel && panel.left - GAP - own.width >= GAP) return place(menu, from.top, panel.left - GAP - own.width);
  const below = from.bottom + GAP + own.height <= innerHeight - GAP;
  const top = below ? from.bottom + GAP : Math.max(GAP, from.top - GAP - own.height);
  const left = from.left + own.width <= innerWidth - GAP ? from.left : from.right - own.width;
  place(menu, top, left);
}

/**
 * @param {HTMLElement} menu
 * @param {number} top
 * @param {number} left
 */
function place(menu, top, left) {
  const { width, height } = menu.getBoundingClientRect();
  menu.style.setProperty('top', `${Math.max(GAP, Math.min(top, innerHeight - GAP - height))}px`);
  menu.style.setProperty('left', `${Math.max(GAP, Math.min(left, innerWidth - GAP - width))}px`);
  menu.querySelector('button')?.focus({ preventScroll: true });
}

/** Closes the menu that a button is in, after what the button does. @param {Event} event */
export function closeMenu(event) {
  /** @type {HTMLElement|null} */ (/** @type {Element} */ (event.target).closest('[popover]'))?.hidePopover();
}
