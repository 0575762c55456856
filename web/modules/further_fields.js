import { element } from "./element.js";
import { FormField, choice, numberInput, plainChoice } from "./form_field.js";
import { LabelsField } from "./labels_field.js";

/** @typedef {import("./types.js").Model} Model */

const TIERS = {
  standard: "Standard",
  premium: "Premium: a larger share",
  realtime: "Realtime: starts at once",
  batch: "Batch: when there is room",
};
const MAX_UPSCALE = 8;

/**
 * Returns the fields that most people leave as they are.
 *
 * @param {Model} model
 * @returns {FormField[]}
 */
export function furtherFields(model) {
  return [
    new FormField({
      name: "negative_prompt",
      label: "What it should not show",
      control: element("textarea", { rows: 2 }, model.defaults.negative_prompt),
    }),
    expandField(),
    ...numberFields(model),
    new FormField({
      name: "sampler",
      label: "Sampler",
      control: choice(model.limits.samplers.map(plainChoice), model.defaults.sampler),
    }),
    new FormField({
      name: "tier",
      label: "Tier",
      control: choice(
        Object.entries(TIERS).map(([value, label]) => ({ value, label })),
        "standard",
      ),
    }),
    ...audioFields(model),
    ...model.loras.map(loraField),
    ...deliveryFields(),
  ];
}

function deliveryFields() {
  const start = new FormField({
    name: "start_within",
    label: "Start within",
    control: numberInput({ min: 1, step: "any", placeholder: "any time" }),
    hint: "In seconds. It fails, and costs nothing, if no worker begins it by then.",
  });
  start.root.classList.add("wide");
  const address = { type: "url", inputmode: "url", placeholder: "https://", autocomplete: "off" };
  const webhook = new FormField({
    name: "webhook_url",
    label: "Address to tell when it is ready",
    control: element("input", address),
    hint: "A webhook: the server sends it a signed message.",
  });
  return [start, new LabelsField(), webhook];
}

function expandField() {
  return new FormField({
    name: "expand_prompt",
    label: "Enrich my words",
    control: element("input", { type: "checkbox", value: "true" }),
    hint: "The server adds detail to the prompt before the model reads it.",
  });
}

/** @param {Model} model */
function numberFields({ limits, defaults }) {
  return [
    new FormField({
      name: "num_inference_steps",
      label: "Steps",
      control: numberInput({
        min: limits.min_num_inference_steps,
        max: limits.max_num_inference_steps,
        value: defaults.num_inference_steps,
        required: true,
      }),
    }),
    new FormField({
      name: "guidance_scale",
      label: "Guidance",
      control: numberInput({
        min: limits.min_guidance_scale,
        max: limits.max_guidance_scale,
        step: "any",
        value: defaults.guidance_scale,
        required: true,
      }),
    }),
    new FormField({
      name: "seed",
      label: "Seed",
      control: numberInput({ min: 0, max: Number.MAX_SAFE_INTEGER, placeholder: "random" }),
    }),
    new FormField({
      name: "upscale",
      label: "Enlarge",
      control: numberInput({ min: 1, max: MAX_UPSCALE, value: 1, required: true }),
    }),
  ];
}

/** @param {Model} model */
function audioFields({ limits }) {
  const modes = limits.audio_modes.map((mode) => mode.replace("AUDIO_MODE_", "").toLowerCase());
  if (modes.length < 2) {
    return [];
  }
  const choices = [{ value: "", label: "as the tier has it" }, ...modes.map(plainChoice)];
  const control = choice(choices, "");
  return [new FormField({ name: "audio_mode", label: "Sound", control })];
}

/** @param {string} lora */
function loraField(lora) {
  return new FormField({
    name: "loras",
    id: `lora-${lora}`,
    label: `Strength of ${lora}`,
    control: numberInput({ min: -4, max: 4, step: "any", placeholder: "off", "data-lora": lora }),
  });
}
