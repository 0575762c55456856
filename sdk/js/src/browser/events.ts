import { UnavailableError } from "../errors.js";
import { resumed } from "../resumption.js";
import type { components } from "../gen/rest.js";
import type { CallOptions, WatchOptions } from "../video_options.js";
import type { Connection } from "./connection.js";
import { streamError } from "./errors.js";
import { readEntries, type StreamEntry } from "./server_sent_events.js";

type Video = components["schemas"]["VideoObject"];

interface EventHead<Type extends string> {
  type: Type;
  id: string;
  /** Seconds since 1970. */
  time: number;
}

/** Something that happened to a video; `type` says what, and what else it has. */
export type VideoEvent =
  | (EventHead<"state_changed"> & {
      state: "QUEUED" | "RUNNING" | "PAUSED" | "SUCCEEDED" | "FAILED" | "CANCELLED";
      queue_position?: number;
      error?: { code: string; message: string };
    })
  | (EventHead<"stage_changed"> & { stage: string })
  | (EventHead<"step_finished"> & {
      step_index: number;
      num_inference_steps: number;
      sigma: number;
      elapsed_seconds: number;
      eta_seconds: number;
    })
  | (EventHead<"preview"> & { step_index: number; image_url: string })
  | (EventHead<"queue_moved"> & { queue_position: number })
  | (EventHead<"fragment_ready"> & {
      artifact_id: string;
      offset: number;
      size_bytes: number;
      digest: string;
      num_frames: number;
      attempt: number;
    })
  | (EventHead<"artifact_ready"> & {
      artifact_id: string;
      kind: string;
      content_type: string;
      size_bytes: number;
      digest: string;
    })
  | (EventHead<"notice"> & { reason: string; message: string });

const NO_CONTENT = 204;

/** Yields a video's events until its end, each once and in order, through broken connections. */
export function watchVideo(
  connection: Connection,
  path: string,
  { afterEventId = "", isPreviewOmitted = false, signal }: WatchOptions,
): AsyncGenerator<VideoEvent, void, undefined> {
  let after = afterEventId;
  const open = async function* (own: AbortSignal): AsyncGenerator<VideoEvent, void, undefined> {
    const query = new URLSearchParams({ preview: String(!isPreviewOmitted) });
    if (after !== "") {
      query.set("after", after);
    }
    const response = await connection.open(`${path}/events?${query}`, own);
    if (response.status === NO_CONTENT || response.body === null) {
      return; // the end was seen
    }
    for await (const event of readEvents(response.body)) {
      after = event.id;
      yield event;
    }
  };
  return resumed(open, { seconds: connection.patienceSeconds, signal });
}

async function* readEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<VideoEvent, void, undefined> {
  for await (const entry of readEntries(body)) {
    if (entry.event === "error") {
      throw streamError(entry.data);
    }
    if (entry.event === "") {
      continue;
    }
    const event = JSON.parse(entry.data) as VideoEvent;
    yield event;
    if (isLast(event)) {
      return;
    }
  }
  // A proxy on the way may end a stream as if it were over.
  throw new UnavailableError("the stream ended before the video");
}

/** A change of one of the caller's videos; `gap` says that some are not known any more. */
export type VideoChange =
  | { type: "video"; video: Video }
  | { type: "deleted"; id: string }
  | { type: "gap" };

/** Yields the videos that have not ended, then every change, through broken connections. */
export function watchVideos(
  connection: Connection,
  { signal }: CallOptions,
): AsyncGenerator<VideoChange, void, undefined> {
  let after = "";
  const open = async function* (own: AbortSignal): AsyncGenerator<VideoChange, void, undefined> {
    const query = after && `?${new URLSearchParams({ after })}`;
    const response = await connection.open(`/v1/videos/events${query}`, own);
    for await (const entry of response.body === null ? [] : readEntries(response.body)) {
      if (entry.event === "error") {
        throw streamError(entry.data);
      }
      if (entry.data !== "") {
        yield changeOf(entry);
      }
      after = entry.id || after;
    }
    throw new UnavailableError("the stream, which has no end, ended");
  };
  return resumed(open, { seconds: connection.patienceSeconds, signal });
}

function changeOf({ event, data }: StreamEntry): VideoChange {
  switch (event) {
    case "video":
      return { type: "video", video: JSON.parse(data) as Video };
    case "deleted":
      return { type: "deleted", id: (JSON.parse(data) as { id: string }).id };
    default:
      return { type: "gap" };
  }
}

function isLast(event: VideoEvent): boolean {
  return (
    event.type === "state_changed" && ["SUCCEEDED", "FAILED", "CANCELLED"].includes(event.state)
  );
}
