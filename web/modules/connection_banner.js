import { announce } from "./announcer.js";
import { pause } from "./connection.js";
import { find } from "./element.js";

const PROBE_MILLISECONDS = 2000;
const AWAY = "The server cannot be reached. Trying again; videos go on without this page.";

/**
 * Says when the server is away, and asks it again and again until it is back.
 *
 * @param {import("./connection.js").Connection} connection
 * @param {() => Promise<unknown>} probe a cheap request
 */
export function showConnection(connection, probe) {
  const banner = find("#connection-banner");
  connection.addEventListener("away", async () => {
    banner.textContent = AWAY;
    banner.hidden = false;
    while (connection.isAway) {
      await pause(PROBE_MILLISECONDS);
      await probe().catch(() => undefined); // what it found is noted in the connection
    }
  });
  connection.addEventListener("back", () => {
    banner.hidden = true;
    announce("The server is back.");
  });
}
