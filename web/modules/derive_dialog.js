import { announce } from "./announcer.js";
import { element, find } from "./element.js";
import { FormField, choice, numberInput } from "./form_field.js";
import { FormMessages } from "./form_messages.js";
import { PriceLine } from "./price_line.js";
import { requestBody } from "./request_body.js";
import { RequestKeys } from "./request_key.js";

/**
 * @typedef {import("./types.js").Video} Video
 * @typedef {import("./types.js").Model} Model
 * @typedef {"remix" | "edit" | "extend"} Kind
 */

/** @type {Record<Kind, {label: string, feature: string, hint: string}>} */
const KINDS = {
  remix: {
    label: "Remix it",
    feature: "edit",
    hint: "The same video as other words say.",
  },
  edit: {
    label: "Edit it",
    feature: "edit",
    hint: "As other words say, keeping more of it or less, or only its beginning.",
  },
  extend: {
    label: "Extend it",
    feature: "extend",
    hint: "It goes on where it ends, in one file.",
  },
};
const MAX_VIDEOS = 16;

/** Makes videos from one that is there. */
export class DeriveDialog {
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
    this.dialog = /** @type {HTMLDialogElement} */ (find("#derive"));
    this.dialog.addEventListener("close", () => this.price?.stop());
  }

  /** @param {Video} video @returns {Kind[]} what can be made of it */
  kindsFor(video) {
    const features = this.models.find(({ id }) => id === video.model)?.features ?? [];
    const isMade = video.state === "SUCCEEDED";
    return /** @type {Kind[]} */ (Object.keys(KINDS)).filter(
      (kind) => isMade && features.includes(KINDS[kind].feature),
    );
  }

  /** @param {Video} video */
  open(video) {
    this.video = video;
    this.makeFields(video);
    this.price = new PriceLine(this.client, () => this.estimateBody(), "derive-price");
    this.messages = new FormMessages(() => this.fields());
    this.submit = element(
      "button",
      { type: "submit", class: "primary", "aria-describedby": "derive-price" },
      "Make video",
    );
    this.form = element(
      "form",
      { novalidate: true },
      ...this.allFields.map(({ root }) => root),
      element("div", { class: "submit-row" }, this.numVideos.root, this.submit),
      this.price.root,
      this.messages.summary,
    );
    this.form.addEventListener("submit", (event) => this.send(event));
    this.form.addEventListener("input", () => this.price.refresh());
    this.kind.control.addEventListener("change", () => this.showKind());
    const close = () => this.dialog.close();
    this.dialog.replaceChildren(
      element(
        "div",
        { class: "dialog-head" },
        element("h2", { id: "derive-title" }, "Make from this video"),
        element("button", { type: "button", class: "quiet", onclick: close }, "Close"),
      ),
      this.form,
    );
    this.showKind();
    this.dialog.showModal();
    this.kind.control.focus();
  }

  /** @param {Video} video */
  makeFields(video) {
    const kinds = this.kindsFor(video).map((value) => ({ value, label: KINDS[value].label }));
    this.kind = field("kind", "What to do", choice(kinds, kinds[0].value));
    this.prompt = field("prompt", "What should it show?", promptBox(video.prompt));
    this.strength = field(
      "strength",
      "Strength",
      numberInput({ min: 0.01, max: 1, step: "any", value: 0.7, required: true }),
      "0.3 keeps nearly all, 1 keeps nothing.",
    );
    this.length = field(
      "seconds",
      "Seconds",
      numberInput({ min: 0.1, max: Number(video.seconds), step: "any", value: video.seconds }),
    );
    this.added = field(
      "seconds",
      "Seconds to add",
      numberInput({ min: 0.1, step: "any", value: 1, required: true }),
      "",
      "derive-added",
    );
    this.seed = field(
      "seed",
      "Seed",
      numberInput({ min: 0, max: Number.MAX_SAFE_INTEGER, placeholder: "random" }),
    );
    this.numVideos = field(
      "n",
      "How many",
      numberInput({ min: 1, max: MAX_VIDEOS, value: 1, required: true }),
    );
    this.allFields = [this.kind, this.prompt, this.strength, this.length, this.added, this.seed];
  }

  /** @returns {Kind} */
  chosenKind() {
    return /** @type {Kind} */ (this.kind.control.value);
  }

  /** @returns {FormField[]} those that count for what is chosen */
  fields() {
    return [...this.allFields, this.numVideos].filter(({ root }) => !root.hidden);
  }

  showKind() {
    const kind = this.chosenKind();
    this.kind.showHint(KINDS[kind].hint);
    this.strength.root.hidden = kind === "extend";
    this.length.root.hidden = kind !== "edit";
    this.added.root.hidden = kind !== "extend";
    this.price.refresh();
  }

  /** @returns {FormData} what the form says, less what to do */
  body() {
    const body = requestBody(this.fields().filter(({ name }) => name !== "kind"));
    if (this.chosenKind() !== "remix") {
      body.set("video[id]", this.video.id);
    }
    return body;
  }

  /** @returns {FormData | null} */
  estimateBody() {
    if (this.fields().some((each) => each !== this.prompt && each.problem())) {
      return null;
    }
    const body = this.body();
    body.delete("prompt");
    body.set("video[id]", this.video.id);
    body.set("kind", this.chosenKind() === "extend" ? "extend" : "edit");
    return body;
  }

  path() {
    switch (this.chosenKind()) {
      case "remix":
        return `v1/videos/${this.video.id}/remix`;
      case "edit":
        return "v1/videos/edits";
      default:
        return "v1/videos/extensions";
    }
  }

  /** @param {SubmitEvent} event */
  async send(event) {
    event.preventDefault();
    if (this.isBusy || !(await this.messages.check())) {
      return;
    }
    this.isBusy = true;
    try {
      const body = this.body();
      const videos = await this.client.createVideos(this.path(), body, this.requestKeys.of(body));
      this.requestKeys.forget();
      this.dialog.close();
      videos.forEach(this.onCreated);
      announce(videos.length === 1 ? "The video is queued." : `${videos.length} videos are queued.`);
    } catch (error) {
      this.messages.show(error);
    } finally {
      this.isBusy = false;
    }
  }
}

/**
 * Returns a field whose id no other form of the page has.
 *
 * @param {string} name
 * @param {string} label
 * @param {import("./form_field.js").Control} control
 * @param {string} [hint]
 * @param {string} [id]
 */
function field(name, label, control, hint = "", id = `derive-${name}`) {
  return new FormField({ name, label, control, hint, id });
}

/** @param {string} prompt */
function promptBox(prompt) {
  return element("textarea", { rows: 3, required: true, autocomplete: "off" }, prompt);
}
