/** The list of sessions: a new session enters it with its first message. */

export class SessionList {
  #id;
  #list = document.getElementById("session-list");

  constructor(id) {
    this.#id = id;
    const fold = document.getElementById("sessions-fold");
    if (matchMedia("(max-width: 50rem)").matches) fold.open = false;
  }

  /** Something was said in this page's session. */
  said(message) {
    const links = [...this.#list.querySelectorAll("[data-session]")];
    if (links.some(({ dataset }) => dataset.session === this.#id)) return;
    const title = message.trim().split("\n")[0].slice(0, 80);
    const link = document.createElement("a");
    link.href = location.pathname;
    link.dataset.session = this.#id;
    link.setAttribute("aria-current", "page");
    const span = document.createElement("span");
    span.className = "session-title";
    span.textContent = title;
    link.append(span);
    const item = document.createElement("li");
    item.append(link);
    this.#list.prepend(item);
    document.title = `${title} · Glassbox`;
  }
}
