import { FormField, choice, numberInput } from "./form_field.js";

/** @typedef {import("./types.js").Model} Model */

/**
 * Returns the fields that nearly everyone sets.
 *
 * @param {Model} model
 * @returns {FormField[]}
 */
export function mainFields({ limits, defaults }) {
  const { min_fps, max_fps, max_num_frames } = limits;
  return [
    new FormField({
      name: "seconds",
      label: "Seconds",
      control: numberInput({
        min: 0.1,
        max: Number((max_num_frames / min_fps).toFixed(3)),
        step: "any",
        value: defaults.seconds,
        required: true,
      }),
    }),
    new FormField({
      name: "size",
      label: "Size",
      control: choice(limits.sizes.map(sizeChoice), defaults.size),
    }),
    new FormField({
      name: "fps",
      label: "Frames a second",
      control: numberInput({ min: min_fps, max: max_fps, value: defaults.fps, required: true }),
    }),
  ];
}

/** @param {string} value */
function sizeChoice(value) {
  return { value, label: value.replace("x", " × ") };
}
