import assert from "node:assert/strict";
import { test } from "node:test";
import { NotFoundError, UnavailableError } from "../src/errors.js";
import { repeated, resumed, Resumption } from "../src/resumption.js";

test("a server that is away is tried until patience ends, less and less often", () => {
  const resumption = new Resumption(3);
  const delays: number[] = [];
  assert.throws(() => {
    for (;;) delays.push(resumption.delayAfter(new UnavailableError("away")));
  }, UnavailableError);
  const sum = delays.reduce((total, delay) => total + delay, 0);
  assert.ok(sum >= 3 && sum <= 6, `${sum}`);
  assert.deepEqual(delays, [...delays].sort((a, b) => a - b));
});

test("progress renews patience", () => {
  const resumption = new Resumption(0.05);
  for (let attempt = 0; attempt < 10; attempt += 1) {
    resumption.delayAfter(new UnavailableError("away"));
    resumption.noteProgress();
  }
});

test("the server's own delay is kept to", () => {
  const error = new UnavailableError("away", { retrySeconds: 1.5 });
  const delay = new Resumption(60).delayAfter(error);
  assert.ok(delay >= 1.5 && delay < 2, `${delay}`);
});

test("an answer that will not change is thrown at once", async () => {
  let numCalls = 0;
  const call = async (): Promise<void> => {
    numCalls += 1;
    throw new NotFoundError("no");
  };
  await assert.rejects(repeated(call, { seconds: 60 }), NotFoundError);
  assert.equal(numCalls, 1);
});

test("a call is repeated while the server is away, and not for ever", async () => {
  let numCalls = 0;
  const call = async (): Promise<number> => {
    numCalls += 1;
    if (numCalls % 3 !== 0) throw new UnavailableError("away");
    return numCalls;
  };
  assert.equal(await repeated(call, { seconds: 60 }), 3);
  const failing = () => Promise.reject(new UnavailableError("away"));
  await assert.rejects(repeated(failing, { seconds: 60 }), UnavailableError);
});

test("a call without an answer ends with its time", async () => {
  const call = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const socket = setInterval(() => undefined, 1000); // which keeps the process alive
  await assert.rejects(repeated(call, { seconds: 0.05 }), /no answer in 0.05 s/);
  clearInterval(socket);
});

test("whoever leaves a stream ends it", async () => {
  let given: AbortSignal | undefined;
  const numbers = resumed(
    async function* (signal) {
      given = signal;
      yield* [1, 2, 3];
    },
    { seconds: 1 },
  );
  for await (const number of numbers) {
    assert.equal(number, 1);
    break;
  }
  assert.equal(given?.aborted, true);
});

test("a signal ends the wait between two tries", async () => {
  const reason = new Error("enough");
  const away = resumed(
    async function* () {
      yield* await Promise.reject<number[]>(new UnavailableError("away", { retrySeconds: 5 }));
    },
    { seconds: 60, signal: abortedSoon(reason) },
  );
  await assert.rejects(away.next(), reason);
});

function abortedSoon(reason: Error): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 20);
  return controller.signal;
}
