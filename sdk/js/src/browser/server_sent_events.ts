import { UnavailableError } from "../errors.js";
import { fetchError } from "./errors.js";

// The server sends a comment every 15 quiet seconds.
const SILENCE_SECONDS = 45;
const MAX_ENTRY_CHARACTERS = 32 << 20;

/** An entry of a stream. */
export interface StreamEntry {
  /** Empty for one that only says where the stream is. */
  event: string;
  data: string;
  /** The last id that came, with this entry or before it. */
  id: string;
}

/** Yields a body's entries as they come; throws where the stream breaks off or falls silent. */
export async function* readEntries(
  body: ReadableStream<Uint8Array>,
  silenceSeconds: number = SILENCE_SECONDS,
): AsyncGenerator<StreamEntry, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EntryParser();
  try {
    for (;;) {
      const { done, value } = await withinSeconds(reader.read(), silenceSeconds);
      if (done) {
        return;
      }
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    throw fetchError(error);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Splits text into entries, in whichever pieces it comes. */
export class EntryParser {
  #rest = "";
  #event = "";
  #id = "";
  #hasId = false;
  #data: string[] = [];

  /** Returns the entries that are whole now. */
  push(text: string): StreamEntry[] {
    // A line may end with CR LF, of which the second half is still to come.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MAX_ENTRY_CHARACTERS) {
      throw new UnavailableError(`a line of more than ${MAX_ENTRY_CHARACTERS} characters came`);
    }
    return lines.flatMap((line) => this.#take(line));
  }

  #take(line: string): StreamEntry[] {
    if (line === "") {
      const hasData = this.#data.length > 0;
      const event = hasData ? this.#event || "message" : "";
      const entry = { event, data: this.#data.join("\n"), id: this.#id };
      const isEmpty = !hasData && !this.#hasId;
      [this.#event, this.#data, this.#hasId] = ["", [], false];
      return isEmpty ? [] : [entry];
    }
    const [name, value] = split(line);
    if (name === "event") {
      this.#event = value;
    } else if (name === "id") {
      [this.#id, this.#hasId] = [value, true];
    } else if (name === "data") {
      this.#data.push(value);
    }
    return [];
  }
}

function split(line: string): [name: string, value: string] {
  const colon = line.indexOf(":");
  return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
}

async function withinSeconds<T>(promise: Promise<T>, seconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    const error = new UnavailableError(`nothing came for ${seconds} s`);
    timer = setTimeout(() => reject(error), seconds * 1000);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}
