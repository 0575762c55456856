import { ApiError } from "./api_client.js";

/** @type {Record<string, string>} */
const MESSAGES = {
  api_key_invalid: "This server does not know that key. Was all of it copied?",
  api_key_expired: "That key has expired. Ask for a new one.",
  api_key_revoked: "That key was revoked. Ask for a new one.",
  credentials_malformed: "That is not an API key.",
  queue_full: "The queue is full. Try again in a moment.",
  not_implemented: "This server cannot do that yet.",
};

/**
 * Says what went wrong, for a person. The name of the field, which a label beside it has, is left
 * out.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function errorWords(error) {
  if (!(error instanceof ApiError)) {
    return error instanceof Error ? error.message : String(error);
  }
  const known = MESSAGES[error.code];
  if (known) {
    return known;
  }
  const prefix = `${error.param}: `;
  const bare = error.message.startsWith(prefix)
    ? error.message.slice(prefix.length)
    : error.message;
  const sentence = bare.charAt(0).toUpperCase() + bare.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
