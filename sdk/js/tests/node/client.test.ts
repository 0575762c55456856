import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as telecine from "../../src/node/index.js";
import { server, SHELF, sized, STEPS } from "../server.js";

const { Client, Video_State } = telecine;
const clients: telecine.Client[] = [];
const folder = await mkdtemp(join(tmpdir(), "telecine-"));
const client = connect(server.grpc.address);

after(async () => {
  clients.forEach((opened) => opened.close());
  await rm(folder, { recursive: true });
});

function connect(address: string, options: telecine.ClientOptions = {}): telecine.Client {
  const opened = new Client(address, { apiKey: server.apiKey, ...options });
  clients.push(opened);
  return opened;
}

function sha256(data: Uint8Array): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected = [];
  for await (const item of items) collected.push(item);
  return collected;
}

test("a video is made, watched, fetched and removed", async () => {
  const queued = await client.createVideo("a red circle", { seed: 5 });
  assert.equal(queued.spec?.seed, 5n);
  const events = await collect(client.watchVideo(queued.name));
  const last = events.at(-1)?.event;
  assert.equal(last?.case === "stateChanged" && last.value.state, Video_State.SUCCEEDED);
  const video = await client.waitForVideo(queued.name);
  assert.equal(video.state, Video_State.SUCCEEDED);
  const path = join(folder, "out.mp4");
  const artifact = await client.downloadVideo(video.name, path);
  assert.equal(sha256(await readFile(path)), artifact.digest);
  assert.deepEqual(await readdir(folder), ["out.mp4"]);
  await client.deleteVideo(video.name);
  await assert.rejects(client.getVideo(video.name), telecine.NotFoundError);
});

test("a watcher sees every event once and in order through broken connections", async () => {
  const breaking = connect(server.grpc.breakingWatches);
  const { name } = await client.createVideo("a red circle");
  const events = await collect(breaking.watchVideo(name));
  const steps = events.flatMap(({ event }) =>
    event.case === "stepFinished" ? [event.value.stepIndex] : [],
  );
  assert.deepEqual(steps, STEPS);
  assert.equal(new Set(events.map((event) => event.eventId)).size, events.length);
  const missed = await collect(client.watchVideo(name, { afterEventId: events[3]?.eventId ?? "" }));
  assert.deepEqual(missed.map((event) => event.eventId), events.slice(4).map((e) => e.eventId));
});

test("previews can be left out", async () => {
  const { name } = await client.createVideo("a red circle");
  const all = await collect(client.watchVideo(name));
  const few = await collect(client.watchVideo(name, { isPreviewOmitted: true }));
  assert.ok(all.some((event) => event.event.case === "preview"));
  assert.ok(!few.some((event) => event.event.case === "preview"));
});

test("a download goes on at its byte after broken connections, and is checked", async () => {
  const breaking = connect(server.grpc.breakingDownloads);
  const { name } = await client.createVideo("a red circle", sized(8 << 20));
  await client.waitForVideo(name);
  const path = join(folder, "large.mp4");
  const artifact = await breaking.downloadVideo(name, path);
  assert.equal(artifact.sizeBytes, BigInt(8 << 20));
  assert.equal(sha256(await readFile(path)), artifact.digest);
  const tail = await collect(client.readVideo(name, { readOffset: (8 << 20) - 10 }));
  assert.deepEqual(Buffer.concat(tail), (await readFile(path)).subarray(-10));
});

test("a video that is still being made can be waited for by its download", async () => {
  const { name } = await client.createVideo("a red circle", sized(5000));
  const pieces = await collect(client.readVideo(name, { follow: true }));
  assert.equal(Buffer.concat(pieces).length, 5000);
});

test("several videos of one prompt are seen in one stream", async () => {
  const changes = client.watchVideos();
  const videos = await client.createVideos("a red circle", 3, { seed: 5, ...SHELF });
  assert.deepEqual(videos.map((video) => video.spec?.seed), [5n, 6n, 7n]);
  const waiting = new Set(videos.map((video) => video.name));
  for await (const change of changes) {
    if (change.case === "video") waiting.delete(change.value.name);
    if (waiting.size === 0) break;
  }
  await Promise.all(videos.map((video) => client.cancelVideo(video.name)));
});

test("a list goes on over its pages", async () => {
  const labels = { test: "node-list" };
  const made = await client.createVideos("a red circle", 5, { labels, ...SHELF });
  const listed = await collect(client.listVideos({ labels, pageSize: 2, states: ["queued"] }));
  const names = (videos: telecine.Video[]): string[] => videos.map((video) => video.name).sort();
  assert.deepEqual(names(listed), names(made));
  await Promise.all(made.map((video) => client.cancelVideo(video.name)));
});

test("a video is paused, queued again and cancelled", async () => {
  const { name } = await client.createVideo("a red circle", SHELF);
  assert.equal((await client.pauseVideo(name)).state, Video_State.PAUSED);
  assert.equal((await client.resumeVideo(name)).state, Video_State.QUEUED);
  assert.equal((await client.cancelVideo(name)).state, Video_State.CANCELLED);
  await assert.rejects(client.downloadVideo(name, join(folder, "none.mp4")), (error) => {
    assert.ok(error instanceof telecine.VideoStateError, String(error));
    return true;
  });
});

test("a request id makes one video of two calls, and not of two requests", async () => {
  const options = { requestId: "node-once", ...SHELF };
  const first = await client.createVideo("a red circle", options);
  assert.equal((await client.createVideo("a red circle", options)).name, first.name);
  await assert.rejects(client.createVideo("a blue one", options), (error) => {
    assert.ok(error instanceof telecine.AlreadyExistsError);
    assert.deepEqual([error.reason, error.field], ["REQUEST_ID_REUSED", "request_id"]);
    return true;
  });
  await client.cancelVideo(first.name);
});

test("an error says what is wrong, and with which field", async () => {
  await assert.rejects(client.createVideo("a", { fps: 1000 }), (error) => {
    assert.ok(error instanceof telecine.InvalidRequestError);
    assert.deepEqual([error.reason, error.field], ["INVALID_FIELD", "spec.fps"]);
    assert.equal(error.retrySeconds, undefined);
    return true;
  });
  const unsigned = client.createVideo("a", { webhookUrl: "http://127.0.0.1/told" });
  await assert.rejects(unsigned, { name: "InvalidRequestError", field: "webhook_url" });
  const stranger = connect(server.grpc.address, { apiKey: "tc_none" });
  await assert.rejects(stranger.listModels(), telecine.UnauthenticatedError);
});

test("a key may come from a function, which is asked every time", async () => {
  let numCalls = 0;
  const renewing = connect(server.grpc.address, {
    apiKey: async () => {
      numCalls += 1;
      return server.apiKey;
    },
  });
  await renewing.listModels();
  await renewing.getModel("toybox");
  assert.equal(numCalls, 2);
});

test("a call is repeated when the connection breaks under it", async () => {
  const breaking = connect(server.grpc.refusing);
  const { name } = await breaking.createVideo("a red circle", SHELF);
  await client.cancelVideo(name);
});

test("a server that is not there is told of in time", async () => {
  const nobody = connect("127.0.0.1:2", { timeoutSeconds: 0.3, patienceSeconds: 0.1 });
  await assert.rejects(nobody.listModels(), telecine.UnavailableError);
  await assert.rejects(nobody.watchVideo("videos/a").next(), telecine.UnavailableError);
});

test("a signal ends a watch", async () => {
  const { name } = await client.createVideo("a red circle", SHELF);
  const controller = new AbortController();
  const watching = collect(client.watchVideo(name, { signal: controller.signal }));
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(watching, reason);
  await client.cancelVideo(name);
});

test("media are uploaded in chunks", async () => {
  const path = join(folder, "a.png");
  const png = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(3 << 20)]);
  await writeFile(path, png);
  const media = await client.uploadMedia(path);
  assert.deepEqual([media.contentType, media.digest], ["image/png", sha256(png)]);
  assert.deepEqual(await client.getMedia(media.name), media);
  const other = await client.uploadMedia(path);
  const listed = [];
  for await (const each of client.listMedia({ pageSize: 1 })) listed.push(each.name);
  assert.deepEqual(listed.slice(0, 2), [other.name, media.name]);
  const wrong = client.uploadMedia(path, { contentType: "image/jpeg" });
  await assert.rejects(wrong, telecine.InvalidRequestError);
  await writeFile(join(folder, "a.xyz"), png);
  await assert.rejects(client.uploadMedia(join(folder, "a.xyz")), /contentType: the name/);
});

test("models, costs and usage are shown", async () => {
  const names = (await client.listModels()).map((model) => model.name).sort();
  assert.deepEqual(names, ["models/shelf", "models/toybox"]);
  assert.deepEqual((await client.getModel("toybox")).limits?.samplers, ["euler", "heun"]);
  const estimate = await client.estimateCost("a red circle", { durationSeconds: 1, fps: 16 });
  assert.equal(estimate.numFrames, 17);
  assert.match((await client.getUsage()).name, /^tenants\/acme\/usage$/);
});

test("the server and the client show each other certificates", async () => {
  const [ca, cert, key] = await Promise.all(
    Object.values(server.certificates).map((path) => readFile(path)),
  );
  const options = { ca: ca ?? "", cert: cert ?? "", key: key ?? "" };
  assert.equal((await connect(server.grpc.tls, { tls: options }).listModels()).length, 2);
  const untrusting = connect(server.grpc.tls, { tls: { cert: cert ?? "", key: key ?? "" } });
  await assert.rejects(untrusting.listModels(), (error) => {
    assert.ok(error instanceof telecine.TelecineClientError);
    assert.ok(!(error instanceof telecine.UnavailableError), "it would be tried again and again");
    return true;
  });
});
