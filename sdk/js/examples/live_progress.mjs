// Shows each step of a video as it is made, by the client for browsers:
// node examples/live_progress.mjs "a red circle moves left"
// TELECINE_URL names the gateway (http://127.0.0.1:8080), TELECINE_API_KEY the key for it.
import { Client } from "@telecine/client/browser";

const [prompt = "a red circle moves left"] = process.argv.slice(2);
const client = new Client(process.env.TELECINE_URL ?? "http://127.0.0.1:8080", {
  apiKey: process.env.TELECINE_API_KEY,
});

const show = {
  state_changed: (event) => event.state,
  stage_changed: (event) => event.stage,
  step_finished: ({ step_index, num_inference_steps, eta_seconds }) =>
    `step ${step_index} of ${num_inference_steps}, ${eta_seconds.toFixed(1)} s left`,
  preview: (event) => `a picture of ${event.image_url.length} characters for an <img>`,
  queue_moved: (event) => `${event.queue_position} videos ahead`,
};

const { id } = await client.createVideo(prompt);
for await (const event of client.watchVideo(id)) {
  console.log(show[event.type]?.(event) ?? event.type);
}
