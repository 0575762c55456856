import type { Client as Stub } from "@connectrpc/connect";
import { UnavailableError } from "../errors.js";
import type { Video, VideoEvent } from "../gen/telecine/v1/video_pb.js";
import type { VideoService } from "../gen/telecine/v1/video_service_pb.js";
import { type Patience, resumed } from "../resumption.js";
import { resourceName, type WatchOptions } from "../video_options.js";
import { clientError } from "./errors.js";

/** A change of one of the caller's videos. */
export type VideoChange =
  | { case: "video"; value: Video }
  | { case: "deletedVideo"; value: string }
  /** Changes after the break are known no more: list the videos. */
  | { case: "isGap"; value: boolean };

/** Yields a video's events until its end, each once and in order, through broken connections. */
export async function* watchVideo(
  stub: Stub<typeof VideoService>,
  name: string,
  { afterEventId = "", isPreviewOmitted = false, signal }: WatchOptions,
  seconds: number,
): AsyncGenerator<VideoEvent, void, undefined> {
  const request = { name: resourceName("videos", name), afterEventId, isPreviewOmitted };
  const events = resumed(
    (attempt) => converted(stub.watchVideo(request, { signal: attempt })),
    { seconds, signal },
  );
  for await (const event of events) {
    if (event.eventId !== "") {
      request.afterEventId = event.eventId;
      yield event;
    }
  }
}

/** Yields the videos that have not ended, then every change, through broken connections. */
export async function* watchVideos(
  stub: Stub<typeof VideoService>,
  patience: Patience,
): AsyncGenerator<VideoChange, void, undefined> {
  const request = { afterEventId: "" };
  const changes = resumed(async function* (signal) {
    yield* converted(stub.watchVideos(request, { signal }));
    throw new UnavailableError("the stream, which has no end, ended");
  }, patience);
  for await (const { change, eventId } of changes) {
    request.afterEventId = eventId || request.afterEventId;
    if (change.case !== undefined) {
      yield change;
    }
  }
}

/** Yields what a stream brings; its errors become the client's own. */
export async function* converted<T>(stream: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  try {
    yield* stream;
  } catch (error) {
    throw clientError(error);
  }
}
