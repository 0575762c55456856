/** The client for browsers: REST and server-sent events, with REST's objects as answers. */
export * from "../errors.js";
export type { CallOptions, CreateVideoOptions, WatchOptions } from "../video_options.js";
export {
  Client,
  type CostEstimate,
  type Media,
  type Model,
  type Quota,
  type Usage,
  type Video,
} from "./client.js";
export type { ApiKey, ClientOptions } from "./connection.js";
export type { DownloadOptions } from "./downloads.js";
export type { VideoChange, VideoEvent } from "./events.js";
export type { RestVideoOptions as VideoOptions, VideoFilter } from "./requests.js";
