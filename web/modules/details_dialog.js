import { announce } from "./announcer.js";
import { element, find } from "./element.js";
import { errorWords } from "./error_wording.js";
import { labelWords } from "./labels_field.js";
import { downloadLink, player } from "./player.js";
import { askAndDelete } from "./question.js";
import { costOf, failureOf, formatOf, statusOf, timeWords } from "./wording.js";

/** @typedef {import("./types.js").Video} Video */

/** A video that was made, large, with its settings and what can be done with it. */
export class DetailsDialog {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {import("./video_files.js").VideoFiles} files
   * @param {import("./studio.js").CardActions & {onDeleted: () => void}} actions
   */
  constructor(client, files, { reuse, derive, onDeleted }) {
    this.client = client;
    this.files = files;
    this.reuse = reuse;
    this.derive = derive;
    this.onDeleted = onDeleted;
    this.error = element("p", { class: "error", role: "alert" });
    this.dialog = /** @type {HTMLDialogElement} */ (find("#details"));
    // Stops the player as well.
    this.dialog.addEventListener("close", () => this.dialog.replaceChildren());
  }

  /** @param {Video} video */
  open(video) {
    const isMade = video.state === "SUCCEEDED";
    this.error.textContent = "";
    const close = () => this.dialog.close();
    this.dialog.replaceChildren(
      element(
        "div",
        { class: "dialog-head" },
        element("h2", { id: "details-title" }, isMade ? "Video" : statusOf(video)),
        element("button", { type: "button", class: "quiet", onclick: close }, "Close"),
      ),
      isMade ? player(this.files, video) : element("p", { class: "error" }, failureOf(video)),
      element("p", { class: "prompt" }, video.prompt),
      ...video.warnings.map((warning) => element("p", { class: "notice" }, warning)),
      element("div", { class: "buttons" }, ...this.buttons(video, isMade)),
      this.error,
      settingsOf(video),
    );
    this.dialog.showModal();
  }

  /** @param {Video} video @param {boolean} isMade */
  buttons(video, isMade) {
    /** @param {(video: Video) => void} act */
    const leaveTo = (act) => () => {
      this.dialog.close();
      act(video);
    };
    const { reuse, derive } = this;
    return [
      ...(isMade ? [downloadLink(this.files, video)] : []),
      ...(derive.can(video) ? [button("Make from it…", leaveTo(derive.open))] : []),
      button("Use settings again", leaveTo(reuse)),
      element(
        "button",
        { type: "button", class: "danger", onclick: () => this.delete(video) },
        "Delete",
      ),
    ];
  }

  /** @param {Video} video */
  async delete(video) {
    try {
      if (!(await askAndDelete(this.client, video))) {
        return;
      }
    } catch (error) {
      this.error.textContent = errorWords(error);
      return;
    }
    this.dialog.close();
    this.files.release(video.id);
    this.onDeleted();
    announce("The video is deleted.");
    find("#gallery-title").focus();
  }
}

/** @param {string} label @param {() => void} onclick */
function button(label, onclick) {
  return element("button", { type: "button", onclick }, label);
}

/** @param {Video} video */
function soundOf({ audio_mode, input_audio }) {
  if (input_audio) {
    return audio_mode === "joint"
      ? "a track of one's own, which the picture is made to"
      : "a track of one's own";
  }
  return audio_mode === "none" ? "" : audio_mode.replaceAll("_", " ");
}

/** @param {Video} video */
function settingsOf(video) {
  const settings = {
    "Not to show": video.negative_prompt,
    "Prompt as the model read it": video.expanded_prompt,
    Format: formatOf(video),
    Frames: video.num_frames,
    Model: video.model,
    Steps: video.num_inference_steps,
    Guidance: video.guidance_scale,
    Sampler: video.sampler,
    Seed: Number.isSafeInteger(video.seed) ? video.seed : "",
    Tier: video.tier,
    Sound: soundOf(video),
    Enlarged: video.upscale > 1 ? `${video.upscale} times` : "",
    Adapters: video.loras.map(({ name, scale }) => `${name} (${scale})`).join(", "),
    Labels: labelWords(video.labels),
    Price: costOf(video),
    Made: timeWords(video.ended_at ?? video.created_at),
    Id: video.id,
  };
  const rows = Object.entries(settings).filter(([, value]) => value !== "" && value !== null);
  return element(
    "dl",
    { class: "settings" },
    ...rows.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, String(value))),
    ),
  );
}
