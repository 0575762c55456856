import type { components } from "../gen/rest.js";
import { type CreateVideoOptions, resourceId, type VideoOptions } from "../video_options.js";

type Schemas = components["schemas"];
type Body = Partial<Schemas["CreateBody"] & Schemas["EditBody"] & Schemas["ExtendBody"]>;

/** What a video may be asked for by HTTP: what gRPC takes, or a picture itself. */
export interface RestVideoOptions extends VideoOptions {
  /** The first frame: a file, or its URL, `data:` or one that the server may fetch. */
  inputReference?: Blob | string;
}

/** Which videos are listed. */
export interface VideoFilter {
  statuses?: readonly Schemas["VideoObject"]["status"][];
  model?: string;
  labels?: Readonly<Record<string, string>>;
  /** A Unix time in seconds, as `created_at`; videos of that second are listed. */
  createdAfter?: number;
  /** A Unix time in seconds; videos of that second are not listed. */
  createdBefore?: number;
  /** Newest first by default. */
  isOldestFirst?: boolean;
}

/** A request that makes a video. */
export interface Creation {
  path: string;
  body: string | FormData;
}

/** Puts a prompt and what else is asked for into a request: JSON, or a form for a file. */
export function creation(
  prompt: string,
  options: RestVideoOptions & Pick<CreateVideoOptions, "webhookUrl">,
  numVideos?: number,
): Creation {
  const path = pathOf(options);
  const body = withoutUndefined({
    ...plainBody(prompt, options),
    ...sourceBody(options),
    webhook_url: options.webhookUrl,
    n: numVideos,
  });
  if (options.inputReference instanceof Blob) {
    return { path, body: formOf(body, options.inputReference) };
  }
  return { path, body: JSON.stringify(body) };
}

/** Puts what is listed into a URL's query. */
export function listQuery(filter: VideoFilter, pageSize: number): URLSearchParams {
  const { statuses = [], model, labels = {}, createdAfter, createdBefore } = filter;
  const order = filter.isOldestFirst ? "asc" : "desc";
  const query = new URLSearchParams({ order, limit: String(pageSize) });
  statuses.forEach((status) => query.append("status", status));
  Object.entries(labels).forEach(([key, value]) => query.append(`label[${key}]`, value));
  const plain = {
    model: model && resourceId(model),
    created_after: createdAfter,
    created_before: createdBefore,
  };
  for (const [name, value] of Object.entries(plain)) {
    if (value !== undefined) query.append(name, String(value));
  }
  return query;
}

/** Puts the question what such videos would cost into a request's JSON. */
export function estimate(prompt: string, options: RestVideoOptions, numVideos: number): string {
  const { inputReference: _, ...priced } = options;
  const body = withoutUndefined({ ...plainBody(prompt, priced), ...sourceBody(priced) });
  return JSON.stringify({ ...body, kind: kindOf(options), n: numVideos });
}

function kindOf({ editSource, extendSource }: RestVideoOptions): string {
  if (editSource !== undefined) {
    return "edit";
  }
  return extendSource === undefined ? "create" : "extend";
}

function pathOf({ editSource, extendSource }: RestVideoOptions): string {
  if (editSource !== undefined) {
    return "/v1/videos/edits";
  }
  return extendSource === undefined ? "/v1/videos" : "/v1/videos/extensions";
}

function plainBody(prompt: string, options: RestVideoOptions): Body {
  return {
    prompt,
    model: options.model && resourceId(options.model),
    negative_prompt: options.negativePrompt,
    seed: options.seed === undefined ? undefined : safeInteger(options.seed),
    num_inference_steps: options.numInferenceSteps,
    guidance_scale: options.guidanceScale,
    fps: options.fps,
    size: options.size && `${options.size[0]}x${options.size[1]}`,
    sampler: options.sampler,
    audio_mode: options.audioMode,
    tier: options.tier,
    expand_prompt: options.expandPrompt,
    input_audio: options.inputAudio,
    output_formats: options.outputFormats && [...options.outputFormats],
    upscale: options.upscale,
    labels: options.labels && { ...options.labels },
    start_within: secondsText(options.startWithinSeconds),
    loras:
      options.loras && Object.entries(options.loras).map(([name, scale]) => ({ name, scale })),
  };
}

function sourceBody(options: RestVideoOptions): Body {
  const whole = secondsText(options.durationSeconds);
  if (options.editSource !== undefined) {
    const video = sourceVideo(options.editSource);
    return { video, strength: options.editStrength, seconds: whole };
  }
  if (options.extendSource !== undefined) {
    const video = sourceVideo(options.extendSource);
    return { video, seconds: secondsText(options.extendSeconds), total_seconds: whole };
  }
  const { inputImage, inputReference } = options;
  if (typeof inputReference === "string") {
    return { seconds: whole, input_reference: { image_url: inputReference } };
  }
  const stored = inputImage === undefined ? undefined : { file_id: inputImage };
  return { seconds: whole, input_reference: stored };
}

/** A video by its id or name, or an upload by its name. */
function sourceVideo(source: string): Schemas["SourceVideo"] {
  const id = resourceId(source);
  return source.startsWith("media/") ? { file_id: id } : { id };
}

function formOf(body: Record<string, unknown>, file: Blob): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) {
    if (Array.isArray(value)) {
      value.forEach((item) => form.append(`${name}[]`, listItem(item)));
    } else if (typeof value === "object" && value !== null) {
      Object.entries(value).forEach(([key, item]) => form.append(`${name}[${key}]`, String(item)));
    } else {
      form.append(name, String(value));
    }
  }
  form.append("input_reference", file);
  return form;
}

function listItem(item: unknown): string {
  const isLora = typeof item === "object" && item !== null && "name" in item && "scale" in item;
  return isLora ? `${item.name}=${item.scale}` : String(item);
}

/** A number of JSON is exact to 53 bits; gRPC takes all 63. */
function safeInteger(seed: number | bigint): number {
  if (!Number.isSafeInteger(Number(seed))) {
    throw new RangeError(`seed: ${seed} is not a whole number below 2^53`);
  }
  return Number(seed);
}

function secondsText(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : String(seconds);
}

function withoutUndefined(body: Body): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}
