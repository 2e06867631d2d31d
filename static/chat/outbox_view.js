/** The outbox on the page: what waits, why, and when it is tried again. */

import { announce } from "./announcer.js";
import { fill, fromTemplate } from "./cards.js";
import { inWords } from "./unsent.js";

export class OutboxView {
  #list = document.getElementById("outbox");
  #elements = new Map(); // client_id -> element
  #entries = [];
  #clock;
  #timer = null;

  /** `actions` are called with the client_id of an entry: retry, discard. */
  constructor({ actions, clock }) {
    this.#clock = clock;
    this.#list.addEventListener("click", (event) => {
      const name = event.target.closest?.("[data-action]")?.dataset.action;
      const client = event.target.closest?.("[data-client]")?.dataset.client;
      if (name) actions[name]?.(client);
    });
  }

  /** Show these entries. Those that stay keep their elements, and with them the focus. */
  show(entries) {
    this.#entries = entries;
    const ids = new Set(entries.map(({ client_id }) => client_id));
    for (const [id, element] of this.#elements) {
      if (ids.has(id)) continue;
      element.remove();
      this.#elements.delete(id);
    }
    entries.forEach((entry, at) => {
      let element = this.#elements.get(entry.client_id);
      if (!element) {
        element = fromTemplate("outbox-entry");
        element.dataset.client = entry.client_id;
        fill(element, { message: entry.message });
        this.#elements.set(entry.client_id, element);
      }
      if (this.#list.children[at] !== element) this.#list.insertBefore(element, this.#list.children[at] ?? null);
      element.dataset.state = entry.state;
      element.classList.toggle("is-refused", Boolean(entry.error));
      element.querySelector("[data-action=retry]").hidden = entry.state !== "failed";
      element.querySelector("[data-action=discard]").hidden = entry.state === "taken";
    });
    this.#say();
  }

  #say() {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
    const now = this.#clock.now();
    for (const entry of this.#entries) {
      const element = this.#elements.get(entry.client_id);
      const words = inWords(entry, now);
      fill(element, words);
      const told = `${words.state} ${words.error}`;
      // The seconds are not read out, each would interrupt; what is wrong is, once.
      if (entry.error && element.dataset.told !== told) announce(`${told} ${words.when}`);
      element.dataset.told = entry.error ? told : "";
    }
    if (this.#entries.some(({ retry_at }) => retry_at > now)) this.#timer = this.#clock.setTimeout(() => this.#say(), 250);
  }
}
