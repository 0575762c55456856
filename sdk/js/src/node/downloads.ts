import { createHash } from "node:crypto";
import type { Client as Stub } from "@connectrpc/connect";
import { DownloadError } from "../errors.js";
import type { Artifact } from "../gen/telecine/v1/video_pb.js";
import type { DownloadVideoResponse, VideoService } from "../gen/telecine/v1/video_service_pb.js";
import { type Patience, resumed } from "../resumption.js";
import { type CallOptions, resourceName } from "../video_options.js";
import { converted } from "./streams.js";

/** What fetching a file takes. */
export interface DownloadOptions extends CallOptions {
  /** Which file; the video itself by default. */
  artifactId?: string;
  /** Waits for a video that is still being made; a realtime one comes while it is. */
  follow?: boolean;
}

/** What reading a file takes. */
export interface ReadOptions extends DownloadOptions {
  /** The first byte wanted; only what is read from the beginning can be checked. */
  readOffset?: number;
}

/** Yields a file's pieces from an offset on, through broken connections, each byte once. */
export async function* downloadPieces(
  stub: Stub<typeof VideoService>,
  name: string,
  options: ReadOptions,
  patience: Patience,
): AsyncGenerator<DownloadVideoResponse, void, undefined> {
  const request = {
    name: resourceName("videos", name),
    artifactId: options.artifactId ?? "",
    readOffset: BigInt(options.readOffset ?? 0),
    follow: options.follow ?? false,
  };
  const pieces = resumed(
    (signal) => converted(stub.downloadVideo(request, { signal })),
    patience,
  );
  for await (const piece of pieces) {
    // A default of now need not be the default of the next call.
    request.artifactId = piece.artifact?.artifactId ?? request.artifactId;
    request.readOffset += BigInt(piece.data.length);
    yield piece;
  }
}

/** Yields a file's bytes; throws when what came is not what the server described. */
export async function* readVideo(
  stub: Stub<typeof VideoService>,
  name: string,
  options: ReadOptions,
  seconds: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const check = new DownloadCheck();
  const patience = { seconds, signal: options.signal };
  for await (const piece of downloadPieces(stub, name, options, patience)) {
    check.take(piece);
    if (piece.data.length > 0) {
      yield piece.data;
    }
  }
  if ((options.readOffset ?? 0) === 0) {
    check.finish();
  }
}

/** Compares what came of a file with what the server said of it. */
export class DownloadCheck {
  #artifact: Artifact | undefined;
  #numBytes = 0n;
  readonly #hash = createHash("sha256");

  /** Counts the next piece in. */
  take(piece: DownloadVideoResponse): void {
    this.#artifact = piece.artifact ?? this.#artifact;
    this.#numBytes += BigInt(piece.data.length);
    this.#hash.update(piece.data);
  }

  /** Returns what the file is; throws where it arrived damaged. */
  finish(): Artifact {
    if (this.#artifact === undefined) {
      throw new DownloadError("the server did not say which file it sent");
    }
    const digest = `sha256:${this.#hash.digest("hex")}`;
    const { artifactId, sizeBytes, digest: promised } = this.#artifact;
    if (this.#numBytes !== sizeBytes || digest !== promised) {
      throw new DownloadError(`${artifactId} arrived damaged: ${this.#numBytes} bytes, ${digest}`);
    }
    return this.#artifact;
  }
}
