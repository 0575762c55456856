import { UnavailableError } from "./errors.js";

const FIRST_DELAY_SECONDS = 0.1;
const MAX_DELAY_SECONDS = 2;
const MAX_TOLD_SECONDS = 5;
const MAX_ATTEMPTS = 4;

/**
 * Decides after each failure whether, and how soon, to try again.
 *
 * It gives up when the server has been away for `patienceSeconds` in a row.
 */
export class Resumption {
  #waitedSeconds = 0;
  #delaySeconds = FIRST_DELAY_SECONDS;

  constructor(readonly patienceSeconds: number) {}

  /** The stream brought something: the next break starts from nothing. */
  noteProgress(): void {
    this.#waitedSeconds = 0;
    this.#delaySeconds = FIRST_DELAY_SECONDS;
  }

  /** Seconds to wait before the next try; throws `error` where another is no use. */
  delayAfter(error: unknown): number {
    if (!(error instanceof UnavailableError) || this.#waitedSeconds >= this.patienceSeconds) {
      throw error;
    }
    const told = Math.min(error.retrySeconds ?? 0, MAX_TOLD_SECONDS);
    // Clients that lost the same server do not all come back in the same moment.
    const delay = Math.max(this.#delaySeconds, told) * (1 + Math.random() / 4);
    this.#waitedSeconds += delay;
    this.#delaySeconds = Math.min(2 * this.#delaySeconds, MAX_DELAY_SECONDS);
    return delay;
  }
}

/** Waits; throws the signal's reason when it is aborted meanwhile. */
export function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** How long tries may go on, and what ends them. */
export interface Patience {
  seconds: number;
  signal?: AbortSignal | undefined;
}

/** Yields a stream's items; opens it anew, from where it was, when the connection breaks. */
export async function* resumed<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  { seconds, signal }: Patience,
): AsyncGenerator<T, void, undefined> {
  const resumption = new Resumption(seconds);
  for (;;) {
    const attempt = new AbortController();
    try {
      signal?.throwIfAborted();
      for await (const item of open(either(attempt.signal, signal))) {
        resumption.noteProgress();
        yield item;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      await sleep(resumption.delayAfter(error), signal);
    } finally {
      attempt.abort();
    }
  }
}

/** Repeats a call that is safe to repeat while the server is away, within a time for all tries. */
export async function repeated<T>(
  call: (signal: AbortSignal) => Promise<T>,
  { seconds, signal }: Patience,
): Promise<T> {
  const deadline = AbortSignal.timeout(seconds * 1000);
  const resumption = new Resumption(seconds);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call(either(deadline, signal));
    } catch (error) {
      signal?.throwIfAborted();
      if (deadline.aborted) {
        throw new UnavailableError(`no answer in ${seconds} s`, { cause: error });
      }
      if (attempt === MAX_ATTEMPTS) {
        throw error;
      }
      await sleep(resumption.delayAfter(error), either(deadline, signal)).catch(() => {
        signal?.throwIfAborted();
        throw error;
      });
    }
  }
}

function either(own: AbortSignal, given?: AbortSignal): AbortSignal {
  return given === undefined ? own : AbortSignal.any([own, given]);
}
