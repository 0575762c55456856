import { announce } from "./announcer.js";
import { element, find } from "./element.js";
import { FormField, choice, numberInput } from "./form_field.js";
import { FormMessages } from "./form_messages.js";
import { ImageField } from "./image_field.js";
import { OptionPanel } from "./option_panel.js";
import { PriceLine, submitRow } from "./price_line.js";
import { fillFields, requestBody } from "./request_body.js";
import { RequestKeys } from "./request_key.js";
import { queuedWords } from "./wording.js";

/**
 * @typedef {import("./types.js").Model} Model
 * @typedef {import("./types.js").Video} Video
 */

const MAX_VIDEOS = 16;
const UNPRICED = new Set(["prompt", "negative_prompt", "expand_prompt", "labels", "webhook_url"]);

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
    this.prompt = promptField();
    this.image = new ImageField(client);
    this.numVideos = numVideosField();
    this.model = modelField(models);
    this.options = new OptionPanel(this.chosenModel(), this.image);
    this.price = new PriceLine(client, () => this.estimateBody(), "prompt-price");
    this.messages = new FormMessages(
      () => this.fields,
      (field) => this.options.reveal(field),
    );
    this.submit = element(
      "button",
      { type: "submit", class: "primary", "aria-describedby": "prompt-price" },
      "Make video",
    );
    this.form.append(
      this.prompt.root,
      this.model.root,
      this.options.root,
      submitRow(this.numVideos, this.price, this.submit),
      this.messages.summary,
    );
    this.model.control.addEventListener("change", () => this.showOptions());
    this.form.addEventListener("submit", (event) => this.send(event));
    this.form.addEventListener("keydown", (event) => this.sendByKeyboard(event));
    for (const kind of ["input", "change"]) {
      this.form.addEventListener(kind, () => this.price.refresh());
    }
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
    const options = new OptionPanel(this.chosenModel(), this.image);
    options.further.open = this.options.further.open;
    this.options.root.replaceWith(options.root);
    this.options = options;
    const isReady = options.model.state === "ready";
    this.model.showHint(isReady ? "" : "No worker has it loaded: its videos wait.");
    this.model.root.hidden = isReady && this.models.length === 1;
    this.price.refresh();
  }

  /** @param {Video} video whose settings are used again */
  fill(video) {
    const model = this.models.find(({ id }) => id === video.model) ?? this.chosenModel();
    this.model.control.value = model.id;
    this.showOptions();
    this.messages.clear();
    fillFields(this.fields.filter((field) => field !== this.model), video);
    this.options.further.open = true;
    this.form.scrollIntoView({ block: "start" });
    this.prompt.control.focus({ preventScroll: true });
    announce("The settings are in the form.");
  }

  /** @param {SubmitEvent} event */
  async send(event) {
    event.preventDefault();
    if (this.isBusy) {
      return;
    }
    this.setBusy(true);
    try {
      if (await this.messages.check()) {
        await this.createAll();
      }
    } catch (error) {
      this.messages.show(error);
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

  async createAll() {
    const body = requestBody(this.fields);
    const videos = await this.client.createVideos("v1/videos", body, this.requestKeys.of(body));
    this.requestKeys.forget();
    videos.forEach(this.onCreated);
    this.price.asked = ""; // less is left
    this.price.refresh();
    announce(queuedWords(videos.length));
  }

  /** @returns {FormData | null} what is priced: all that is no text */
  estimateBody() {
    const priced = this.fields.filter(({ name }) => !UNPRICED.has(name));
    return priced.some((field) => field.problem()) ? null : requestBody(priced);
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
  return new FormField({ name: "n", label: "How many", control });
}

/** @param {Model[]} models */
function modelField(models) {
  const choices = models.map(({ id, display_name }) => ({ value: id, label: display_name || id }));
  const chosen = models.find(({ is_default }) => is_default) ?? models[0];
  return new FormField({ name: "model", label: "Model", control: choice(choices, chosen.id) });
}
