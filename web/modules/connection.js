/**
 * Whether the server can be reached, as the last request found it. Sends `away` and `back`.
 */
export class Connection extends EventTarget {
  isAway = false;

  noteAway() {
    if (!this.isAway) {
      this.isAway = true;
      this.dispatchEvent(new Event("away"));
    }
  }

  noteReached() {
    if (this.isAway) {
      this.isAway = false;
      this.dispatchEvent(new Event("back"));
    }
  }
}

/**
 * Waits, or until the signal is aborted.
 *
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
