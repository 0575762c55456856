import { ApiError, AwayError } from "./api_client.js";
import { element } from "./element.js";
import { creditWords } from "./wording.js";

const WAIT_MILLISECONDS = 300;

/** Says what a form's videos would cost, whenever it has changed and then rests for a moment. */
export class PriceLine {
  /**
   * @param {import("./api_client.js").ApiClient} client
   * @param {() => FormData | null} body what to ask for; null while it cannot be priced
   * @param {string} id that a button is described by
   */
  constructor(client, body, id) {
    this.client = client;
    this.body = body;
    this.root = element("p", { class: "price", id, hidden: true });
    this.asking = new AbortController();
    this.asked = "";
    this.timer = 0;
  }

  /** Asks again, in a moment. */
  refresh() {
    this.stop();
    this.timer = setTimeout(() => this.ask(), WAIT_MILLISECONDS);
  }

  /** Asks no more. */
  stop() {
    clearTimeout(this.timer);
    this.asking.abort();
  }

  async ask() {
    const body = this.body();
    if (!body) {
      this.forget();
      return;
    }
    const asked = JSON.stringify([...body]);
    if (asked === this.asked) {
      return; // words were changed, which cost nothing
    }
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      this.show(await this.client.estimate(body, signal));
      this.asked = asked;
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (!(error instanceof AwayError || error instanceof ApiError)) {
        throw error;
      }
      this.forget(); // what is wrong is told when the form is sent
    }
  }

  /** Shows nothing, and asks the next time whatever the form says. */
  forget() {
    this.asked = "";
    this.root.hidden = true;
  }

  /** @param {import("./types.js").CostEstimate} estimate */
  show({ microcredits, available_microcredits: left }) {
    const isTooMuch = left !== null && microcredits > left;
    const price = `Costs ${creditWords(microcredits)}`;
    const rest = left === null ? "" : `, ${creditWords(left)} left`;
    this.root.textContent = `${price}${rest}`;
    this.root.classList.toggle("is-too-much", isTooMuch);
    this.root.hidden = microcredits === 0;
  }
}

/**
 * Returns the end of a form: how many videos, what they cost, and the button that sends it.
 *
 * @param {import("./form_field.js").FormField} numVideos
 * @param {PriceLine} price
 * @param {HTMLButtonElement} button
 */
export function submitRow(numVideos, price, button) {
  const sending = element("div", { class: "sending" }, price.root, button);
  return element("div", { class: "submit-row" }, numVideos.root, sending);
}
