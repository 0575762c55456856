import { element } from "./element.js";
import { frameWords } from "./frame_count.js";
import { furtherFields } from "./further_fields.js";
import { mainFields } from "./main_fields.js";

/** The options of one model: the usual ones, and those behind `More options`. */
export class OptionPanel {
  /**
   * @param {import("./types.js").Model} model
   * @param {import("./image_field.js").ImageField} imageField that of every model that takes one
   */
  constructor(model, imageField) {
    this.model = model;
    const [main, further] = [mainFields(model), furtherFields(model)];
    const image = model.features.includes("image_to_video") ? [imageField] : [];
    imageField.control.toggleAttribute("required", model.limits.is_image_required);
    const [seconds, , fps] = main;
    this.seconds = seconds;
    this.fps = fps;
    this.fields = [...main, ...image, ...further];
    this.further = element(
      "details",
      {},
      element("summary", {}, "More options"),
      element("div", { class: "field-grid" }, ...further.map(({ root }) => root)),
    );
    this.root = element(
      "div",
      { class: "options" },
      ...image.map(({ root }) => root),
      element("div", { class: "field-grid main-fields" }, ...main.map(({ root }) => root)),
      this.further,
    );
    this.root.addEventListener("input", () => this.showFrames());
    this.showFrames();
  }

  /** Says how many frames the length stands for. */
  showFrames() {
    const [seconds, fps] = [this.seconds, this.fps].map(({ control }) => Number(control.value));
    this.seconds.showHint(frameWords(this.model, seconds, fps));
  }

  /** @param {import("./form_field.js").FormField} field which must be seen */
  reveal(field) {
    this.further.open ||= this.further.contains(field.root);
  }
}
