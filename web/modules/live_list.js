import { announce } from "./announcer.js";
import { ApiError, AwayError } from "./api_client.js";
import { pause } from "./connection.js";
import { find } from "./element.js";
import { LiveCard } from "./live_card.js";
import { watchVideo } from "./video_events.js";
import { afterEvent, isEnded } from "./video_state.js";
import { shortened, statusOf } from "./wording.js";

/** @typedef {import("./types.js").Video} Video */

// Browsers open six connections to a server for all their tabs; each watched video takes one.
const MAX_WATCHED = 2;
const POLL_MILLISECONDS = 4000;
const IDLE_POLL_MILLISECONDS = 15_000;
const MAX_LISTED = 100;

/** The videos that are being made, each with a card that moves. */
export class LiveList {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {import("./video_files.js").VideoFiles} files
   * @param {import("./studio.js").CardActions} actions
   * @param {() => void} onDismissed a card has left
   */
  constructor(client, files, actions, onDismissed) {
    this.client = client;
    this.files = files;
    this.actions = actions;
    this.onDismissed = onDismissed;
    this.section = find("#live");
    this.list = find("ul", this.section);
    /** @type {Map<string, LiveCard>} */
    this.cards = new Map();
    /** @type {Map<string, AbortController>} */
    this.watched = new Map();
  }

  /** Shows what is under way, and looks from time to time for more. */
  async start() {
    document.addEventListener("visibilitychange", () => this.followVisibility());
    await this.refresh();
    this.poll();
  }

  /** @param {string} id */
  has(id) {
    return this.cards.has(id);
  }

  /** @param {Video} video @returns {LiveCard} */
  add(video) {
    const card = new LiveCard(this.client, this.files, video, {
      ...this.actions,
      onDismissed: () => this.dismiss(video.id),
      onChanged: (changed) => this.update(changed),
    });
    this.cards.set(video.id, card);
    this.list.prepend(card.root);
    this.section.hidden = false;
    this.watchMore();
    return card;
  }

  /** @param {string} id whose card is to be read next */
  focus(id) {
    const root = this.cards.get(id)?.root;
    if (root) {
      find("h3", root).focus({ preventScroll: true });
    }
  }

  /** Reads the newest videos: those under way that are not shown yet, and how the others are. */
  async refresh() {
    let list;
    try {
      list = await this.client.listVideos({ limit: MAX_LISTED });
    } catch (error) {
      if (error instanceof AwayError || error instanceof ApiError) {
        return; // the next round tries again
      }
      throw error;
    }
    for (const video of list.data.reverse()) {
      if (!this.has(video.id) && !isEnded(video.state)) {
        this.add(video);
      } else if (this.has(video.id) && !this.watched.has(video.id)) {
        this.update(video);
      }
    }
  }

  async poll() {
    for (;;) {
      await pause(this.unwatched().length ? POLL_MILLISECONDS : IDLE_POLL_MILLISECONDS);
      if (!document.hidden && !this.client.connection.isAway) {
        await this.refresh();
      }
    }
  }

  /** @returns {LiveCard[]} those of videos that have not ended, the oldest first */
  unwatched() {
    return [...this.cards.values()]
      .filter(({ video }) => !isEnded(video.state) && !this.watched.has(video.id))
      .sort((one, other) => one.video.created_at - other.video.created_at);
  }

  /** Watches as many videos as connections allow. */
  watchMore() {
    const waiting = this.unwatched();
    for (const card of waiting.slice(0, Math.max(0, MAX_WATCHED - this.watched.size))) {
      if (!document.hidden) {
        this.watch(card);
      }
    }
  }

  /** @param {LiveCard} card */
  async watch(card) {
    const { id } = card.video;
    const watching = new AbortController();
    this.watched.set(id, watching);
    try {
      for await (const event of watchVideo(this.client, id, watching.signal)) {
        this.update(afterEvent(card.video, event));
      }
      if (!watching.signal.aborted) {
        this.update(await this.client.getVideo(id));
      }
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        this.dismiss(id);
      } else if (!(error instanceof AwayError || error instanceof ApiError)) {
        throw error;
      } else {
        await pause(POLL_MILLISECONDS, watching.signal); // it would be refused again at once
      }
    } finally {
      this.watched.delete(id);
    }
    this.watchMore();
  }

  /** @param {Video} video */
  update(video) {
    const card = this.cards.get(video.id);
    if (!card || (isEnded(card.video.state) && !isEnded(video.state))) {
      return;
    }
    if (card.video.state !== video.state) {
      announce(`${statusOf(video)}: ${shortened(video.prompt)}`);
    }
    // Previews are in the events alone.
    card.show({ image_url: card.video.image_url, ...video });
  }

  /** @param {string} id */
  dismiss(id) {
    const card = this.cards.get(id);
    const root = card?.root;
    const hadFocus = root?.contains(document.activeElement);
    this.watched.get(id)?.abort();
    card?.close();
    this.cards.delete(id);
    root?.remove();
    this.section.hidden = this.cards.size === 0;
    this.onDismissed();
    if (hadFocus) {
      find(this.section.hidden ? "#gallery-title" : "#live-title").focus();
    }
  }

  /** A tab that nobody sees leaves its connections to the others. */
  followVisibility() {
    if (document.hidden) {
      this.watched.forEach((watching) => watching.abort());
    } else {
      this.refresh().then(() => this.watchMore());
    }
  }
}
