/** Translates between the form's fields and what the API takes and shows. */

/**
 * Returns the request for one of the videos that the form asks for.
 *
 * @param {import("./form_field.js").FormField[]} fields
 * @param {number} index which of them: each has a seed of its own
 * @returns {FormData}
 */
export function requestBody(fields, index) {
  const body = new FormData();
  for (const { name, control } of fields) {
    const value = valueOf(control);
    if (name === "num_videos" || value === "") {
      continue;
    }
    if (name === "loras") {
      body.append("loras[]", `${control.dataset.lora}=${value}`);
    } else if (name === "seed") {
      body.append(name, String(Number(value) + index));
    } else {
      body.append(name, value);
    }
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

/** @param {import("./form_field.js").Control} control @returns {string | File} */
function valueOf(control) {
  if (control instanceof HTMLInputElement && control.type === "checkbox") {
    return control.checked ? control.value : "";
  }
  if (control instanceof HTMLInputElement && control.type === "file") {
    return control.files?.[0] ?? "";
  }
  return control.value;
}

/**
 * @param {import("./types.js").Video} video
 * @param {string} name
 * @param {string} [lora]
 * @returns {string}
 */
function settingOf(video, name, lora) {
  switch (name) {
    case "num_videos":
      return "1";
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
