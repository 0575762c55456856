/**
 * Reads a page of the videos that are shown, newest first: as many requests as that takes.
 *
 * @param {import("./api_client.js").ApiClient} client
 * @param {object} options
 * @param {number} options.size
 * @param {string} options.after the last video of the page before, empty for the first page
 * @param {(video: import("./types.js").Video) => boolean} options.isShown
 * @returns {Promise<{videos: import("./types.js").Video[], hasMore: boolean}>}
 */
export async function readPage(client, { size, after, isShown }) {
  /** @type {import("./types.js").Video[]} */
  const shown = [];
  let hasMore = true;
  while (hasMore && shown.length <= size) {
    // One more than a page: whether there is another one.
    const list = await client.listVideos({ limit: size + 1, after });
    shown.push(...list.data.filter(isShown));
    after = list.last_id ?? "";
    hasMore = list.has_more;
  }
  return { videos: shown.slice(0, size), hasMore: shown.length > size };
}
