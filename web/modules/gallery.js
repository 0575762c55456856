import { announce } from "./announcer.js";
import { ApiError, AwayError } from "./api_client.js";
import { find } from "./element.js";
import { galleryCard } from "./gallery_card.js";
import { readPage } from "./video_pages.js";
import { isEnded } from "./video_state.js";

const PAGE_SIZE = 12;

/** The videos that have ended, page by page. */
export class Gallery {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {import("./video_files.js").VideoFiles} files
   * @param {import("./studio.js").CardActions} actions
   * @param {(id: string) => boolean} isElsewhere whether another part of the page shows a video
   */
  constructor(client, files, actions, isElsewhere) {
    this.client = client;
    this.files = files;
    this.actions = actions;
    this.isElsewhere = isElsewhere;
    this.section = find("#gallery");
    this.list = find("ul", this.section);
    this.newer = /** @type {HTMLButtonElement} */ (find(".newer", this.section));
    this.older = /** @type {HTMLButtonElement} */ (find(".older", this.section));
    /** The last video before each page up to the present one. */
    this.starts = [""];
    /** @type {import("./types.js").Video[]} */
    this.videos = [];
    this.newer.addEventListener("click", () => this.turn(this.starts.slice(0, -1)));
    this.older.addEventListener("click", () => this.turn([...this.starts, this.lastId()]));
  }

  /** Shows the present page as it is now. */
  async refresh() {
    const starts = this.starts;
    const after = starts[starts.length - 1];
    try {
      const page = await readPage(this.client, {
        size: PAGE_SIZE,
        after,
        isShown: ({ id, state }) => isEnded(state) && !this.isElsewhere(id),
      });
      if (starts === this.starts) {
        this.show(page);
      }
    } catch (error) {
      if (error instanceof ApiError && after) {
        this.starts = [""]; // what the page began after was deleted
        await this.refresh();
      } else if (!(error instanceof AwayError || error instanceof ApiError)) {
        throw error;
      }
    }
  }

  /** @param {string[]} starts */
  async turn(starts) {
    this.starts = starts;
    await this.refresh();
    find("h2", this.section).focus();
    announce(`Page ${this.starts.length}, ${this.videos.length} videos.`);
  }

  /** @param {{videos: import("./types.js").Video[], hasMore: boolean}} page */
  show({ videos, hasMore }) {
    const kept = new Set(videos.map(({ id }) => id));
    for (const { id } of this.videos) {
      if (!kept.has(id) && !this.isElsewhere(id)) {
        this.files.release(id);
      }
    }
    // A page that is the same keeps its cards, and with them the focus.
    if (kept.size !== this.videos.length || this.videos.some(({ id }) => !kept.has(id))) {
      this.list.replaceChildren(
        ...videos.map((video) => galleryCard(this.files, video, this.actions)),
      );
    }
    this.videos = videos;
    find(".empty", this.section).hidden = videos.length > 0;
    find(".pages", this.section).hidden = this.starts.length === 1 && !hasMore;
    find(".page-number", this.section).textContent = `Page ${this.starts.length}`;
    this.newer.disabled = this.starts.length === 1;
    this.older.disabled = !hasMore;
  }

  lastId() {
    return this.videos[this.videos.length - 1]?.id ?? "";
  }
}
