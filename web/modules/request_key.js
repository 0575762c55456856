/**
 * Names requests: the same name when the same one is sent again after its answer was lost, so
 * that no video is made twice.
 */
export class RequestKeys {
  text = "";
  key = "";

  /** @param {FormData} body @returns {string} */
  of(body) {
    const text = JSON.stringify([...body]);
    if (this.text !== text) {
      // randomUUID is not there on a page without TLS.
      const random = crypto.getRandomValues(new Uint32Array(4));
      this.key = Array.from(random, (part) => part.toString(36)).join("-");
      this.text = text;
    }
    return this.key;
  }

  /** The answer came: the same request is a new one from now on. */
  forget() {
    this.text = "";
  }
}
