import { announce } from "./announcer.js";
import { ApiError } from "./api_client.js";
import { element, find } from "./element.js";
import { errorWords } from "./error_wording.js";
import { FormField, choice, numberInput } from "./form_field.js";
import { OptionPanel } from "./option_panel.js";
import { fillFields, requestBody } from "./request_body.js";
import { RequestKeys } from "./request_key.js";

/**
 * @typedef {import("./types.js").Model} Model
 * @typedef {import("./types.js").Video} Video
 */

const MAX_VIDEOS = 8;

/** The form that asks for videos, with every option that the chosen model has. */
export class PromptForm {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {Model[]} models
   * @param {(video: Video) => void} onCreated
   */
  constructor(client, models, onCreated) {
    this.client = client;
    this.models = models;
    this.onCreated = onCreated;
    this.requestKeys = new RequestKeys();
    this.form = /** @type {HTMLFormElement} */ (find("#prompt-form"));
    this.summary = element("p", { class: "error", role: "alert", hidden: true });
    this.prompt = promptField();
    this.numVideos = numVideosField();
    this.model = modelField(models);
    this.options = new OptionPanel(this.chosenModel());
    this.submit = element("button", { type: "submit", class: "primary" }, "Make video");
    this.form.append(
      this.prompt.root,
      this.model.root,
      this.options.root,
      element("div", { class: "submit-row" }, this.numVideos.root, this.submit),
      this.summary,
    );
    this.model.control.addEventListener("change", () => this.showOptions());
    this.form.addEventListener("submit", (event) => this.send(event));
    this.form.addEventListener("keydown", (event) => this.sendByKeyboard(event));
    this.showOptions();
  }

  /** @returns {import("./form_field.js").FormField[]} */
  get fields() {
    return [this.prompt, this.model, ...this.options.fields, this.numVideos];
  }

  /** @returns {Model} */
  chosenModel() {
    return this.models.find(({ id }) => id === this.model.control.value) ?? this.models[0];
  }

  showOptions() {
    const options = new OptionPanel(this.chosenModel());
    options.further.open = this.options.further.open;
    this.options.root.replaceWith(options.root);
    this.options = options;
    const isReady = options.model.state === "ready";
    this.model.showHint(isReady ? "" : "No worker has it loaded: its videos wait.");
    this.model.root.hidden = isReady && this.models.length === 1;
  }

  /** @param {Video} video whose settings are used again */
  fill(video) {
    const model = this.models.find(({ id }) => id === video.model) ?? this.chosenModel();
    this.model.control.value = model.id;
    this.showOptions();
    this.clearErrors();
    fillFields(this.fields.filter((field) => field !== this.model), video);
    this.options.further.open = true;
    this.form.scrollIntoView({ block: "start" });
    this.prompt.control.focus({ preventScroll: true });
    announce("The settings are in the form.");
  }

  /** @param {SubmitEvent} event */
  async send(event) {
    event.preventDefault();
    if (this.isBusy || !this.check()) {
      return;
    }
    this.setBusy(true);
    try {
      await this.createAll(Number(this.numVideos.control.value));
    } catch (error) {
      this.showError(error);
    } finally {
      this.setBusy(false);
    }
  }

  /** @param {KeyboardEvent} event Ctrl-Enter sends, from any field */
  sendByKeyboard(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.form.requestSubmit();
    }
  }

  /** @param {number} numVideos */
  async createAll(numVideos) {
    for (let index = 0; index < numVideos; index += 1) {
      const body = requestBody(this.fields, index);
      const video = await this.client.createVideo(body, this.requestKeys.of(body));
      this.requestKeys.forget();
      this.onCreated(video);
    }
    announce(numVideos === 1 ? "The video is queued." : `${numVideos} videos are queued.`);
  }

  /** @returns {boolean} whether nothing is wrong, as far as the page can tell */
  check() {
    this.clearErrors();
    const wrong = this.fields.filter((field) => field.problem());
    for (const field of wrong) {
      field.showError(field.problem());
    }
    this.goTo(wrong[0]);
    return wrong.length === 0;
  }

  /** @param {unknown} error */
  showError(error) {
    const name = error instanceof ApiError ? error.param.split(/[.[]/)[0] : "";
    const field = this.fields.find((each) => each.name === name);
    if (field && !field.root.hidden) {
      field.showError(errorWords(error));
      this.goTo(field);
    } else {
      this.summary.textContent = errorWords(error);
      this.summary.hidden = false;
    }
  }

  /** @param {FormField | undefined} field */
  goTo(field) {
    if (field) {
      this.options.reveal(field);
      field.control.focus();
    }
  }

  clearErrors() {
    this.summary.hidden = true;
    for (const field of this.fields) {
      field.showError("");
    }
  }

  /** @param {boolean} isBusy */
  setBusy(isBusy) {
    this.isBusy = isBusy;
    // Not `disabled`, which would lose the focus.
    this.submit.setAttribute("aria-disabled", String(isBusy));
    this.submit.textContent = isBusy ? "Sending…" : "Make video";
  }
}

function promptField() {
  const control = element("textarea", {
    rows: 4,
    required: true,
    placeholder: "a red circle moving left on a navy background",
    autocomplete: "off",
  });
  return new FormField({ name: "prompt", label: "What should it show?", control });
}

function numVideosField() {
  const control = numberInput({ min: 1, max: MAX_VIDEOS, value: 1, required: true });
  return new FormField({ name: "num_videos", label: "How many", control });
}

/** @param {Model[]} models */
function modelField(models) {
  const choices = models.map(({ id, display_name }) => ({ value: id, label: display_name || id }));
  const chosen = models.find(({ is_default }) => is_default) ?? models[0];
  return new FormField({ name: "model", label: "Model", control: choice(choices, chosen.id) });
}
