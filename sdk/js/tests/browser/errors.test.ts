import assert from "node:assert/strict";
import { test } from "node:test";
import { answerError, streamError } from "../../src/browser/errors.js";
import * as errors from "../../src/errors.js";

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, { status, headers });
}

test("an answer's envelope becomes an error", async () => {
  const body = { error: { message: "queue is full", param: null, code: "queue_full" } };
  const error = await answerError(answer(429, body, { "retry-after": "2" }));
  assert.ok(error instanceof errors.ResourceExhaustedError);
  assert.deepEqual(
    [error.message, error.reason, error.field, error.retrySeconds],
    ["queue is full", "QUEUE_FULL", "", 2],
  );
});

test("the finer of two times to wait counts", async () => {
  const headers = { "retry-after": "1", "retry-after-ms": "250" };
  const error = await answerError(answer(503, {}, headers));
  assert.ok(error instanceof errors.UnavailableError);
  assert.equal(error.retrySeconds, 0.25);
});

test("a proxy's page is an error too", async () => {
  const error = await answerError(answer(502, "<html>Bad Gateway</html>"));
  assert.ok(error instanceof errors.UnavailableError);
  assert.deepEqual([error.message, error.reason], ["HTTP 502", ""]);
  assert.equal((await answerError(answer(500, "null"))).constructor, errors.TelecineClientError);
});

test("the last entry of a stream says whether to come again", () => {
  const entry = (code: string): string => JSON.stringify({ error: { message: "told", code } });
  assert.ok(streamError(entry("unavailable")) instanceof errors.UnavailableError);
  const trimmed = streamError(entry("events_trimmed"));
  assert.ok(trimmed instanceof errors.EventsTrimmedError);
  assert.deepEqual([trimmed.message, trimmed.reason], ["told", "EVENTS_TRIMMED"]);
});
