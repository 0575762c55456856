// Makes several videos of one prompt and fetches each as soon as it is done, over one connection:
// node examples/many_videos.mjs 4 FOLDER
// TELECINE_SERVER names the gateway (127.0.0.1:7080), TELECINE_API_KEY the key for it.
import { join } from "node:path";
import { Client, Video_State } from "@telecine/client/node";

const [number = "4", folder = "."] = process.argv.slice(2);
const client = new Client(process.env.TELECINE_SERVER ?? "127.0.0.1:7080");

async function fetchWhenDone({ name }) {
  const video = await client.waitForVideo(name);
  const path = join(folder, `${video.spec?.seed}.mp4`);
  if (video.state === Video_State.SUCCEEDED) {
    await client.downloadVideo(name, path);
  }
  console.log(`${Video_State[video.state]} ${path}`);
}

try {
  const videos = await client.createVideos("a red circle moves left", Number(number));
  await Promise.all(videos.map(fetchWhenDone));
} finally {
  client.close();
}
