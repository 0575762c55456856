import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { creation, estimate, listQuery } from "../../src/browser/requests.js";

test("options have the names and forms of REST", () => {
  const { path, body } = creation("a red circle", {
    model: "models/toybox",
    seed: 7n,
    durationSeconds: 2.5,
    size: [128, 64],
    loras: { ink: 0.5 },
    inputImage: "media/1",
  });
  assert.equal(path, "/v1/videos");
  assert.deepEqual(JSON.parse(String(body)), {
    prompt: "a red circle",
    model: "toybox",
    seed: 7,
    seconds: "2.5",
    size: "128x64",
    loras: [{ name: "ink", scale: 0.5 }],
    input_reference: { file_id: "media/1" },
  });
});

test("a picture makes it a form, with bracket names", () => {
  const { body } = creation("a red circle", {
    inputReference: new Blob(["png"]),
    labels: { set: "a" },
    loras: { ink: 0.5 },
    outputFormats: ["mp4_h264", "webm_vp9"],
  });
  assert.ok(body instanceof FormData);
  assert.ok(body.get("input_reference") instanceof Blob);
  assert.equal(body.get("labels[set]"), "a");
  assert.deepEqual(body.getAll("loras[]"), ["ink=0.5"]);
  assert.deepEqual(body.getAll("output_formats[]"), ["mp4_h264", "webm_vp9"]);
});

test("an edit and an extension go where REST has them", () => {
  const edit = creation("bluer", { editSource: "videos/1", editStrength: 0.3 });
  assert.equal(edit.path, "/v1/videos/edits");
  assert.deepEqual(JSON.parse(String(edit.body)), {
    prompt: "bluer",
    video: { id: "1" },
    strength: 0.3,
  });
  const extension = creation("on", { extendSource: "1", extendSeconds: 1 });
  assert.equal(extension.path, "/v1/videos/extensions");
  assert.deepEqual(JSON.parse(String(extension.body)), {
    prompt: "on",
    video: { id: "1" },
    seconds: "1",
  });
});

test("an upload is edited and gone on with by its file id", () => {
  const edit = creation("bluer", { editSource: "media/1" });
  assert.deepEqual(JSON.parse(String(edit.body)).video, { file_id: "1" });
  const extension = creation("on", { extendSource: "media/1", extendSeconds: 1 });
  assert.deepEqual(JSON.parse(String(extension.body)).video, { file_id: "1" });
  assert.deepEqual(JSON.parse(estimate("bluer", { editSource: "media/1" }, 1)).video, {
    file_id: "1",
  });
});

test("a list's filters have the names of REST", () => {
  const filter = {
    statuses: ["queued", "failed"] as const,
    model: "models/toybox",
    labels: { team: "red" },
    createdAfter: 7,
    createdBefore: 9,
    isOldestFirst: true,
  };
  assert.equal(
    decodeURIComponent(String(listQuery(filter, 5))),
    "order=asc&limit=5&status=queued&status=failed&label[team]=red" +
      "&model=toybox&created_after=7&created_before=9",
  );
  assert.equal(String(listQuery({}, 50)), "order=desc&limit=50");
});

test("an estimate asks for what the route would make", () => {
  const asked = { editSource: "videos/1", editStrength: 0.5, inputReference: new Blob(["png"]) };
  assert.deepEqual(JSON.parse(estimate("bluer", asked, 2)), {
    prompt: "bluer",
    video: { id: "1" },
    strength: 0.5,
    kind: "edit",
    n: 2,
  });
  const { kind } = JSON.parse(estimate("on", { extendSource: "1", extendSeconds: 1 }, 1));
  assert.equal(kind, "extend");
});

test("several videos are one request", () => {
  const { body } = creation("a", { seed: 1 }, 3);
  assert.deepEqual(JSON.parse(String(body)), { prompt: "a", seed: 1, n: 3 });
});

test("a seed that JSON cannot hold exactly is refused", () => {
  assert.throws(() => creation("a", { seed: 2n ** 60n }), /^RangeError: seed: /);
});

test("every module of the browser's entry loads without a bundler", async () => {
  const seen = new Set<string>();
  const visit = async (url: URL): Promise<void> => {
    if (seen.has(url.href)) return;
    seen.add(url.href);
    const text = await readFile(url, "utf8");
    for (const [, specifier] of text.matchAll(/(?:from|import) "([^"]+)"/g)) {
      assert.match(String(specifier), /^\.\.?\//, url.href);
      await visit(new URL(String(specifier), url));
    }
  };
  await visit(new URL("../../src/browser/index.js", import.meta.url));
  assert.ok(seen.size > 5);
});
