import { element, find } from "./element.js";

/**
 * Asks before something that cannot be undone.
 *
 * @param {{title: string, text: string, verb: string}} question
 * @returns {Promise<boolean>} whether the answer is yes
 */
export function ask({ title, text, verb }) {
  const dialog = /** @type {HTMLDialogElement} */ (find("#question"));
  const answer = (/** @type {string} */ value) => () => dialog.close(value);
  dialog.returnValue = "";
  dialog.replaceChildren(
    element("h2", { id: "question-title" }, title),
    element("p", {}, text),
    element(
      "div",
      { class: "buttons" },
      element("button", { type: "button", autofocus: true, onclick: answer("no") }, "Keep it"),
      element("button", { type: "button", class: "danger", onclick: answer("yes") }, verb),
    ),
  );
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/**
 * Asks, and deletes a video if that is wanted.
 *
 * @param {import("./api_client.js").ApiClient} client
 * @param {import("./types.js").Video} video
 * @returns {Promise<boolean>} whether it is gone
 */
export async function askAndDelete(client, video) {
  const isWanted = await ask({
    title: "Delete this video?",
    text: "Its file goes for good.",
    verb: "Delete it",
  });
  if (isWanted) {
    await client.deleteVideo(video.id);
  }
  return isWanted;
}
