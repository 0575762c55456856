// Makes a video and fetches it:
// node examples/make_and_download.mjs "a red circle moves left" out.mp4
// TELECINE_SERVER names the gateway (127.0.0.1:7080), TELECINE_API_KEY the key for it.
import { Client, Video_State } from "@telecine/client/node";

const [prompt = "a red circle moves left", path = "out.mp4"] = process.argv.slice(2);
const client = new Client(process.env.TELECINE_SERVER ?? "127.0.0.1:7080");

try {
  const queued = await client.createVideo(prompt, { durationSeconds: 1 });
  const video = await client.waitForVideo(queued.name);
  if (video.state !== Video_State.SUCCEEDED) {
    throw new Error(`${video.failure?.reason}: ${video.failure?.message}`);
  }
  const artifact = await client.downloadVideo(video.name, path);
  console.log(`${path}: ${artifact.sizeBytes} bytes, seed ${video.spec?.seed}`);
} finally {
  client.close();
}
