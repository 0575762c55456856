import { ApiClient, ApiError, AwayError } from "./api_client.js";
import { Connection } from "./connection.js";
import { showConnection } from "./connection_banner.js";
import { find } from "./element.js";
import { errorWords } from "./error_wording.js";
import { readKey, signOut, takeSignOutReason } from "./session_key.js";
import { askForKey } from "./sign_in.js";
import { openStudio } from "./studio.js";

const connection = new Connection();

/** Opens the studio where the server lets us in, with the key that this tab has or with none. */
async function start() {
  const client = clientWith(readKey());
  try {
    open(client, await client.listModels());
  } catch (error) {
    if (error instanceof AwayError) {
      return; // the page starts when the server is back
    }
    if (!(error instanceof ApiError)) {
      throw error;
    }
    const reason = client.key ? errorWords(error) : takeSignOutReason();
    askForKey({ reason, clientWith, onOpen: open });
  }
}

/**
 * @param {ApiClient} client
 * @param {import("./types.js").Model[]} models
 */
function open(client, models) {
  isStarted = true;
  client.onRefused = (error) => signOut(errorWords(error));
  const button = find("#sign-out");
  button.hidden = !client.key;
  button.addEventListener("click", () => signOut());
  openStudio(client, models, connection);
}

/** @param {string} key */
function clientWith(key) {
  return new ApiClient({ key, connection });
}

let isStarted = false;
showConnection(connection, () => clientWith(readKey()).listModels());
connection.addEventListener("back", () => isStarted || start());
start();
