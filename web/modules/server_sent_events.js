import { readChunks } from "./byte_chunks.js";

/**
 * Reads a `text/event-stream`. An entry without data, such as a heartbeat, comes as null.
 *
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 * @returns {AsyncGenerator<any>}
 */
export async function* readServerSentEvents(stream) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of readChunks(stream)) {
    text += decoder.decode(chunk, { stream: true });
    const entries = text.split("\n\n");
    text = entries.pop() ?? "";
    for (const entry of entries) {
      yield dataOf(entry);
    }
  }
}

/** @param {string} entry */
function dataOf(entry) {
  const line = entry.split("\n").find((each) => each.startsWith("data:"));
  return line ? JSON.parse(line.slice("data:".length)) : null;
}
