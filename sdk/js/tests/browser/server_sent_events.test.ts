import assert from "node:assert/strict";
import { test } from "node:test";
import { EntryParser, readEntries } from "../../src/browser/server_sent_events.js";
import { UnavailableError } from "../../src/errors.js";

const STREAM = [
  "retry: 1000\n\n",
  ": heartbeat\n\n",
  'id: 1-0\nevent: notice\ndata: {"a": "ü"}\n\n',
  "data: one\r\ndata:two\r\n\r\n",
  "event: error\rdata\r\r",
  "id: 2-0\n: heartbeat\n\n",
  "data: cut off",
].join("");
const ENTRIES = [
  { event: "notice", data: '{"a": "ü"}', id: "1-0" },
  { event: "message", data: "one\ntwo", id: "1-0" },
  { event: "error", data: "", id: "1-0" },
  { event: "", data: "", id: "2-0" },
];

test("entries are the same in whichever pieces they come", () => {
  for (let length = 1; length <= STREAM.length; length += 1) {
    const parser = new EntryParser();
    const pieces = STREAM.match(new RegExp(`[^]{1,${length}}`, "g")) ?? [];
    assert.deepEqual(pieces.flatMap((piece) => parser.push(piece)), ENTRIES, `${length}`);
  }
});

test("a character that is cut in two arrives whole", async () => {
  const bytes = new TextEncoder().encode("data: ü\n\n");
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const entries = [];
  for await (const entry of readEntries(body)) entries.push(entry);
  assert.deepEqual(entries, [{ event: "message", data: "ü", id: "" }]);
});

test("a connection that fell silent counts as broken", async () => {
  const silent = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => undefined) });
  await assert.rejects(readEntries(silent, 0.02).next(), UnavailableError);
});
