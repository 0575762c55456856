/** @typedef {"video" | "thumbnail"} Variant */

/** Files of videos, fetched with the key and kept as addresses that only this page can read. */
export class VideoFiles {
  /** @param {import("./api_client.js").ApiClient} client */
  constructor(client) {
    this.client = client;
    /** @type {Map<string, Promise<string>>} */
    this.urls = new Map();
  }

  /** @param {string} id @param {Variant} variant @returns {Promise<string>} a `blob:` address */
  urlOf(id, variant) {
    const name = `${variant}/${id}`;
    const known = this.urls.get(name);
    if (known) {
      return known;
    }
    const url = this.client.readFile(id, variant).then((blob) => URL.createObjectURL(blob));
    this.urls.set(name, url);
    url.catch(() => this.urls.delete(name));
    return url;
  }

  /** @param {string} id frees its files' memory; who shows them must be gone */
  release(id) {
    for (const name of [`video/${id}`, `thumbnail/${id}`]) {
      this.urls.get(name)?.then(URL.revokeObjectURL, () => undefined);
      this.urls.delete(name);
    }
  }
}
