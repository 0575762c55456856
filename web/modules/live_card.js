import { element } from "./element.js";
import { errorWords } from "./error_wording.js";
import { GrowingPlayer, isGrowing } from "./growing_player.js";
import { downloadLink, player, screenFor } from "./player.js";
import { isEnded } from "./video_state.js";
import { costOf, failureOf, formatOf, progressOf, statusOf } from "./wording.js";

/**
 * @typedef {import("./types.js").Video} Video
 * @typedef {import("./studio.js").CardActions} CardActions
 * @typedef {{onDismissed: () => void, onChanged: (video: Video) => void}} ListActions
 */

/** The card of a video from its first place in the queue to its player. */
export class LiveCard {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {import("./video_files.js").VideoFiles} files
   * @param {Video} video
   * @param {CardActions & ListActions} actions
   */
  constructor(client, files, video, actions) {
    this.client = client;
    this.files = files;
    this.video = video;
    this.actions = actions;
    this.isPlaying = false;
    /** @type {GrowingPlayer | null | undefined} none yet, or there cannot be one */
    this.growing = undefined;
    const titleId = `live-${video.id}`;
    this.preview = element("img", { class: "preview", alt: "", hidden: true });
    this.screen = screenFor(video);
    this.screen.append(this.preview);
    this.status = element("p", { class: "status" });
    this.progress = element("progress", { max: 100, "aria-label": "Progress" });
    this.notice = element("p", { class: "notice" });
    this.error = element("p", { class: "error", role: "alert" });
    this.buttons = element("div", { class: "buttons" });
    this.root = element(
      "li",
      { class: "card live-card", "aria-labelledby": titleId },
      this.screen,
      element(
        "div",
        { class: "card-text" },
        element("h3", { class: "prompt", id: titleId, tabindex: "-1" }, video.prompt),
        element("p", { class: "format" }, formatOf(video)),
        this.status,
        this.progress,
        this.notice,
        ...video.warnings.map((warning) => element("p", { class: "notice" }, warning)),
        this.error,
        this.buttons,
      ),
    );
    this.show(video);
  }

  /** @param {Video} video as it is now */
  show(video) {
    this.video = video;
    this.root.dataset.state = video.state;
    const words = [statusOf(video), progressOf(video), costOf(video)].filter(Boolean);
    this.status.textContent = words.join(" · ");
    this.progress.hidden = isEnded(video.state);
    this.progress.value = percentOf(video);
    this.notice.textContent = video.notice ?? "";
    this.error.textContent = failureOf(video);
    this.showPreview(video);
    this.showButtons(video);
  }

  /** @param {Video} video */
  showPreview(video) {
    if (this.growing === undefined && isGrowing(video)) {
      this.growing = GrowingPlayer.open(this.client, video, {
        onBegun: () => this.growing && this.screen.replaceChildren(this.growing.screen),
        onEnded: () => this.dropGrowing(),
      });
    }
    if (isEnded(video.state) && (video.state !== "SUCCEEDED" || this.growing?.screen.paused)) {
      this.growing?.stop(); // while it plays it goes on to its end
    }
    if (video.state === "SUCCEEDED" && !this.isPlaying && !this.growing) {
      this.isPlaying = true;
      this.screen.replaceWith(player(this.files, video));
    } else if (video.image_url && this.preview.src !== video.image_url) {
      this.preview.src = video.image_url;
      this.preview.alt = `Preview after step ${video.step_index}`;
      this.preview.hidden = false;
    }
  }

  /** Goes back to previews, or on to the player of the whole file. */
  dropGrowing() {
    this.growing = null;
    this.screen.replaceChildren(this.preview);
    this.showPreview(this.video);
  }

  /** Ends what goes on by itself; nothing else is to begin. */
  close() {
    this.isPlaying = true;
    this.growing?.stop();
  }

  /** @param {Video} video whose buttons replace others only, so that focus stays where it is */
  showButtons(video) {
    const buttons = this.buttonsFor(video);
    const shown = [...this.buttons.children];
    if (labels(buttons) === labels(shown)) {
      return;
    }
    const focused = shown.find((button) => button === document.activeElement);
    this.buttons.replaceChildren(...buttons);
    if (focused) {
      // Whoever is about to press Cancel must not press what now stands first.
      const same = buttons.find((button) => button.textContent === focused.textContent);
      (same ?? buttons[0]).focus();
    }
  }

  /** @param {Video} video @returns {HTMLElement[]} */
  buttonsFor(video) {
    const { reuse, derive, onDismissed } = this.actions;
    if (!isEnded(video.state)) {
      return [
        video.state === "PAUSED"
          ? this.button("Resume", () => this.act("resume"))
          : this.button("Pause", () => this.act("pause")),
        this.button("Cancel", () => this.act("cancel")),
      ];
    }
    return [
      ...(video.state === "SUCCEEDED" ? [downloadLink(this.files, video)] : []),
      ...(derive.can(video) ? [this.button("Make from it…", () => derive.open(this.video))] : []),
      this.button("Use settings again", () => reuse(this.video)),
      this.button("Move to gallery", onDismissed),
    ];
  }

  /** @param {"cancel" | "pause" | "resume"} verb */
  async act(verb) {
    try {
      this.actions.onChanged(await this.client.actOn(this.video.id, verb));
    } catch (error) {
      this.error.textContent = errorWords(error);
    }
  }

  /** @param {string} label @param {() => void} onclick */
  button(label, onclick) {
    return element("button", { type: "button", onclick }, label);
  }
}

/** @param {Video} video the steps are most of the work, and not all of it */
function percentOf({ num_steps, step_index, progress }) {
  return num_steps ? Math.max(progress, (90 * step_index) / num_steps) : progress;
}

/** @param {Element[]} buttons */
function labels(buttons) {
  return buttons.map((button) => button.textContent).join();
}
