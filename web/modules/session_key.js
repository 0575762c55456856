/** The API key, in this tab's memory alone: it ends with the tab and is in no URL. */

const KEY = "telecine.api_key";
const REASON = "telecine.sign_out_reason";

/** @returns {string} the key, empty where there is none */
export function readKey() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** @param {string} key */
export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

/**
 * Forgets the key, and begins anew with an empty page.
 *
 * @param {string} reason what the sign-in form says then
 */
export function signOut(reason = "") {
  sessionStorage.removeItem(KEY);
  sessionStorage.setItem(REASON, reason);
  location.reload();
}

/** @returns {string} why the key was forgotten; empty from the second time on */
export function takeSignOutReason() {
  const reason = sessionStorage.getItem(REASON) ?? "";
  sessionStorage.removeItem(REASON);
  return reason;
}
