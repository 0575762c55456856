import { noticeWords } from "./wording.js";

/** @typedef {import("./types.js").Video} Video */

/** @type {Record<string, (event: import("./types.js").VideoEvent) => Partial<Video>>} */
const CHANGES = {
  state_changed: ({ state, queue_position = null, error = null }) => ({
    state,
    queue_position,
    error,
    stage: null,
    eta_seconds: null,
    notice: "",
  }),
  stage_changed: ({ stage }) => ({ stage, notice: "" }),
  step_finished: ({ step_index, num_inference_steps, eta_seconds }) => ({
    step_index,
    num_steps: num_inference_steps,
    eta_seconds,
    notice: "",
  }),
  preview: ({ image_url }) => ({ image_url }),
  notice: ({ reason, message }) => ({ notice: noticeWords(reason, message) }),
  queue_moved: ({ queue_position }) => ({ queue_position }),
};

/**
 * Returns a video as it is after one of its events.
 *
 * @param {Video} video
 * @param {import("./types.js").VideoEvent} event
 * @returns {Video}
 */
export function afterEvent(video, event) {
  return { ...video, ...CHANGES[event.type]?.(event) };
}

/** @param {string | undefined} state whether nothing more comes */
export function isEnded(state) {
  return state === "SUCCEEDED" || state === "FAILED" || state === "CANCELLED";
}
