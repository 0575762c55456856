import assert from "node:assert/strict";
import { test } from "node:test";
import * as telecine from "../../src/browser/index.js";
import { server, SHELF, sized, STEPS } from "../server.js";

const options = { apiKey: server.apiKey };
const client = new telecine.Client(server.http.url, options);

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected = [];
  for await (const item of items) collected.push(item);
  return collected;
}

test("a video is made, watched, fetched and removed", async () => {
  const queued = await client.createVideo("a red circle", { seed: 5, ...sized(5000) });
  assert.deepEqual([queued.status, queued.seed], ["queued", 5]);
  const events = await collect(client.watchVideo(queued.id));
  const last = events.at(-1);
  assert.equal(last?.type === "state_changed" && last.state, "SUCCEEDED");
  assert.equal((await client.waitForVideo(queued.id)).status, "completed");
  const file = await client.downloadVideo(queued.id);
  assert.deepEqual([file.size, file.type], [5000, "video/mp4"]);
  assert.deepEqual(
    (await client.getVideo(queued.id)).artifacts.map(({ kind }) => kind),
    ["video"],
  );
  const webm = client.downloadVideo(queued.id, { variant: "webm" });
  await assert.rejects(webm, { name: "NotFoundError", field: "variant" });
  await client.deleteVideo(queued.id);
  await assert.rejects(client.getVideo(queued.id), telecine.NotFoundError);
});

test("a watcher sees every event once and in order through broken connections", async () => {
  const breaking = new telecine.Client(server.http.breakingWatches, options);
  const { id } = await client.createVideo("a red circle");
  const events = await collect(breaking.watchVideo(id));
  const steps = events.flatMap((e) => (e.type === "step_finished" ? [e.step_index] : []));
  assert.deepEqual(steps, STEPS);
  assert.equal(new Set(events.map((event) => event.id)).size, events.length);
  const afterEventId = events[3]?.id ?? "";
  assert.deepEqual(await collect(client.watchVideo(id, { afterEventId })), events.slice(4));
  const nothing = await collect(client.watchVideo(id, { afterEventId: events.at(-1)?.id ?? "" }));
  assert.deepEqual(nothing, []);
});

test("previews can be left out", async () => {
  const { id } = await client.createVideo("a red circle");
  const all = await collect(client.watchVideo(id));
  const few = await collect(client.watchVideo(id, { isPreviewOmitted: true }));
  assert.ok(all.some((event) => event.type === "preview"));
  assert.ok(!few.some((event) => event.type === "preview"));
});

test("a download goes on at its byte after broken connections, and is checked", async () => {
  const breaking = new telecine.Client(server.http.breakingDownloads, options);
  const { id } = await client.createVideo("a red circle", sized(8 << 20));
  await client.waitForVideo(id);
  const [file, bytes] = [await breaking.downloadVideo(id), await collect(client.readVideo(id))];
  assert.equal(file.size, 8 << 20);
  assert.ok(Buffer.concat(bytes).equals(Buffer.from(await file.arrayBuffer())));
});

test("a list goes on over its pages", async () => {
  const made = [];
  for (let index = 0; index < 3; index += 1) {
    made.push((await client.createVideo("a red circle", SHELF)).id);
  }
  const listed = [];
  for await (const video of client.listVideos({ pageSize: 2 })) {
    if (made.includes(video.id)) listed.push(video.id);
    if (listed.length === made.length) break;
  }
  assert.deepEqual(listed, made.reverse());
  const labels = { shelf: "red" };
  const { id } = await client.createVideo("a red circle", { ...SHELF, labels });
  const red = await collect(client.listVideos({ labels, statuses: ["queued"], ...SHELF }));
  assert.deepEqual(red.map((video) => video.id), [id]);
  made.push(id);
  await Promise.all(made.map((id) => client.cancelVideo(id)));
});

test("a video is paused, queued again and cancelled", async () => {
  const { id } = await client.createVideo("a red circle", SHELF);
  assert.equal((await client.pauseVideo(id)).state, "PAUSED");
  assert.equal((await client.resumeVideo(id)).state, "QUEUED");
  assert.equal((await client.cancelVideo(id)).error?.code, "cancelled");
  await assert.rejects(client.downloadVideo(id), telecine.VideoStateError);
});

test("several videos are made of one prompt, each with its own seed", async () => {
  const made = await client.createVideos("a red circle", 3, { seed: 7, ...SHELF });
  assert.deepEqual(made.map((video) => video.seed), [7, 8, 9]);
  await Promise.all(made.map(({ id }) => client.cancelVideo(id)));
});

test("a price is told, and what is used", async () => {
  const asked = { durationSeconds: 1, ...SHELF };
  const one = await client.estimateCost("a red circle", asked);
  assert.ok(one.microcredits > 0);
  const two = await client.estimateCost("a red circle", { numVideos: 2, ...asked });
  assert.equal(two.microcredits, 2 * one.microcredits);
  const before = await client.getUsage();
  const { id, estimated_microcredits } = await client.createVideo("a red circle", asked);
  assert.equal(estimated_microcredits, one.microcredits);
  const after = await client.getUsage();
  assert.ok(after.reserved_microcredits >= one.microcredits);
  assert.ok(after.stored_bytes >= before.stored_bytes);
  assert.equal((await client.getQuota()).max_open_videos, null);
  await client.cancelVideo(id);
});

test("an upload begins a video, counts, and is removed", async () => {
  const head = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const media = await client.uploadMedia(new Blob([head, new Uint8Array(5000)]));
  assert.deepEqual([media.content_type, media.size_bytes], ["image/png", 5008]);
  const second = await client.uploadMedia(new Blob([head, new Uint8Array(10)]));
  const known = await client.getMedia(`media/${media.id}`);
  assert.deepEqual([known.id, known.digest], [media.id, media.digest]);
  const listed = (await collect(client.listMedia({ pageSize: 1 }))).map(({ id }) => id);
  assert.deepEqual(listed.slice(0, 2), [second.id, media.id]);
  const { id } = await client.createVideo("a red circle", { inputImage: media.id, ...SHELF });
  await client.cancelVideo(id);
  await client.deleteMedia(media.id);
  await assert.rejects(client.deleteMedia(media.id), telecine.NotFoundError);
  const words = client.uploadMedia(new Blob(["<html>"]));
  await assert.rejects(words, { name: "InvalidRequestError", field: "file" });
});

test("all videos are watched, through broken connections", async () => {
  const breaking = new telecine.Client(server.http.breakingWatches, options);
  const changes = breaking.watchVideos();
  const waiting = await client.createVideo("a red circle", SHELF);
  await changes.next(); // it has begun: what ends before is not told of
  const made = new Set<string>();
  const states = new Map<string, Set<string>>();
  for (let index = 0; index < 2; index += 1) {
    made.add((await client.createVideo("a red circle")).id);
  }
  for await (const change of changes) {
    if (change.type === "video" && made.has(change.video.id)) {
      const seen = states.get(change.video.id) ?? new Set();
      states.set(change.video.id, seen.add(change.video.state));
    }
    if ([...states.values()].filter((seen) => seen.has("SUCCEEDED")).length === made.size) {
      break;
    }
  }
  await client.cancelVideo(waiting.id);
});

test("a watcher of all videos is told which one was removed", async () => {
  const [removed, waiting] = await client.createVideos("a red circle", 2, SHELF);
  await client.cancelVideo(String(removed?.id));
  const watching = client.watchVideos();
  await watching.next(); // it has begun
  await client.deleteVideo(String(removed?.id));
  for await (const change of watching) {
    if (change.type === "deleted") {
      assert.equal(change.id, removed?.id);
      break;
    }
  }
  await client.cancelVideo(String(waiting?.id));
});

test("a request id makes one video of two calls, and not of two requests", async () => {
  const once = { requestId: "browser-once", ...SHELF };
  const first = await client.createVideo("a red circle", once);
  assert.equal((await client.createVideo("a red circle", once)).id, first.id);
  await assert.rejects(client.createVideo("a blue one", once), (error) => {
    assert.ok(error instanceof telecine.AlreadyExistsError);
    assert.deepEqual([error.reason, error.field], ["REQUEST_ID_REUSED", "Idempotency-Key"]);
    return true;
  });
  await client.cancelVideo(first.id);
});

test("an error says what is wrong, and with which field", async () => {
  await assert.rejects(client.createVideo("a", { fps: 1000 }), (error) => {
    assert.ok(error instanceof telecine.InvalidRequestError);
    assert.deepEqual([error.reason, error.field], ["INVALID_FIELD", "fps"]);
    return true;
  });
  const unsigned = client.createVideo("a", { webhookUrl: "http://127.0.0.1/told" });
  await assert.rejects(unsigned, { name: "InvalidRequestError", field: "webhook_url" });
  const stranger = new telecine.Client(server.http.url, { apiKey: () => "tc_none" });
  await assert.rejects(stranger.listModels(), telecine.UnauthenticatedError);
  await assert.rejects(client.watchVideo("none").next(), telecine.NotFoundError);
});

test("a call is repeated when the connection breaks under it", async () => {
  const breaking = new telecine.Client(server.http.refusing, options);
  const { id } = await breaking.createVideo("a red circle", SHELF);
  await client.cancelVideo(id);
});

test("a server that is not there is told of in time", async () => {
  const impatient = { timeoutSeconds: 0.3, patienceSeconds: 0.1 };
  const nobody = new telecine.Client("http://127.0.0.1:2", impatient);
  await assert.rejects(nobody.listModels(), telecine.UnavailableError);
  await assert.rejects(nobody.watchVideo("a").next(), telecine.UnavailableError);
});

test("a signal ends a watch", async () => {
  const { id } = await client.createVideo("a red circle", SHELF);
  const controller = new AbortController();
  const watching = collect(client.watchVideo(id, { signal: controller.signal }));
  const reason = new Error("enough");
  setTimeout(() => controller.abort(reason), 50);
  await assert.rejects(watching, reason);
  await client.cancelVideo(id);
});

test("models are shown", async () => {
  const ids = (await client.listModels()).map((model) => model.id).sort();
  assert.deepEqual(ids, ["shelf", "toybox"]);
  assert.deepEqual((await client.getModel("toybox")).limits["samplers"], ["euler", "heun"]);
});
