import { ApiError, AwayError } from "./api_client.js";
import { pause } from "./connection.js";
import { readServerSentEvents } from "./server_sent_events.js";
import { isEnded } from "./video_state.js";

const RETRY_MILLISECONDS = 1500;
// Several heartbeats: a connection that is silent for longer is dead.
const SILENCE_MILLISECONDS = 60_000;

/**
 * Yields a video's events from its first one to its last; a broken connection is resumed after
 * the last event that came.
 *
 * @param {import("./api_client.js").ApiClient} client
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./types.js").VideoEvent>}
 */
export async function* watchVideo(client, id, signal) {
  let lastEventId = "";
  while (!signal.aborted) {
    try {
      for await (const event of readOnce(client, id, { lastEventId, signal })) {
        lastEventId = event.id;
        yield event;
        if (isEnded(event.state)) {
          return;
        }
      }
      return;
    } catch (error) {
      if (error instanceof ApiError && error.code === "events_trimmed") {
        lastEventId = "";
      } else if (error instanceof ApiError) {
        throw error;
      }
    }
    await pause(RETRY_MILLISECONDS, signal);
  }
}

/**
 * Yields the events of one connection; returns at their end, throws where it breaks.
 *
 * @param {import("./api_client.js").ApiClient} client
 * @param {string} id
 * @param {{lastEventId: string, signal: AbortSignal}} options
 */
async function* readOnce(client, id, { lastEventId, signal }) {
  const silence = new Silence(signal);
  try {
    const response = await client.call(`v1/videos/${id}/events`, {
      headers: lastEventId ? { "last-event-id": lastEventId } : {},
      signal: silence.signal,
    });
    if (response.status === 204 || !response.body) {
      return;
    }
    for await (const event of readServerSentEvents(response.body)) {
      silence.restart();
      if (event?.error) {
        throw new AwayError(event.error.message);
      }
      if (event) {
        yield event;
      }
    }
    throw new AwayError("The connection was closed before the video's end.");
  } finally {
    silence.end();
  }
}

/** Aborts a request of which nothing comes for a while. */
class Silence {
  /** @param {AbortSignal} signal aborts it as well */
  constructor(signal) {
    this.controller = new AbortController();
    this.signal = AbortSignal.any([signal, this.controller.signal]);
    this.restart();
  }

  restart() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.controller.abort(), SILENCE_MILLISECONDS);
  }

  end() {
    clearTimeout(this.timer);
  }
}
