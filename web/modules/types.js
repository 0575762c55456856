/**
 * The shapes that the HTTP API sends, as far as this page reads them.
 *
 * @typedef {object} Video
 * @property {string} id
 * @property {number} created_at
 * @property {string} model
 * @property {string} prompt
 * @property {string} seconds
 * @property {string} size
 * @property {"QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "PAUSED"} state
 * @property {string | null} stage
 * @property {number} progress
 * @property {number | null} queue_position
 * @property {number | null} estimated_start_at
 * @property {number | null} started_at
 * @property {number | null} ended_at
 * @property {number} step_index
 * @property {number} num_steps
 * @property {number} num_frames
 * @property {string | null} expanded_prompt
 * @property {string[]} warnings
 * @property {{code: string, message: string} | null} error
 * @property {string} negative_prompt
 * @property {number} seed
 * @property {number} num_inference_steps
 * @property {number} guidance_scale
 * @property {number} fps
 * @property {string} sampler
 * @property {string} tier
 * @property {string} audio_mode
 * @property {string | null} input_audio
 * @property {number} upscale
 * @property {{name: string, scale: number}[]} loras
 * @property {Record<string, string>} labels
 * @property {string | null} video_url
 * @property {string | null} thumbnail_url
 * @property {number} [estimated_microcredits]
 * @property {number | null} [charged_microcredits]
 * @property {number | null} [eta_seconds] from its events
 * @property {string} [image_url] a preview, from its events
 * @property {string} [notice] from its events
 *
 * @typedef {object} Model
 * @property {string} id
 * @property {string} display_name
 * @property {boolean} is_default
 * @property {string} state
 * @property {string[]} features
 * @property {string[]} loras
 * @property {ModelLimits} limits
 * @property {ModelDefaults} defaults
 *
 * @typedef {object} ModelLimits
 * @property {string[]} sizes
 * @property {number} min_num_frames
 * @property {number} max_num_frames
 * @property {number} frames_multiple
 * @property {number} min_num_inference_steps
 * @property {number} max_num_inference_steps
 * @property {number} min_fps
 * @property {number} max_fps
 * @property {number} min_guidance_scale
 * @property {number} max_guidance_scale
 * @property {string[]} samplers
 * @property {string[]} audio_modes
 * @property {boolean} is_image_required
 *
 * @typedef {object} ModelDefaults
 * @property {string} seconds
 * @property {string} size
 * @property {string} negative_prompt
 * @property {number} num_inference_steps
 * @property {number} guidance_scale
 * @property {number} fps
 * @property {string} sampler
 *
 * @typedef {object} VideoList
 * @property {Video[]} data
 * @property {string | null} last_id
 * @property {boolean} has_more
 *
 * @typedef {object} CostEstimate
 * @property {number} microcredits
 * @property {number | null} available_microcredits
 *
 * @typedef {object} Media
 * @property {string} id
 * @property {string} content_type
 *
 * @typedef {Record<string, any> & {type: string, id: string}} VideoEvent
 */

export {};
