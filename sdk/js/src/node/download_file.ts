import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Client as Stub } from "@connectrpc/connect";
import { LiveFileChangedError } from "../errors.js";
import type { Artifact } from "../gen/telecine/v1/video_pb.js";
import type { VideoService } from "../gen/telecine/v1/video_service_pb.js";
import { DownloadCheck, type DownloadOptions, downloadPieces } from "./downloads.js";

/**
 * Writes one file of a video to `path`, through broken connections, and checks its digest.
 *
 * It is written beside its place and moved there once it is whole; with `follow` it grows in
 * place, so that it can be played meanwhile, and what came stays there after an error.
 */
export async function downloadVideo(
  stub: Stub<typeof VideoService>,
  name: string,
  path: string,
  options: DownloadOptions,
  seconds: number,
): Promise<Artifact> {
  const isGrowing = options.follow ?? false;
  const partPath = isGrowing ? path : join(dirname(path), `.${basename(path)}.part`);
  const file = await open(partPath, "w");
  try {
    const artifact = await write(file, () =>
      downloadPieces(stub, name, options, { seconds, signal: options.signal }),
    );
    await rename(partPath, path);
    return artifact;
  } finally {
    await file.close();
    if (!isGrowing) {
      await rm(partPath, { force: true });
    }
  }
}

async function write(
  file: FileHandle,
  pieces: () => ReturnType<typeof downloadPieces>,
): Promise<Artifact> {
  for (;;) {
    const check = new DownloadCheck();
    let position = 0;
    try {
      for await (const piece of pieces()) {
        check.take(piece);
        await file.write(piece.data, 0, piece.data.length, position);
        position += piece.data.length;
      }
      return check.finish();
    } catch (error) {
      if (!(error instanceof LiveFileChangedError)) {
        throw error;
      }
      await file.truncate(0); // the file is sent anew
    }
  }
}
