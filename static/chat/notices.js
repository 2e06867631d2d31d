/** Sentences for the user that belong to no message: refused frames, the end of a connection. */

import { fill, fromTemplate } from "./cards.js";

const KEPT = 3;

export class Notices {
  #list = document.getElementById("notices");

  constructor() {
    this.#list.addEventListener("click", (event) => {
      if (event.target.closest("[data-action=close]")) event.target.closest(".notice").remove();
    });
  }

  /** `link` is {href, text}, where there is something to do about it. The same sentence stands there once. */
  show(text, link = null) {
    this.drop(text);
    const notice = fromTemplate("notice");
    fill(notice, { text, link: link?.text ?? "" });
    if (link) notice.querySelector("a").href = link.href;
    this.#list.append(notice);
    while (this.#list.childElementCount > KEPT) this.#list.firstElementChild.remove();
  }

  /** The sentence is true no longer. */
  drop(text) {
    for (const shown of [...this.#list.children]) if (shown.querySelector("[data-slot=text]").textContent === text) shown.remove();
  }

  clear() {
    this.#list.replaceChildren();
  }
}
