import { DeriveDialog } from "./derive_dialog.js";
import { DetailsDialog } from "./details_dialog.js";
import { element, find } from "./element.js";
import { Gallery } from "./gallery.js";
import { LiveList } from "./live_list.js";
import { PromptForm } from "./prompt_form.js";
import { VideoFiles } from "./video_files.js";

/**
 * @typedef {object} Derivation
 * @property {(video: import("./types.js").Video) => boolean} can
 * @property {(video: import("./types.js").Video) => void} open
 *
 * What a card's buttons do beyond the card.
 *
 * @typedef {object} CardActions
 * @property {(video: import("./types.js").Video) => void} reuse puts its settings into the form
 * @property {Derivation} derive makes others from it
 * @property {(video: import("./types.js").Video) => void} open shows it large, with its details
 */

/**
 * Shows the form, the videos that are being made, and those that were.
 *
 * @param {import("./api_client.js").ApiClient} client
 * @param {import("./types.js").Model[]} models
 * @param {import("./connection.js").Connection} connection
 */
export function openStudio(client, models, connection) {
  const files = new VideoFiles(client);
  /** @type {CardActions} */
  const actions = {
    reuse: (video) => form?.fill(video),
    open: (video) => details.open(video),
    derive: {
      can: (video) => derivation.kindsFor(video).length > 0,
      open: (video) => derivation.open(video),
    },
  };
  // On a phone the card is below the form.
  const onCreated = (/** @type {import("./types.js").Video} */ video) =>
    live.add(video).root.scrollIntoView({ block: "nearest" });
  const derivation = new DeriveDialog(client, models, (video) => {
    onCreated(video);
    live.focus(video.id);
  });
  const form = models.length ? new PromptForm(client, models, onCreated) : showNoModels();
  const live = new LiveList(client, files, actions, () => gallery.refresh());
  const gallery = new Gallery(client, files, actions, (id) => live.has(id));
  const details = new DetailsDialog(client, files, {
    ...actions,
    onDeleted: () => gallery.refresh(),
  });
  connection.addEventListener("back", () => {
    live.refresh();
    gallery.refresh();
  });
  find("#studio").hidden = false;
  form?.prompt.control.focus({ preventScroll: true });
  live.start().then(() => gallery.refresh());
}

function showNoModels() {
  const text = "There is no model yet. A worker brings one; load this page again then.";
  find("#prompt-form").append(element("p", { class: "notice" }, text));
}
