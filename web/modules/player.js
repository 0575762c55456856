import { element } from "./element.js";
import { errorWords } from "./error_wording.js";
import { shortened } from "./wording.js";

/**
 * Returns a player of a video, which loads it; without sound it begins by itself, unless the
 * person prefers less motion.
 *
 * @param {import("./video_files.js").VideoFiles} files
 * @param {import("./types.js").Video} video
 * @returns {HTMLElement}
 */
export function player(files, video) {
  const screen = playingElement(shortened(video.prompt), { loop: true });
  const place = screenFor(video);
  place.append(screen);
  files.urlOf(video.id, "video").then(
    (url) => {
      screen.src = url;
    },
    (error) => place.replaceChildren(element("p", { class: "error" }, errorWords(error))),
  );
  return place;
}

/**
 * Returns an element that plays by itself and without sound, unless the person prefers less motion.
 *
 * @param {string} label
 * @param {Record<string, import("./element.js").Attribute>} attributes
 */
export function playingElement(label, attributes) {
  const screen = element("video", {
    controls: true,
    playsinline: true,
    "aria-label": label,
    ...attributes,
  });
  screen.muted = true;
  screen.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  return screen;
}

/**
 * Returns the empty place of a video's picture, of the same proportions.
 *
 * @param {import("./types.js").Video} video
 */
export function screenFor({ size }) {
  const screen = element("div", { class: "screen" });
  screen.style.aspectRatio = size.replace("x", " / ");
  return screen;
}

/**
 * Returns a link that saves a video; it works once the file is here.
 *
 * @param {import("./video_files.js").VideoFiles} files
 * @param {import("./types.js").Video} video
 * @returns {HTMLAnchorElement}
 */
export function downloadLink(files, video) {
  const link = element("a", { class: "button", download: `${video.id}.mp4` }, "Download");
  files.urlOf(video.id, "video").then(
    (url) => {
      link.href = url;
    },
    () => link.remove(),
  );
  return link;
}
