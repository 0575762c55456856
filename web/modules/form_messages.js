import { ApiError } from "./api_client.js";
import { element } from "./element.js";
import { errorWords } from "./error_wording.js";

/** @typedef {import("./form_field.js").FormField} FormField */

/** Says what is wrong with a form, at the field that it is about. */
export class FormMessages {
  /**
   * @param {() => FormField[]} fields
   * @param {(field: FormField) => void} [reveal] brings one to sight
   */
  constructor(fields, reveal = () => undefined) {
    this.fields = fields;
    this.reveal = reveal;
    this.summary = element("p", { class: "error", role: "alert", hidden: true });
  }

  /** @returns {Promise<boolean>} whether nothing is wrong, as far as the page can tell */
  async check() {
    await Promise.all(this.fields().map((field) => field.settled()));
    this.clear();
    const wrong = this.fields().filter((field) => field.problem());
    for (const field of wrong) {
      field.showError(field.problem());
    }
    this.goTo(wrong[0]);
    return wrong.length === 0;
  }

  /** @param {unknown} error */
  show(error) {
    const name = error instanceof ApiError ? error.param.split(/[.[]/)[0] : "";
    const field = this.fields().find((each) => each.name === name);
    if (field && !field.root.hidden) {
      field.showError(errorWords(error));
      this.goTo(field);
    } else {
      this.summary.textContent = errorWords(error);
      this.summary.hidden = false;
    }
  }

  clear() {
    this.summary.hidden = true;
    for (const field of this.fields()) {
      field.showError("");
    }
  }

  /** @param {FormField | undefined} field */
  goTo(field) {
    if (field) {
      this.reveal(field);
      field.control.focus();
    }
  }
}
