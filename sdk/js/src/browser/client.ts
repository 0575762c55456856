import type { components } from "../gen/rest.js";
import {
  type CallOptions,
  type CreateVideoOptions,
  resourceId,
  type WatchOptions,
} from "../video_options.js";
import { type ClientOptions, Connection, type Sent } from "./connection.js";
import { type DownloadOptions, downloadVideo, readVideo } from "./downloads.js";
import { type VideoEvent, watchVideo } from "./events.js";
import { creation, type RestVideoOptions } from "./requests.js";

/** A video as REST shows it; every field is told in docs/openapi.json. */
export type Video = components["schemas"]["VideoObject"];
/** A model as REST shows it. */
export type Model = components["schemas"]["ModelObject"];

/** Calls a Telecine server by REST and server-sent events, from anything that has fetch. */
export class Client {
  readonly #connection: Connection;

  /** Takes the gateway's URL, such as `https://telecine.example` or `location.origin`. */
  constructor(url: string, options: ClientOptions = {}) {
    this.#connection = new Connection(url, options);
  }

  /** Asks for a video; it comes back queued, at once. */
  createVideo(prompt: string, options: RestVideoOptions & CreateVideoOptions = {}): Promise<Video> {
    const { requestId = newRequestId(), signal, ...asked } = options;
    const { path, body } = creation(prompt, asked);
    const headers: Record<string, string> = { "idempotency-key": requestId };
    if (typeof body === "string") {
      headers["content-type"] = "application/json";
    }
    return this.#connection.json(path, { signal }, { method: "POST", headers, body });
  }

  /** Returns a video as it is now. */
  getVideo(id: string, options: CallOptions = {}): Promise<Video> {
    return this.#connection.json(videoPath(id), options);
  }

  /** Yields videos, newest first; the next page is asked for when it is needed. */
  async *listVideos(
    options: CallOptions & { isOldestFirst?: boolean; pageSize?: number } = {},
  ): AsyncGenerator<Video, void, undefined> {
    const order = options.isOldestFirst ? "asc" : "desc";
    const query = new URLSearchParams({ order, limit: String(options.pageSize ?? 50) });
    for (;;) {
      const page = await this.#connection.json<components["schemas"]["VideoList"]>(
        `/v1/videos?${query}`,
        options,
      );
      yield* page.data;
      if (!page.has_more || page.last_id === null) {
        return;
      }
      query.set("after", page.last_id);
    }
  }

  /** Yields a video's events until its end, each once and in order, through broken connections. */
  watchVideo(id: string, options: WatchOptions = {}): AsyncGenerator<VideoEvent, void, undefined> {
    return watchVideo(this.#connection, videoPath(id), options);
  }

  /** Returns the video when it has ended, well or not. */
  async waitForVideo(id: string, options: CallOptions = {}): Promise<Video> {
    for await (const _ of this.watchVideo(id, { ...options, isPreviewOmitted: true }));
    return this.getVideo(id, options);
  }

  /** Asks to stop a video; one that has ended stays as it is. */
  cancelVideo(id: string, options: CallOptions = {}): Promise<Video> {
    return this.#post(id, "cancel", options);
  }

  /** Sets a video aside; a running one stops at the end of its slice and keeps what is done. */
  pauseVideo(id: string, options: CallOptions = {}): Promise<Video> {
    return this.#post(id, "pause", options);
  }

  /** Queues a paused video again; it goes on where it was. */
  resumeVideo(id: string, options: CallOptions = {}): Promise<Video> {
    return this.#post(id, "resume", options);
  }

  /** Removes a video that has ended, with its files. */
  async deleteVideo(id: string, options: CallOptions = {}): Promise<void> {
    await this.#connection.json(videoPath(id), options, { method: "DELETE" });
  }

  /** Returns a file of a video, through broken connections, with its digest checked. */
  downloadVideo(id: string, options: DownloadOptions = {}): Promise<Blob> {
    return downloadVideo(this.#connection, videoPath(id), options);
  }

  /** Returns a file's bytes as a stream, through broken connections. */
  readVideo(id: string, options: DownloadOptions = {}): ReadableStream<Uint8Array> {
    return readVideo(this.#connection, videoPath(id), options);
  }

  /** Returns the models the server has. */
  async listModels(options: CallOptions = {}): Promise<Model[]> {
    const list = await this.#connection.json<{ data: Model[] }>("/v1/models", options);
    return list.data;
  }

  /** Returns one model, with its limits and defaults. */
  getModel(id: string, options: CallOptions = {}): Promise<Model> {
    return this.#connection.json(`/v1/models/${encodeURIComponent(resourceId(id))}`, options);
  }

  #post(id: string, verb: string, options: CallOptions): Promise<Video> {
    const sent: Sent = { method: "POST" };
    return this.#connection.json(`${videoPath(id)}/${verb}`, options, sent);
  }
}

function videoPath(id: string): string {
  return `/v1/videos/${encodeURIComponent(resourceId(id))}`;
}

/** Pages that came without TLS have no crypto.randomUUID. */
function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
