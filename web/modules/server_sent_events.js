/**
 * Reads a `text/event-stream`. An entry without data, such as a heartbeat, comes as null.
 *
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<any>}
 */
export async function* readServerSentEvents(stream) {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      text += decoder.decode(value, { stream: true });
      const entries = text.split("\n\n");
      text = entries.pop() ?? "";
      for (const entry of entries) {
        yield dataOf(entry);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** @param {string} entry */
function dataOf(entry) {
  const line = entry.split("\n").find((each) => each.startsWith("data:"));
  return line ? JSON.parse(line.slice("data:".length)) : null;
}
