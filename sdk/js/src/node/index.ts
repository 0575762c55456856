/** The client for Node: gRPC, with messages of telecine.v1 as answers. */
export * from "../errors.js";
export * from "../gen/telecine/v1/model_pb.js";
export * from "../gen/telecine/v1/usage_pb.js";
export * from "../gen/telecine/v1/video_pb.js";
export type {
  CallOptions,
  CreateOptions,
  CreateVideoOptions,
  VideoOptions,
  WatchOptions,
} from "../video_options.js";
export { Client } from "./client.js";
export type { ApiKey, ClientOptions, TlsOptions } from "./connection.js";
export type { DownloadOptions, ReadOptions } from "./downloads.js";
export type { VideoFilter } from "./requests.js";
export type { VideoChange } from "./streams.js";
