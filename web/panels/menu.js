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
  const below = from.bottom + GAP + own.height <= innerHeight - GAP;
  const top = below ? from.bottom + GAP : Math.max(GAP, from.top - GAP - own.height);
  const left = from.left + own.width <= innerWidth - GAP ? from.left : from.right - own.width;
  menu.style.setProperty('top', `${Math.min(top, innerHeight - GAP - own.height)}px`);
  menu.style.setProperty('left', `${Math.max(GAP, Math.min(left, innerWidth - GAP - own.width))}px`);
  menu.querySelector('button')?.focus({ preventScroll: true });
}

/** Closes the menu that a button is in, after what the button does. @param {Event} event */
export function closeMenu(event) {
  /** @type {HTMLElement|null} */ (/** @type {Element} */ (event.target).closest('[popover]'))?.hidePopover();
}
