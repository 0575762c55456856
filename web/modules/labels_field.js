import { element } from "./element.js";
import { FormField } from "./form_field.js";

/** Names and values that a video can be found by. */
export class LabelsField extends FormField {
  constructor() {
    super({
      name: "labels",
      label: "Labels",
      control: element("textarea", { rows: 2, placeholder: "project=film, take=2" }),
      hint: "A name and a value each, to find the video by.",
    });
  }

  /** @returns {[string, string][]} */
  entries() {
    return this.pairs().map(([name, value]) => [`labels[${name}]`, value]);
  }

  problem() {
    const isWrong = this.pairs().some(([name]) => !/^[a-z0-9_-]{1,63}$/.test(name));
    return isWrong ? "As name=value; names of a to z, 0 to 9, - and _." : "";
  }

  /** @returns {[string, string][]} */
  pairs() {
    const lines = this.control.value.split(/[,\n]/).map((line) => line.trim());
    return lines.filter(Boolean).map((line) => {
      const [name, ...rest] = line.split("=");
      return rest.length ? [name.trim(), rest.join("=").trim()] : ["", ""];
    });
  }
}

/** @param {Record<string, string>} labels @returns {string} as the field takes them */
export function labelWords(labels) {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
}
