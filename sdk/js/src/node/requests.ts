import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  AudioMode,
  type Edit,
  EditSchema,
  type Extend,
  ExtendSchema,
  LoraSchema,
  OutputFormat,
  SizeSchema,
  Tier,
  Video_State,
  type VideoSpec,
  VideoSpecSchema,
} from "../gen/telecine/v1/video_pb.js";
import {
  type ListVideosRequest,
  ListVideosRequestSchema,
} from "../gen/telecine/v1/video_service_pb.js";
import { resourceName, type VideoOptions } from "../video_options.js";

/** Which videos a list is of; all of the caller's by default. */
export interface VideoFilter {
  states?: readonly ("queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled")[];
  model?: string;
  labels?: Readonly<Record<string, string>>;
  createTimeFrom?: Date;
  createTimeUntil?: Date;
  /** Newest first by default. */
  isOldestFirst?: boolean;
}

/** Returns an id that makes a call safe to repeat. */
export function newRequestId(): string {
  return randomUUID();
}

/** Puts a prompt and what else is asked for into a spec. */
export function videoSpec(prompt: string, options: VideoOptions): VideoSpec {
  const { size, audioMode, tier } = options;
  return create(VideoSpecSchema, {
    prompt,
    model: options.model && resourceName("models", options.model),
    negativePrompt: options.negativePrompt,
    seed: options.seed === undefined ? undefined : BigInt(options.seed),
    numInferenceSteps: options.numInferenceSteps,
    guidanceScale: options.guidanceScale,
    duration: duration(options.durationSeconds),
    fps: options.fps,
    size: size && create(SizeSchema, { width: size[0], height: size[1] }),
    sampler: options.sampler,
    audioMode: audioMode && enumValue("audioMode", AudioMode, audioMode),
    tier: tier && enumValue("tier", Tier, tier),
    expandPrompt: options.expandPrompt,
    inputImage: options.inputImage,
    inputAudio: options.inputAudio,
    outputFormats: options.outputFormats?.map((word) =>
      enumValue("outputFormats", OutputFormat, word),
    ),
    upscale: options.upscale,
    labels: options.labels && { ...options.labels },
    startWithin: duration(options.startWithinSeconds),
    loras: Object.entries(options.loras ?? {}).map(([name, scale]) =>
      create(LoraSchema, { name, scale }),
    ),
    edit: edit(options),
    extend: extend(options),
  });
}

/** Asks for the first page of the videos that pass the filter. */
export function listVideosRequest(
  filter: VideoFilter,
  pageSize: number,
): ListVideosRequest {
  const { states, model, labels, createTimeFrom, createTimeUntil, isOldestFirst } = filter;
  return create(ListVideosRequestSchema, {
    pageSize,
    states: states?.map((word) => enumValue("states", Video_State, word)),
    model: model && resourceName("models", model),
    labels: labels && { ...labels },
    isOldestFirst,
    createTimeFrom: createTimeFrom && timestampFromDate(createTimeFrom),
    createTimeUntil: createTimeUntil && timestampFromDate(createTimeUntil),
  });
}

function edit({ editSource, editStrength: strength }: VideoOptions): Edit | undefined {
  if (editSource === undefined) {
    return undefined;
  }
  return create(EditSchema, { source: resourceName("videos", editSource), strength });
}

function extend({ extendSource, extendSeconds }: VideoOptions): Extend | undefined {
  if (extendSource === undefined) {
    return undefined;
  }
  const source = resourceName("videos", extendSource);
  return create(ExtendSchema, { source, duration: duration(extendSeconds) });
}

function duration(seconds: number | undefined): Duration | undefined {
  return seconds === undefined ? undefined : durationFromMs(Math.round(seconds * 1000));
}

/** JavaScript does not check words: a wrong one would be sent as the enum's default. */
function enumValue<T extends number>(
  option: string,
  values: Record<string, T | string>,
  word: string,
): T {
  const value = values[word.toUpperCase()];
  if (typeof value !== "number") {
    throw new TypeError(`${option}: ${JSON.stringify(word)} is not one of its words`);
  }
  return value;
}
