import { ApiError } from "./api_client.js";
import { readChunks } from "./byte_chunks.js";
import { pause } from "./connection.js";

const RETRY_MILLISECONDS = 1500;

/**
 * Yields the bytes of a realtime video from its first frame on, as they are made; a connection
 * that breaks is opened again, and what came before is left out.
 *
 * @param {import("./api_client.js").ApiClient} client
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Uint8Array<ArrayBuffer>>}
 */
export async function* readGrowingFile(client, id, signal) {
  let position = 0;
  for (;;) {
    try {
      const { body } = await client.call(`v1/videos/${id}/live`, { signal });
      let skipped = 0;
      for await (const chunk of body ? readChunks(body) : []) {
        const known = Math.min(chunk.length, position - skipped);
        skipped += known;
        if (known < chunk.length) {
          position += chunk.length - known;
          skipped = position;
          yield chunk.subarray(known);
        }
      }
      return;
    } catch (error) {
      if (signal.aborted || error instanceof ApiError) {
        throw error;
      }
    }
    await pause(RETRY_MILLISECONDS, signal);
  }
}
