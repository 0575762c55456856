/**
 * Says how many frames a length stands for: the nearest number that the model can make.
 *
 * @param {import("./types.js").Model} model
 * @param {number} seconds
 * @param {number} fps
 * @returns {string} empty while there is no number
 */
export function frameWords({ limits }, seconds, fps) {
  if (!(seconds > 0 && fps > 0)) {
    return "";
  }
  const { frames_multiple: multiple, max_num_frames: most } = limits;
  const numFrames = multiple * Math.max(0, Math.round((seconds * fps - 1) / multiple)) + 1;
  const longest = Math.floor((most / fps) * 100) / 100;
  return numFrames > most
    ? `At most ${longest} s at ${fps} frames a second`
    : `${numFrames} frames; up to ${longest} s`;
}
