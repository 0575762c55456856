import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { UploadMediaRequestSchema } from "../gen/telecine/v1/video_service_pb.js";

type UploadRequest = MessageInitShape<typeof UploadMediaRequestSchema>;

const CHUNK_BYTES = 1 << 20;
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".png": "image/png",
  ".webp": "image/webp",
  ".avif": "image/avif",
  ".heic": "image/heic",
  ".mp4": "video/mp4",
  ".webm": "video/webm",
  ".wav": "audio/wav",
  ".mp3": "audio/mpeg",
  ".aac": "audio/aac",
  ".m4a": "audio/mp4",
  ".flac": "audio/flac",
  ".ogg": "audio/ogg",
  ".opus": "audio/ogg",
};

/** Sends a file in chunks, what it is first. */
export async function* uploadRequests(
  path: string,
  contentType: string | undefined,
): AsyncGenerator<UploadRequest, void, undefined> {
  const { size } = await stat(path);
  const header = { contentType: contentType ?? typeOf(path), sizeBytes: BigInt(size) };
  yield { payload: { case: "header", value: header } };
  for await (const data of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
    yield { payload: { case: "data", value: data as Uint8Array } };
  }
}

function typeOf(path: string): string {
  const type = CONTENT_TYPES[extname(path).toLowerCase()];
  if (type === undefined) {
    throw new TypeError(`contentType: the name ${path} does not tell it; give it`);
  }
  return type;
}
