import { DownloadError, UnavailableError } from "../errors.js";
import { resumed } from "../resumption.js";
import type { CallOptions } from "../video_options.js";
import type { Connection } from "./connection.js";
import { fetchError } from "./errors.js";

const PARTIAL_CONTENT = 206;

/** What fetching a file takes. */
export interface DownloadOptions extends CallOptions {
  /** Which file; the video itself by default. */
  variant?: "video" | "webm" | "thumbnail" | "spritesheet" | "lip_sync";
}

/** Returns a file, through broken connections; checks its digest where the page may use crypto. */
export async function downloadVideo(
  connection: Connection,
  path: string,
  options: DownloadOptions,
): Promise<Blob> {
  const file = new RemoteFile(connection, path, options);
  const pieces: BlobPart[] = [];
  for await (const piece of file.read()) {
    pieces.push(piece as Uint8Array<ArrayBuffer>);
  }
  const blob = new Blob(pieces, { type: file.contentType });
  await checkDigest(blob, file.digest);
  return blob;
}

/** Returns a file's bytes as a stream, through broken connections; its length is checked. */
export function readVideo(
  connection: Connection,
  path: string,
  options: DownloadOptions,
): ReadableStream<Uint8Array> {
  const pieces = new RemoteFile(connection, path, options).read();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) {
        controller.close();
      } else {
        controller.enqueue(value);
      }
    },
    async cancel() {
      await pieces.return();
    },
  });
}

class RemoteFile {
  contentType = "";
  digest = "";
  #numBytes = 0;
  #sizeBytes = -1;

  constructor(
    private readonly connection: Connection,
    private readonly path: string,
    private readonly options: DownloadOptions,
  ) {}

  read(): AsyncGenerator<Uint8Array, void, undefined> {
    const patience = { seconds: this.connection.patienceSeconds, signal: this.options.signal };
    return resumed((signal) => this.#readOn(signal), patience);
  }

  async *#readOn(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#numBytes === this.#sizeBytes) {
      return; // it broke behind the last byte
    }
    const url = `${this.path}/content?variant=${this.options.variant ?? "video"}`;
    const response = await this.connection.open(url, signal, { headers: this.#range() });
    this.#describe(response);
    try {
      for await (const piece of pieces(response)) {
        this.#numBytes += piece.length;
        yield piece;
      }
    } catch (error) {
      throw fetchError(error);
    }
    if (this.#sizeBytes >= 0 && this.#numBytes !== this.#sizeBytes) {
      throw new UnavailableError(`${this.#numBytes} of ${this.#sizeBytes} bytes came`);
    }
  }

  #range(): Record<string, string> {
    return this.#numBytes === 0
      ? {}
      : { range: `bytes=${this.#numBytes}-`, "if-range": `"${this.digest}"` };
  }

  #describe(response: Response): void {
    if (this.#numBytes > 0) {
      if (response.status !== PARTIAL_CONTENT) {
        throw new DownloadError("the file changed while it was fetched");
      }
      return;
    }
    this.contentType = response.headers.get("content-type") ?? "";
    this.digest = (response.headers.get("etag") ?? "").replaceAll('"', "");
    this.#sizeBytes = Number(response.headers.get("content-length") ?? -1);
  }
}

async function* pieces(response: Response): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) {
      return;
    }
    yield value;
  }
}

async function checkDigest(blob: Blob, promised: string): Promise<void> {
  // Pages that came without TLS have no crypto.subtle.
  if (globalThis.crypto?.subtle === undefined) {
    return;
  }
  const hash = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  const digest = Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0"));
  if (digest.join("") !== promised) {
    throw new DownloadError(`the file arrived damaged: sha256:${digest.join("")}`);
  }
}
