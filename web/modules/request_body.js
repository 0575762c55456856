import { labelWords } from "./labels_field.js";

/** Translates between the form's fields and what the API takes and shows. */

/**
 * Returns the request that a form stands for.
 *
 * @param {import("./form_field.js").FormField[]} fields
 * @returns {FormData}
 */
export function requestBody(fields) {
  const body = new FormData();
  for (const [name, value] of fields.flatMap((field) => field.entries())) {
    body.append(name, value);
  }
  return body;
}

/**
 * Puts a video's settings into the fields.
 *
 * @param {import("./form_field.js").FormField[]} fields
 * @param {import("./types.js").Video} video
 */
export function fillFields(fields, video) {
  for (const { name, control } of fields) {
    const value = settingOf(video, name, control.dataset.lora);
    if (control instanceof HTMLInputElement && control.type === "checkbox") {
      control.checked = value === "true";
    } else if (control.type !== "file") {
      control.value = value;
    }
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

/**
 * @param {import("./types.js").Video} video
 * @param {string} name
 * @param {string} [lora]
 * @returns {string}
 */
function settingOf(video, name, lora) {
  switch (name) {
    case "n":
      return "1";
    case "labels":
      return labelWords(video.labels);
    case "expand_prompt":
      return String(video.expanded_prompt !== null);
    case "loras":
      return String(video.loras.find((each) => each.name === lora)?.scale ?? "");
    case "seed":
      // A larger one lost digits on its way into a JavaScript number.
      return Number.isSafeInteger(video.seed) ? String(video.seed) : "";
    default:
      return String(video[/** @type {keyof import("./types.js").Video} */ (name)] ?? "");
  }
}
