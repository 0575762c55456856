import type { components } from "../gen/rest.js";
import {
  type CallOptions,
  type CreateVideoOptions,
  resourceId,
  type WatchOptions,
} from "../video_options.js";
import { type ClientOptions, Connection, type Sent } from "./connection.js";
import { type DownloadOptions, downloadVideo, readVideo } from "./downloads.js";
import { type VideoChange, type VideoEvent, watchVideo, watchVideos } from "./events.js";
import { creation, estimate, listQuery, type RestVideoOptions, type VideoFilter } from "./requests.js";

/** A video as REST shows it; every field is told in docs/openapi.json. */
export type Video = components["schemas"]["VideoObject"];
/** A model as REST shows it. */
export type Model = components["schemas"]["ModelObject"];
/** An upload; `id` is what `inputImage` takes. */
export type Media = components["schemas"]["MediaObject"];
/** What videos would cost, in millionths of a credit. */
export type CostEstimate = components["schemas"]["CostEstimate"];
/** What a tenant uses. */
export type Usage = components["schemas"]["UsageObject"];
/** How much a tenant may use; null is no limit. */
export type Quota = components["schemas"]["QuotaObject"];

const JSON_HEADERS = { "content-type": "application/json" };

type VideoList = components["schemas"]["VideoList"];
/** A page of anything that is listed. */
type Page<T> = Pick<VideoList, "has_more" | "last_id"> & { data: T[] };

/** Calls a Telecine server by REST and server-sent events, from anything that has fetch. */
export class Client {
  readonly #connection: Connection;

  /** Takes the gateway's URL, such as `https://telecine.example` or `location.origin`. */
  constructor(url: string, options: ClientOptions = {}) {
    this.#connection = new Connection(url, options);
  }

  /** Asks for a video; it comes back queued, at once. */
  createVideo(prompt: string, options: RestVideoOptions & CreateVideoOptions = {}): Promise<Video> {
    return this.#create(prompt, options);
  }

  /** Asks for several videos of one prompt, each with a seed of its own; all are taken or none. */
  async createVideos(
    prompt: string,
    numVideos: number,
    options: RestVideoOptions & CreateVideoOptions = {},
  ): Promise<Video[]> {
    return (await this.#create<VideoList>(prompt, options, numVideos)).data;
  }

  /** Returns a video as it is now. */
  getVideo(id: string, options: CallOptions = {}): Promise<Video> {
    return this.#connection.json(videoPath(id), options);
  }

  /** Yields videos, newest first; the next page is asked for when it is needed. */
  async *listVideos(
    options: VideoFilter & CallOptions & { pageSize?: number } = {},
  ): AsyncGenerator<Video, void, undefined> {
    const { signal, pageSize = 50, ...filter } = options;
    yield* this.#list<Video>("/v1/videos", listQuery(filter, pageSize), { signal });
  }

  /** Yields a video's events until its end, each once and in order, through broken connections. */
  watchVideo(id: string, options: WatchOptions = {}): AsyncGenerator<VideoEvent, void, undefined> {
    return watchVideo(this.#connection, videoPath(id), options);
  }

  /**
   * Yields the caller's videos that have not ended, then every change of any; it never ends. After
   * a break it goes on with what has changed meanwhile, and says where that is not known any more.
   */
  watchVideos(options: CallOptions = {}): AsyncGenerator<VideoChange, void, undefined> {
    return watchVideos(this.#connection, options);
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

  /** Sends a picture, a video or a sound track that a video can be made from; not repeated. */
  async uploadMedia(file: Blob, { signal }: CallOptions = {}): Promise<Media> {
    const body = new FormData();
    body.append("file", file);
    return this.#connection.once("/v1/media", { signal }, { method: "POST", body });
  }

  /** Returns what is known of an upload. */
  getMedia(id: string, options: CallOptions = {}): Promise<Media> {
    return this.#connection.json(mediaPath(id), options);
  }

  /** Yields the caller's uploads, newest first; the next page is asked for when it is needed. */
  async *listMedia(
    { signal, pageSize = 50 }: CallOptions & { pageSize?: number } = {},
  ): AsyncGenerator<Media, void, undefined> {
    const query = new URLSearchParams({ limit: String(pageSize) });
    yield* this.#list<Media>("/v1/media", query, { signal });
  }

  /** Removes an upload; a video that waits to be made from it will fail. */
  async deleteMedia(id: string, options: CallOptions = {}): Promise<void> {
    await this.#connection.json(mediaPath(id), options, { method: "DELETE" });
  }

  /** Returns what a video, or several, would cost; none is made. A file is not looked at. */
  estimateCost(
    prompt: string,
    { signal, numVideos = 1, ...asked }: RestVideoOptions & CallOptions & { numVideos?: number } = {},
  ): Promise<CostEstimate> {
    const body = estimate(prompt, asked, numVideos);
    const sent: Sent = { method: "POST", headers: JSON_HEADERS, body };
    return this.#connection.json("/v1/videos/estimate", { signal }, sent);
  }

  /** Returns what the caller's tenant uses. */
  getUsage(options: CallOptions = {}): Promise<Usage> {
    return this.#connection.json("/v1/usage", options);
  }

  /** Returns how much the caller's tenant may use. */
  getQuota(options: CallOptions = {}): Promise<Quota> {
    return this.#connection.json("/v1/quota", options);
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

  async *#list<T>(
    path: string,
    query: URLSearchParams,
    options: CallOptions,
  ): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const page = await this.#connection.json<Page<T>>(`${path}?${query}`, options);
      yield* page.data;
      if (!page.has_more || page.last_id === null) {
        return;
      }
      query.set("after", page.last_id);
    }
  }

  #create<T = Video>(
    prompt: string,
    options: RestVideoOptions & CreateVideoOptions,
    numVideos?: number,
  ): Promise<T> {
    const { requestId = newRequestId(), signal, ...asked } = options;
    const { path, body } = creation(prompt, asked, numVideos);
    const headers: Record<string, string> = { "idempotency-key": requestId };
    if (typeof body === "string") {
      Object.assign(headers, JSON_HEADERS);
    }
    return this.#connection.json(path, { signal }, { method: "POST", headers, body });
  }

  #post(id: string, verb: string, options: CallOptions): Promise<Video> {
    const sent: Sent = { method: "POST" };
    return this.#connection.json(`${videoPath(id)}/${verb}`, options, sent);
  }
}

function mediaPath(id: string): string {
  return `/v1/media/${encodeURIComponent(resourceId(id))}`;
}

function videoPath(id: string): string {
  return `/v1/videos/${encodeURIComponent(resourceId(id))}`;
}

/** Pages that came without TLS have no crypto.randomUUID. */
function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
