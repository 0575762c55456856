import { createClient, type Client as Stub } from "@connectrpc/connect";
import { AccountService } from "../gen/telecine/v1/account_service_pb.js";
import { ModelService } from "../gen/telecine/v1/model_service_pb.js";
import type { Model } from "../gen/telecine/v1/model_pb.js";
import type { CostEstimate, Usage } from "../gen/telecine/v1/usage_pb.js";
import type { Artifact, Media, Video, VideoEvent } from "../gen/telecine/v1/video_pb.js";
import { VideoService } from "../gen/telecine/v1/video_service_pb.js";
import { repeated } from "../resumption.js";
import {
  type CallOptions,
  type CreateVideoOptions,
  resourceName,
  type VideoOptions,
  type WatchOptions,
} from "../video_options.js";
import { type ClientOptions, type Connection, connect } from "./connection.js";
import { downloadVideo } from "./download_file.js";
import { type DownloadOptions, type ReadOptions, readVideo } from "./downloads.js";
import { clientError } from "./errors.js";
import { listVideosRequest, newRequestId, type VideoFilter, videoSpec } from "./requests.js";
import { type VideoChange, watchVideo, watchVideos } from "./streams.js";
import { uploadRequests } from "./uploads.js";

const MAX_PAGE_SIZE = 1000;

/** A connection to a Telecine server by gRPC; close it when done. */
export class Client {
  readonly #connection: Connection;
  readonly #videos: Stub<typeof VideoService>;
  readonly #models: Stub<typeof ModelService>;
  readonly #account: Stub<typeof AccountService>;
  readonly #timeoutSeconds: number;
  readonly #patienceSeconds: number;

  /** Connects to `address`, the gateway's `host:port`, when the first call is made. */
  constructor(address: string, options: ClientOptions = {}) {
    this.#connection = connect(address, options);
    this.#videos = createClient(VideoService, this.#connection.transport);
    this.#models = createClient(ModelService, this.#connection.transport);
    this.#account = createClient(AccountService, this.#connection.transport);
    this.#timeoutSeconds = options.timeoutSeconds ?? 30;
    this.#patienceSeconds = options.patienceSeconds ?? 60;
  }

  /** Closes the connection; open streams end. */
  close(): void {
    this.#connection.close();
  }

  /** Asks for a video; it comes back queued, at once. */
  async createVideo(
    prompt: string,
    options: VideoOptions & CreateVideoOptions = {},
  ): Promise<Video> {
    const { requestId = newRequestId(), webhookUrl = "", signal, ...asked } = options;
    const request = { spec: videoSpec(prompt, asked), requestId, webhookUrl };
    return this.#call((own) => this.#videos.createVideo(request, { signal: own }), { signal });
  }

  /** Asks for several videos of one prompt, each with a seed of its own. */
  async createVideos(
    prompt: string,
    numVideos: number,
    options: VideoOptions & CreateVideoOptions = {},
  ): Promise<Video[]> {
    const { requestId = newRequestId(), webhookUrl = "", signal, ...asked } = options;
    const request = { spec: videoSpec(prompt, asked), numVideos, requestId, webhookUrl };
    const answer = await this.#call(
      (own) => this.#videos.batchCreateVideos(request, { signal: own }),
      { signal },
    );
    return answer.videos;
  }

  /** Returns a video as it is now. */
  async getVideo(name: string, options: CallOptions = {}): Promise<Video> {
    const request = { name: resourceName("videos", name) };
    return this.#call((signal) => this.#videos.getVideo(request, { signal }), options);
  }

  /** Yields videos, newest first; the next page is asked for when it is needed. */
  async *listVideos(
    options: VideoFilter & CallOptions & { pageSize?: number } = {},
  ): AsyncGenerator<Video, void, undefined> {
    const { signal, pageSize = 50, ...filter } = options;
    const request = listVideosRequest(filter, pageSize);
    do {
      const page = await this.#call(
        (own) => this.#videos.listVideos(request, { signal: own }),
        { signal },
      );
      yield* page.videos;
      request.pageToken = page.nextPageToken;
    } while (request.pageToken !== "");
  }

  /** Yields a video's events until its end, each once and in order, through broken connections. */
  watchVideo(
    name: string,
    options: WatchOptions = {},
  ): AsyncGenerator<VideoEvent, void, undefined> {
    return watchVideo(this.#videos, name, options, this.#patienceSeconds);
  }

  /** Yields the caller's videos that have not ended, then every change of any; it never ends. */
  watchVideos(options: CallOptions = {}): AsyncGenerator<VideoChange, void, undefined> {
    return watchVideos(this.#videos, { seconds: this.#patienceSeconds, ...options });
  }

  /** Returns the video when it has ended, well or not. */
  async waitForVideo(name: string, options: CallOptions = {}): Promise<Video> {
    for await (const _ of this.watchVideo(name, { ...options, isPreviewOmitted: true }));
    return this.getVideo(name, options);
  }

  /** Asks to stop a video; one that has ended stays as it is. */
  async cancelVideo(name: string, options: CallOptions = {}): Promise<Video> {
    const request = { name: resourceName("videos", name) };
    return this.#call((signal) => this.#videos.cancelVideo(request, { signal }), options);
  }

  /** Sets a video aside; a running one stops at the end of its slice and keeps what is done. */
  async pauseVideo(name: string, options: CallOptions = {}): Promise<Video> {
    const request = { name: resourceName("videos", name) };
    return this.#call((signal) => this.#videos.pauseVideo(request, { signal }), options);
  }

  /** Queues a paused video again; it goes on where it was. */
  async resumeVideo(name: string, options: CallOptions = {}): Promise<Video> {
    const request = { name: resourceName("videos", name) };
    return this.#call((signal) => this.#videos.resumeVideo(request, { signal }), options);
  }

  /** Removes a video that has ended, with its files. */
  async deleteVideo(name: string, options: CallOptions = {}): Promise<void> {
    const request = { name: resourceName("videos", name) };
    await this.#call((signal) => this.#videos.deleteVideo(request, { signal }), options);
  }

  /** Writes one file of a video to `path`, through broken connections, and checks its digest. */
  downloadVideo(name: string, path: string, options: DownloadOptions = {}): Promise<Artifact> {
    return downloadVideo(this.#videos, name, path, options, this.#patienceSeconds);
  }

  /** Yields a file's bytes, through broken connections; read from its beginning it is checked. */
  readVideo(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    return readVideo(this.#videos, name, options, this.#patienceSeconds);
  }

  /** Sends an image, a video or a sound track that a video can be made from; not repeated. */
  async uploadMedia(
    path: string,
    { contentType, signal }: CallOptions & { contentType?: string } = {},
  ): Promise<Media> {
    try {
      return await this.#videos.uploadMedia(uploadRequests(path, contentType), { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw clientError(error);
    }
  }

  /** Returns an upload. */
  getMedia(name: string, options: CallOptions = {}): Promise<Media> {
    const request = { name: resourceName("media", name) };
    return this.#call((signal) => this.#videos.getMedia(request, { signal }), options);
  }

  /** Yields the caller's uploads, newest first; asks for the next page when it is needed. */
  async *listMedia(
    { signal, pageSize = 50 }: CallOptions & { pageSize?: number } = {},
  ): AsyncGenerator<Media, void, undefined> {
    const request = { pageSize, pageToken: "" };
    do {
      const page = await this.#call(
        (own) => this.#videos.listMedia(request, { signal: own }),
        { signal },
      );
      yield* page.media;
      request.pageToken = page.nextPageToken;
    } while (request.pageToken !== "");
  }

  /** Removes an upload; a video that waits to be made from it will fail. */
  async deleteMedia(name: string, options: CallOptions = {}): Promise<void> {
    const request = { name: resourceName("media", name) };
    await this.#call((signal) => this.#videos.deleteMedia(request, { signal }), options);
  }

  /** Returns what a video would cost; it is not made. */
  async estimateCost(
    prompt: string,
    { signal, ...asked }: VideoOptions & CallOptions = {},
  ): Promise<CostEstimate> {
    const request = { spec: videoSpec(prompt, asked) };
    return this.#call((own) => this.#videos.estimateCost(request, { signal: own }), { signal });
  }

  /** Returns what a tenant uses, the own one by default. */
  async getUsage(tenant = "", options: CallOptions = {}): Promise<Usage> {
    const request = { name: tenant && `${resourceName("tenants", tenant)}/usage` };
    return this.#call((signal) => this.#account.getUsage(request, { signal }), options);
  }

  /** Returns the models the server has. */
  async listModels(options: CallOptions = {}): Promise<Model[]> {
    const request = { pageSize: MAX_PAGE_SIZE };
    const call = (signal: AbortSignal) => this.#models.listModels(request, { signal });
    return (await this.#call(call, options)).models;
  }

  /** Returns one model, with its limits and defaults. */
  async getModel(name: string, options: CallOptions = {}): Promise<Model> {
    const request = { name: resourceName("models", name) };
    return this.#call((signal) => this.#models.getModel(request, { signal }), options);
  }

  #call<T>(call: (signal: AbortSignal) => Promise<T>, options: CallOptions): Promise<T> {
    const tryOnce = async (signal: AbortSignal): Promise<T> => {
      try {
        return await call(signal);
      } catch (error) {
        throw clientError(error);
      }
    };
    return repeated(tryOnce, { seconds: this.#timeoutSeconds, ...options });
  }
}
