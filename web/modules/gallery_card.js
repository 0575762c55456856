import { element } from "./element.js";
import { failureOf, shapeOf, shortened, statusOf } from "./wording.js";

/**
 * Returns the card of a video that has ended: its picture, which opens it, and what it is.
 *
 * @param {import("./video_files.js").VideoFiles} files
 * @param {import("./types.js").Video} video
 * @param {import("./studio.js").CardActions} actions
 * @returns {HTMLLIElement}
 */
export function galleryCard(files, video, { open }) {
  const isMade = video.state === "SUCCEEDED";
  const verb = isMade ? "Play" : "Details of";
  return element(
    "li",
    { class: "card" },
    element(
      "button",
      {
        type: "button",
        class: "picture",
        "aria-label": `${verb}: ${shortened(video.prompt)}`,
        onclick: () => open(video),
      },
      isMade ? thumbnail(files, video) : element("span", { class: "no-picture" }, statusOf(video)),
    ),
    element("p", { class: "prompt" }, video.prompt),
    element("p", { class: "format" }, isMade ? shapeOf(video) : failureOf(video)),
  );
}

/**
 * @param {import("./video_files.js").VideoFiles} files
 * @param {import("./types.js").Video} video
 */
function thumbnail(files, video) {
  const image = element("img", { alt: "" });
  if (video.thumbnail_url) {
    files.urlOf(video.id, "thumbnail").then(
      (url) => {
        image.src = url;
      },
      () => image.remove(),
    );
  }
  return image;
}
