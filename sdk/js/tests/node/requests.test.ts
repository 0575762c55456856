import assert from "node:assert/strict";
import { test } from "node:test";
import { AudioMode, OutputFormat, Tier, Video_State } from "../../src/node/index.js";
import { listVideosRequest, videoSpec } from "../../src/node/requests.js";

test("options become a spec", () => {
  const spec = videoSpec("a red circle", {
    model: "toybox",
    seed: 2n ** 62n,
    durationSeconds: 2.5,
    startWithinSeconds: 60,
    size: [128, 64],
    audioMode: "post_sync",
    tier: "realtime",
    outputFormats: ["mp4_h264", "webm_vp9"],
    loras: { ink: 0.5 },
    labels: { set: "a" },
    editSource: "1",
    editStrength: 0.3,
  });
  assert.equal(spec.model, "models/toybox");
  assert.equal(spec.seed, 2n ** 62n);
  assert.deepEqual([spec.duration?.seconds, spec.duration?.nanos], [2n, 500_000_000]);
  assert.equal(spec.startWithin?.seconds, 60n);
  assert.deepEqual([spec.size?.width, spec.size?.height], [128, 64]);
  assert.deepEqual([spec.audioMode, spec.tier], [AudioMode.POST_SYNC, Tier.REALTIME]);
  assert.deepEqual(spec.outputFormats, [OutputFormat.MP4_H264, OutputFormat.WEBM_VP9]);
  assert.deepEqual([spec.loras[0]?.name, spec.loras[0]?.scale], ["ink", 0.5]);
  assert.deepEqual(spec.labels, { set: "a" });
  assert.deepEqual([spec.edit?.source, spec.edit?.strength], ["videos/1", 0.3]);
});

test("what is left out is unset", () => {
  const spec = videoSpec("a red circle", {});
  assert.deepEqual(
    [spec.seed, spec.fps, spec.size, spec.duration, spec.edit, spec.extend],
    Array(6).fill(undefined),
  );
});

test("a word that is none is refused", () => {
  const options = { tier: "fast" } as unknown as { tier: "batch" };
  assert.throws(() => videoSpec("a", options), /tier: "fast" is not one of its words/);
});

test("a filter becomes a request", () => {
  const request = listVideosRequest({ states: ["failed"], createTimeFrom: new Date(1500) }, 5);
  assert.deepEqual([request.pageSize, request.states], [5, [Video_State.FAILED]]);
  assert.deepEqual(
    [request.createTimeFrom?.seconds, request.createTimeFrom?.nanos],
    [1n, 500_000_000],
  );
});
