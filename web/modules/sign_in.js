import { ApiError } from "./api_client.js";
import { element, find } from "./element.js";
import { errorWords } from "./error_wording.js";
import { FormField } from "./form_field.js";
import { keepKey } from "./session_key.js";

/**
 * @typedef {import("./api_client.js").ApiClient} ApiClient
 * @typedef {import("./types.js").Model} Model
 */

/**
 * Shows the form that asks for a key, and tries each one by a cheap request.
 *
 * @param {object} options
 * @param {string} options.reason why there is no key, where somebody should know
 * @param {(key: string) => ApiClient} options.clientWith
 * @param {(client: ApiClient, models: Model[]) => void} options.onOpen is called for the first key
 *   that opens
 */
export function askForKey({ reason, clientWith, onOpen }) {
  const section = find("#sign-in");
  if (!section.hidden) {
    return;
  }
  const field = keyField();
  const form = find("form", section);
  form.append(field.root, element("button", { type: "submit", class: "primary" }, "Sign in"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const client = clientWith(field.control.value.trim());
    const { models, problem } = await tryKey(client);
    if (models) {
      keepKey(client.key);
      section.hidden = true;
      onOpen(client, models);
    } else {
      field.showError(problem);
      field.control.focus();
    }
  });
  section.hidden = false;
  field.showError(reason);
  field.control.focus();
}

function keyField() {
  const control = element("input", {
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const hint = "telecine keys create makes one; telecine up keeps its own in the file api.key.";
  return new FormField({ name: "key", label: "API key", control, hint });
}

/**
 * @param {ApiClient} client
 * @returns {Promise<{models?: Model[], problem: string}>}
 */
async function tryKey(client) {
  // Headers take no other characters.
  if (!/^[\x21-\x7e]+$/.test(client.key)) {
    return { problem: client.key ? "That is not an API key." : "Needed." };
  }
  try {
    return { models: await client.listModels(), problem: "" };
  } catch (error) {
    const isForbidden = error instanceof ApiError && error.status === 403;
    return { problem: isForbidden ? "Your key may not read videos." : errorWords(error) };
  }
}
