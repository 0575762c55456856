import { readGrowingFile } from "./growing_file.js";
import { playingElement } from "./player.js";
import { shortened } from "./wording.js";

// Of the six connections that a browser opens to a server, most are for other things.
const MAX_PLAYERS = 2;
let numPlayers = 0;

/** @param {import("./types.js").Video} video whether it can be played while it is made */
export function isGrowing({ tier, state }) {
  return tier === "realtime" && state === "RUNNING" && "MediaSource" in window;
}

/** Plays a realtime video from its first frame while the others are made. */
export class GrowingPlayer {
  /**
   * Returns a player, or null where as many play already as may.
   *
   * @param {import("./api_client.js").ApiClient} client
   * @param {import("./types.js").Video} video
   * @param {{onBegun: () => void, onEnded: () => void}} listeners the first frame is there; it has
   *   been played to its end, or cannot be played any more
   */
  static open(client, video, listeners) {
    return numPlayers < MAX_PLAYERS ? new GrowingPlayer(client, video, listeners) : null;
  }

  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {import("./types.js").Video} video
   * @param {{onBegun: () => void, onEnded: () => void}} listeners
   */
  constructor(client, video, { onBegun, onEnded }) {
    numPlayers += 1;
    this.client = client;
    this.video = video;
    this.onEnded = onEnded;
    this.isOver = false;
    this.reading = new AbortController();
    this.source = new MediaSource();
    this.url = URL.createObjectURL(this.source);
    this.screen = playingElement(`${shortened(video.prompt)}, as it is made`, {
      onloadeddata: onBegun,
      onended: () => this.stop(),
      onerror: () => this.stop(),
    });
    this.source.addEventListener("sourceopen", () => this.fill(), { once: true });
    this.screen.src = this.url;
  }

  /** Lets go of the connection and the memory. */
  stop() {
    if (!this.isOver) {
      this.isOver = true;
      numPlayers -= 1;
      this.reading.abort();
      URL.revokeObjectURL(this.url);
      this.onEnded();
    }
  }

  async fill() {
    try {
      /** @type {SourceBuffer | undefined} */
      let buffer;
      let head = new Uint8Array();
      for await (const chunk of readGrowingFile(this.client, this.video.id, this.reading.signal)) {
        if (buffer) {
          await append(buffer, chunk);
          continue;
        }
        head = joined(head, chunk);
        const codec = codecOf(head);
        if (codec) {
          buffer = this.source.addSourceBuffer(`video/mp4; codecs="${codec}"`);
          this.source.duration = Number(this.video.seconds);
          await append(buffer, head);
        }
      }
      this.source.endOfStream();
    } catch {
      this.stop(); // the previews go on, and the file at its end
    }
  }
}

/** @param {SourceBuffer} buffer @param {Uint8Array<ArrayBuffer>} data @returns {Promise<void>} */
function append(buffer, data) {
  return new Promise((resolve, reject) => {
    buffer.addEventListener("updateend", () => resolve(), { once: true });
    buffer.addEventListener("error", reject, { once: true });
    buffer.appendBuffer(data);
  });
}

/** @param {Uint8Array<ArrayBuffer>} head @param {Uint8Array} chunk */
function joined(head, chunk) {
  const both = new Uint8Array(head.length + chunk.length);
  both.set(head);
  both.set(chunk, head.length);
  return both;
}

/**
 * Returns the name that browsers have for the stream of H.264 in an MP4 file; its profile and
 * level stand behind the word avcC and a version (ISO/IEC 14496-15).
 *
 * @param {Uint8Array} head the first bytes of the file
 * @returns {string} empty where they are too few
 */
function codecOf(head) {
  const place = new TextDecoder("latin1").decode(head).indexOf("avcC");
  const numbers = head.subarray(place + 5, place + 8);
  if (place < 0 || numbers.length < 3) {
    return "";
  }
  return `avc1.${[...numbers].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
