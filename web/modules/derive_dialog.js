import { DeriveForm, KINDS } from "./derive_form.js";
import { element, find } from "./element.js";

/**
 * @typedef {import("./types.js").Video} Video
 * @typedef {import("./derive_form.js").Kind} Kind
 */

/** Asks what to make of a video that is there. */
export class DeriveDialog {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {import("./types.js").Model[]} models
   * @param {(video: Video) => void} onCreated
   */
  constructor(client, models, onCreated) {
    this.client = client;
    this.models = models;
    this.onCreated = onCreated;
    this.dialog = /** @type {HTMLDialogElement} */ (find("#derive"));
    /** @type {DeriveForm | undefined} */
    this.form = undefined;
    this.dialog.addEventListener("close", () => this.empty());
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
    this.empty();
    const close = () => this.dialog.close();
    const form = new DeriveForm(this.client, video, this.kindsFor(video), (videos) => {
      close();
      videos.forEach(this.onCreated);
    });
    this.form = form;
    this.dialog.replaceChildren(
      element(
        "div",
        { class: "dialog-head" },
        element("h2", { id: "derive-title" }, "Make from this video"),
        element("button", { type: "button", class: "quiet", onclick: close }, "Close"),
      ),
      form.root,
    );
    this.dialog.showModal();
    form.kind.control.focus();
  }

  empty() {
    this.form?.price.stop();
    this.form = undefined;
    this.dialog.replaceChildren();
  }
}
