/** The list of sessions, in the reader's time: a new session enters it with its first message, the latest stands first. */

import { fill, fromTemplate, setTime } from "./cards.js";

const TITLE_LENGTH = 80;

export class SessionList {
  #id;
  #agents;
  #list = document.getElementById("session-list");

  /** `id` is the page's session; `agents` maps the agents' names to their titles. */
  constructor(id, agents) {
    this.#id = id;
    this.#agents = agents;
    const fold = document.getElementById("sessions-fold");
    if (matchMedia("(max-width: 50rem)").matches) fold.open = false;
    for (const item of this.#list.children) {
      const time = item.querySelector("time[datetime]");
      if (time) setTime(item, "time", Date.parse(time.dateTime) / 1000, { seconds: false });
    }
  }

  /** Something was said in this page's session: `data` is that of its `message` frame. */
  said({ content, agent, timestamp }) {
    const shown = [...this.#list.children].find((item) => item.querySelector("[data-session]")?.dataset.session === this.#id);
    // History is told too; the list is newer than that already.
    if (shown && timestamp * 1000 <= Date.parse(shown.querySelector("time").dateTime)) return;
    const item = shown ?? this.#enter(content);
    fill(item, { agent: this.#agents[agent] ?? agent });
    setTime(item, "time", timestamp, { seconds: false });
    if (this.#list.firstElementChild !== item) this.#list.prepend(item);
  }

  #enter(message) {
    const item = fromTemplate("session-item");
    const title = message.trim().split(/\s+/).join(" ").slice(0, TITLE_LENGTH);
    const link = item.querySelector("a");
    link.href = location.pathname;
    link.dataset.session = this.#id;
    link.setAttribute("aria-current", "page");
    fill(item, { title });
    document.title = `${title} · Glassbox`;
    document.getElementById("session-heading").textContent = `Session ${title}`;
    return item;
  }
}
