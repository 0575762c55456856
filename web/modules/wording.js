/**
 * What the page says of a video, in words.
 *
 * @typedef {import("./types.js").Video} Video
 */

/** @type {Record<string, string>} */
const STAGES = {
  loading: "Loading the model",
  conditioning: "Reading the prompt",
  denoising: "Making the picture",
  decoding: "Decoding the frames",
  audio: "Making the sound",
  safety: "Checking the result",
  uploading: "Saving the file",
};

/** @type {Record<string, string>} */
const FAILURES = {
  content_blocked: "It was made, and is withheld because of what it shows.",
  start_deadline_exceeded: "No worker had time for it before its deadline.",
};

/** @type {Record<string, string>} */
const NOTICES = {
  MODEL_SERVER_UNAVAILABLE: "The model server is away. The video waits for it, and then goes on.",
  OBJECT_STORE_UNAVAILABLE: "The file store is away. The video waits for it, and then goes on.",
};

const MICROCREDITS = 1_000_000;

/** @param {Video} video @returns {string} where it stands */
export function statusOf(video) {
  switch (video.state) {
    case "QUEUED":
      return queueWords(video.queue_position);
    case "RUNNING":
      return STAGES[video.stage ?? ""] ?? "Starting";
    case "PAUSED":
      return "Paused";
    case "SUCCEEDED":
      return "Ready";
    case "CANCELLED":
      return "Cancelled";
    default:
      return "Failed";
  }
}

/** @param {Video} video @returns {string} how far it is; empty where nobody knows */
export function progressOf(video) {
  const parts = [];
  const isUnderWay = video.state === "RUNNING" || video.state === "PAUSED";
  if (isUnderWay && video.num_steps && (video.step_index || video.stage === "denoising")) {
    parts.push(`step ${video.step_index} of ${video.num_steps}`);
  }
  if (video.state === "RUNNING" && video.eta_seconds) {
    parts.push(`about ${durationWords(video.eta_seconds)} left`);
  }
  const wait = (video.estimated_start_at ?? 0) - Date.now() / 1000;
  if (video.state === "QUEUED" && wait > 1) {
    parts.push(`starts in about ${durationWords(wait)}`);
  }
  return parts.join(", ");
}

/** @param {Video} video @returns {string} why it failed; empty where it did not */
export function failureOf(video) {
  if (video.state !== "FAILED") {
    return "";
  }
  return FAILURES[video.error?.code ?? ""] ?? video.error?.message ?? "Nobody knows why.";
}

/** @param {string} reason @param {string} message @returns {string} what the server has to say */
export function noticeWords(reason, message) {
  const words = NOTICES[reason] ?? message;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {number} num @returns {string} */
export function queuedWords(num) {
  return num === 1 ? "The video is queued." : `${num} videos are queued.`;
}

/** @param {Video} video @returns {string} its price; empty where the server has none */
export function costOf(video) {
  const { charged_microcredits: charged, estimated_microcredits: estimated } = video;
  if (!estimated) {
    return "";
  }
  return typeof charged === "number"
    ? `cost ${creditWords(charged)}`
    : `at most ${creditWords(estimated)}`;
}

/** @param {Video} video @returns {string} its length, size and rate, in a line */
export function formatOf(video) {
  return `${shapeOf(video)}, ${video.fps} fps`;
}

/** @param {Video} video @returns {string} its length and size */
export function shapeOf(video) {
  return `${video.seconds} s, ${video.size.replace("x", " × ")}`;
}

/** @param {number} seconds @returns {string} */
export function durationWords(seconds) {
  if (seconds < 90) {
    return `${Math.max(1, Math.round(seconds))} s`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** @param {number} seconds since 1970 @returns {string} */
export function timeWords(seconds) {
  const time = new Date(seconds * 1000);
  return time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** @param {string} text @returns {string} short enough to be part of a button's name */
export function shortened(text) {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** @param {number | null} position */
function queueWords(position) {
  if (!position) {
    return "Next in line";
  }
  return position === 1 ? "1 video ahead of it" : `${position} videos ahead of it`;
}

/** @param {number} microcredits @returns {string} */
export function creditWords(microcredits) {
  const amount = (microcredits / MICROCREDITS).toLocaleString(undefined, {
    maximumFractionDigits: 3,
  });
  return `${amount} credits`;
}
