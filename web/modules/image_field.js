import { element } from "./element.js";
import { errorWords } from "./error_wording.js";
import { FormField } from "./form_field.js";

const IMAGE_TYPES = "image/png,image/jpeg,image/webp,image/avif,image/heic";

/** The picture that a video begins with: chosen or dropped, and uploaded at once. */
export class ImageField extends FormField {
  /** @param {import("./api_client.js").ApiClient} client */
  constructor(client) {
    super({
      name: "input_reference",
      label: "First frame",
      control: element("input", { type: "file", accept: IMAGE_TYPES }),
      hint: "Choose a picture, or drop one here.",
    });
    this.client = client;
    this.fileId = "";
    this.wrong = "";
    /** @type {Promise<void>} */
    this.upload = Promise.resolve();
    this.turn = 0;
    this.picture = element("img", { class: "chosen", alt: "The picture chosen", hidden: true });
    this.picture.addEventListener("error", () => this.hidePicture());
    this.removal = element(
      "button",
      { type: "button", hidden: true, onclick: () => this.remove() },
      "Remove picture",
    );
    this.root.classList.add("drop-zone");
    this.hint.before(this.picture, this.removal);
    this.control.addEventListener("change", () => this.take(this.file()));
    this.root.addEventListener("dragover", (event) => this.hover(event));
    this.root.addEventListener("dragleave", () => this.root.classList.remove("is-over"));
    this.root.addEventListener("drop", (event) => this.drop(event));
  }

  /** @returns {File | undefined} */
  file() {
    return /** @type {HTMLInputElement} */ (this.control).files?.[0];
  }

  /** @returns {Promise<void>} when what was chosen is uploaded, or was refused */
  settled() {
    return this.upload;
  }

  /** @returns {[string, string][]} */
  entries() {
    return this.fileId ? [["input_reference[file_id]", this.fileId]] : [];
  }

  problem() {
    return this.wrong || super.problem();
  }

  /** @param {DragEvent} event */
  hover(event) {
    if (event.dataTransfer?.types.includes("Files")) {
      event.preventDefault();
      this.root.classList.add("is-over");
    }
  }

  /** @param {DragEvent} event */
  drop(event) {
    this.root.classList.remove("is-over");
    if (event.dataTransfer?.files.length) {
      event.preventDefault();
      const chosen = new DataTransfer();
      chosen.items.add(event.dataTransfer.files[0]);
      /** @type {HTMLInputElement} */ (this.control).files = chosen.files;
      this.take(this.file());
    }
  }

  remove() {
    this.control.value = "";
    this.take(undefined);
    this.control.focus();
  }

  /** @param {File | undefined} file what is chosen now, in the place of what was before */
  take(file) {
    this.turn += 1;
    this.fileId = "";
    this.wrong = "";
    this.showError("");
    this.hidePicture();
    this.removal.hidden = !file;
    if (file) {
      this.picture.src = URL.createObjectURL(file);
      this.picture.hidden = false;
      this.upload = this.send(file, this.turn);
    }
    this.tellChange();
  }

  /** @param {File} file @param {number} turn which choice it is: a later one makes it idle */
  async send(file, turn) {
    this.root.setAttribute("aria-busy", "true");
    try {
      const media = await this.client.uploadMedia(file);
      if (turn !== this.turn) {
        return;
      }
      this.fileId = media.id;
      this.wrong = media.content_type.startsWith("image/") ? "" : "That is not a picture.";
    } catch (error) {
      if (turn !== this.turn) {
        return;
      }
      this.wrong = errorWords(error);
    }
    this.root.removeAttribute("aria-busy");
    this.showError(this.wrong);
    this.tellChange();
  }

  /** The price may be another one now. */
  tellChange() {
    this.root.dispatchEvent(new Event("change", { bubbles: true }));
  }

  hidePicture() {
    URL.revokeObjectURL(this.picture.src);
    this.picture.removeAttribute("src");
    this.picture.hidden = true;
  }
}
