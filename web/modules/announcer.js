import { find } from "./element.js";

/**
 * Has a screen reader say something when it has a moment.
 *
 * @param {string} message
 */
export function announce(message) {
  const place = find("#announcements");
  // The same text twice is a change only if it was gone between.
  place.textContent = "";
  requestAnimationFrame(() => {
    place.textContent = message;
  });
}
