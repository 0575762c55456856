import { announce } from "./announcer.js";
import { element } from "./element.js";
import { FormField, choice, numberInput } from "./form_field.js";
import { FormMessages } from "./form_messages.js";
import { PriceLine, submitRow } from "./price_line.js";
import { requestBody } from "./request_body.js";
import { RequestKeys } from "./request_key.js";
import { queuedWords } from "./wording.js";

/**
 * @typedef {import("./types.js").Video} Video
 * @typedef {"remix" | "edit" | "extend"} Kind
 */

/** @type {Record<Kind, {label: string, feature: string, hint: string}>} */
export const KINDS = {
  remix: { label: "Remix it", feature: "edit", hint: "The same video, as other words say." },
  edit: {
    label: "Edit it",
    feature: "edit",
    hint: "As other words say, keeping more of it or less, or only its beginning.",
  },
  extend: { label: "Extend it", feature: "extend", hint: "It goes on where it ends." },
};
const MAX_VIDEOS = 16;

/** The form that makes videos from one that is there. */
export class DeriveForm {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {Video} video
   * @param {Kind[]} kinds what can be made of it
   * @param {(videos: Video[]) => void} onCreated
   */
  constructor(client, video, kinds, onCreated) {
    this.client = client;
    this.video = video;
    this.onCreated = onCreated;
    this.requestKeys = new RequestKeys();
    this.kind = kindField(kinds);
    this.prompt = promptField(video);
    this.strength = strengthField();
    this.length = lengthField(video);
    this.added = addedField();
    this.seed = seedField();
    this.numVideos = numVideosField();
    this.price = new PriceLine(client, () => this.estimateBody(), "derive-price");
    this.messages = new FormMessages(() => this.fields());
    const rows = [this.kind, this.prompt, this.strength, this.length, this.added, this.seed];
    this.root = element(
      "form",
      { novalidate: true },
      ...rows.map(({ root }) => root),
      submitRow(this.numVideos, this.price, submitButton()),
      this.messages.summary,
    );
    this.root.addEventListener("submit", (event) => this.send(event));
    this.root.addEventListener("input", () => this.price.refresh());
    this.kind.control.addEventListener("change", () => this.showKind());
    this.showKind();
  }

  /** @returns {Kind} */
  chosenKind() {
    return /** @type {Kind} */ (this.kind.control.value);
  }

  /** @returns {FormField[]} those that count for what is chosen */
  fields() {
    const { prompt, strength, length, added, seed, numVideos } = this;
    return [prompt, strength, length, added, seed, numVideos].filter(({ root }) => !root.hidden);
  }

  showKind() {
    const kind = this.chosenKind();
    this.kind.showHint(KINDS[kind].hint);
    this.strength.root.hidden = kind === "extend";
    this.length.root.hidden = kind !== "edit";
    this.added.root.hidden = kind !== "extend";
    this.price.refresh();
  }

  /** @returns {FormData | null} what is priced; null while it cannot be */
  estimateBody() {
    const priced = this.fields().filter((field) => field !== this.prompt);
    if (priced.some((field) => field.problem())) {
      return null;
    }
    const body = requestBody(priced);
    body.set("video[id]", this.video.id);
    body.set("kind", this.chosenKind() === "extend" ? "extend" : "edit");
    return body;
  }

  /** @param {SubmitEvent} event */
  async send(event) {
    event.preventDefault();
    if (this.isBusy || !(await this.messages.check())) {
      return;
    }
    this.isBusy = true;
    try {
      const videos = await this.create();
      this.onCreated(videos);
      announce(queuedWords(videos.length));
    } catch (error) {
      this.messages.show(error);
    } finally {
      this.isBusy = false;
    }
  }

  /** @returns {Promise<Video[]>} */
  create() {
    const body = requestBody(this.fields());
    const kind = this.chosenKind();
    if (kind === "remix") {
      const path = `v1/videos/${this.video.id}/remix`;
      return this.client.createVideos(path, body, this.requestKeys.of(body));
    }
    body.set("video[id]", this.video.id);
    const path = kind === "edit" ? "v1/videos/edits" : "v1/videos/extensions";
    return this.client.createVideos(path, body, this.requestKeys.of(body));
  }
}

function submitButton() {
  const attributes = { type: "submit", class: "primary", "aria-describedby": "derive-price" };
  return element("button", attributes, "Make video");
}

/** @param {Kind[]} kinds */
function kindField(kinds) {
  const choices = kinds.map((value) => ({ value, label: KINDS[value].label }));
  const control = choice(choices, kinds[0]);
  return new FormField({ name: "kind", id: "derive-kind", label: "What to do", control });
}

/** @param {Video} video */
function promptField({ prompt }) {
  const control = element("textarea", { rows: 3, required: true, autocomplete: "off" }, prompt);
  const label = "What should it show now?";
  return new FormField({ name: "prompt", id: "derive-prompt", label, control });
}

function strengthField() {
  return new FormField({
    name: "strength",
    id: "derive-strength",
    label: "Strength",
    control: numberInput({ min: 0.01, max: 1, step: "any", value: 0.7, required: true }),
    hint: "0.3 keeps nearly all, 1 keeps nothing.",
  });
}

/** @param {Video} video */
function lengthField({ seconds }) {
  const control = numberInput({ min: 0.01, max: seconds, step: "any", value: seconds });
  const label = "Length, seconds";
  return new FormField({ name: "seconds", id: "derive-seconds", label, control });
}

function addedField() {
  const control = numberInput({ min: 0.01, step: "any", value: 1, required: true });
  return new FormField({ name: "seconds", id: "derive-added", label: "Seconds to add", control });
}

function seedField() {
  const control = numberInput({ min: 0, max: Number.MAX_SAFE_INTEGER, placeholder: "random" });
  return new FormField({ name: "seed", id: "derive-seed", label: "Seed", control });
}

function numVideosField() {
  const control = numberInput({ min: 1, max: MAX_VIDEOS, value: 1, required: true });
  return new FormField({ name: "n", id: "derive-n", label: "How many", control });
}
