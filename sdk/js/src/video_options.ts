/** What a video may be asked for beside its prompt; what is left out is the model's default. */
export interface VideoOptions {
  /** `toybox`, or an alias. */
  model?: string;
  negativePrompt?: string;
  /** The same options with the same seed give the same video; a bigint above 2^53. */
  seed?: number | bigint;
  numInferenceSteps?: number;
  guidanceScale?: number;
  durationSeconds?: number;
  fps?: number;
  /** Width and height in pixels. */
  size?: readonly [width: number, height: number];
  sampler?: string;
  /** How sound is made; as the tier has it by default. */
  audioMode?: "none" | "joint" | "post_sync";
  tier?: "realtime" | "premium" | "standard" | "batch";
  expandPrompt?: boolean;
  /** The first frame: the name of an upload, `media/...`. */
  inputImage?: string;
  /**
   * The sound, taken as it is: the name of an upload, `media/...`. With the `audioMode` "joint" the
   * picture is made to it.
   */
  inputAudio?: string;
  outputFormats?: readonly ("mp4_h264" | "webm_vp9" | "mp4_av1")[];
  upscale?: number;
  labels?: Readonly<Record<string, string>>;
  /** The video ends, failed, where no worker has begun it in this time. */
  startWithinSeconds?: number;
  /** Adapters of the model by name, each with its scale: 1 as it was trained. */
  loras?: Readonly<Record<string, number>>;
  /** The video that is changed, or an upload, `media/...`; excludes `inputImage` and `extendSource`, as each does. */
  editSource?: string;
  /** How much is changed, 0 to 1. */
  editStrength?: number;
  /** The video that is gone on with, or an upload, `media/...`, for `extendSeconds` more. */
  extendSource?: string;
  extendSeconds?: number;
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What a call that makes something takes. */
export interface CreateOptions extends CallOptions {
  /** The same id with the same request returns the same video; a random one by default. */
  requestId?: string;
}

/** What a call that makes one video takes. */
export interface CreateVideoOptions extends CreateOptions {
  /** Is told of the video's end, signed as Standard Webhooks has it. */
  webhookUrl?: string;
}

/** What watching a video takes. */
export interface WatchOptions extends CallOptions {
  /** Only events after the one with this id. */
  afterEventId?: string;
  /** Leaves out the pictures, which are large. */
  isPreviewOmitted?: boolean;
}

/** Completes a bare id to a name: `toybox` of `models` is `models/toybox`. */
export function resourceName(collection: string, nameOrId: string): string {
  return nameOrId === "" || nameOrId.includes("/") ? nameOrId : `${collection}/${nameOrId}`;
}

/** The id of a name: `toybox` of `models/toybox`. */
export function resourceId(nameOrId: string): string {
  return nameOrId.slice(nameOrId.lastIndexOf("/") + 1);
}
