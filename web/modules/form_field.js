import { element } from "./element.js";

/**
 * @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control
 */

/** A control with its label, its hint and the place of its error. */
export class FormField {
  /**
   * @param {object} options
   * @param {string} options.name as the API names it
   * @param {string} options.label
   * @param {Control} options.control
   * @param {string} [options.hint]
   * @param {string} [options.id] where it is not the name
   */
  constructor({ name, label, control, hint = "", id = name }) {
    this.name = name;
    this.label = label;
    this.control = control;
    control.id = id;
    control.name = name;
    this.hint = element("p", { class: "hint", id: `${id}-hint`, hidden: !hint }, hint);
    this.error = element("p", { class: "error", id: `${id}-error`, hidden: true });
    control.setAttribute("aria-describedby", `${this.hint.id} ${this.error.id}`);
    control.addEventListener("input", () => this.showError(""));
    const labelled = element("label", { for: id }, label);
    const isCheckbox = control.type === "checkbox";
    this.root = element(
      "div",
      { class: isCheckbox ? "field checkbox" : "field" },
      ...(isCheckbox ? [control, labelled] : [labelled, control]),
      this.hint,
      this.error,
    );
  }

  /** @returns {Promise<void>} when its value is what it will be */
  settled() {
    return Promise.resolve();
  }

  /** @returns {[string, string][]} what it adds to a request, by the API's names */
  entries() {
    const { control } = this;
    const isBox = control instanceof HTMLInputElement && control.type === "checkbox";
    if ((isBox && !control.checked) || control.value === "") {
      return [];
    }
    const { lora } = control.dataset;
    return [lora ? ["loras[]", `${lora}=${control.value}`] : [this.name, control.value]];
  }

  /** @param {string} hint */
  showHint(hint) {
    this.hint.textContent = hint;
    this.hint.hidden = !hint;
  }

  /** @param {string} message empty for no error */
  showError(message) {
    this.error.textContent = message;
    this.error.hidden = !message;
    if (message) {
      this.control.setAttribute("aria-invalid", "true");
    } else {
      this.control.removeAttribute("aria-invalid");
    }
  }

  /** @returns {string} what is wrong with the value, as far as the page can tell */
  problem() {
    const { validity } = this.control;
    if (validity.valueMissing) {
      return "Needed.";
    }
    if (validity.badInput) {
      return "Not a number.";
    }
    if (validity.typeMismatch) {
      return "Not an address.";
    }
    if (validity.stepMismatch) {
      return "Only whole numbers.";
    }
    const { min, max } = /** @type {HTMLInputElement} */ (this.control);
    if (validity.rangeUnderflow || validity.rangeOverflow) {
      return max ? `From ${min} to ${max}.` : `At least ${min}.`;
    }
    return "";
  }
}

/**
 * @param {Record<string, string | number | boolean | undefined>} attributes
 * @returns {HTMLInputElement}
 */
export function numberInput(attributes) {
  return element("input", { type: "number", inputmode: "decimal", ...attributes });
}

/**
 * @param {{value: string, label: string}[]} choices
 * @param {string} chosen
 * @returns {HTMLSelectElement}
 */
export function choice(choices, chosen) {
  const options = choices.map(({ value, label }) =>
    element("option", { value, selected: value === chosen }, label),
  );
  return element("select", {}, ...options);
}

/** @param {string} value a choice that names itself */
export function plainChoice(value) {
  return { value, label: value.replaceAll("_", " ") };
}
