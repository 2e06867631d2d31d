/** Texts that are loaded page by page, the first of them when the panel is opened. All of it is plain text. */

import { fromTemplate } from "../chat/cards.js";
import { fetchPage } from "./pages.js";

export class Panel {
  #address;
  #show;
  #isOver;
  #after = 0;
  #count = 0;
  #items;
  #state;
  #more;

  /** `show(item)` gives {role?, text}; `isOver()` says whether what is there now is all there will be. */
  constructor(details, { address, label, show, isOver }) {
    this.#address = address;
    this.#show = show;
    this.#isOver = isOver;
    details.addEventListener(
      "toggle",
      () => {
        const panel = fromTemplate("panel");
        this.#items = panel.querySelector("[data-slot=items]");
        this.#items.setAttribute("aria-label", label);
        this.#state = panel.querySelector("[data-slot=state]");
        this.#more = panel.querySelector("[data-slot=more]");
        this.#more.addEventListener("click", () => this.#load());
        details.append(panel);
        this.#load();
      },
      { once: true },
    );
  }

  async #load() {
    this.#more.disabled = true;
    this.#state.textContent = "Loading…";
    try {
      const { items, through, more } = await fetchPage(this.#address, this.#after);
      this.#items.append(...items.map((item) => element(this.#show(item))));
      this.#after = through;
      this.#count += items.length;
      this.#more.hidden = !more && this.#isOver();
      this.#state.textContent = more ? `${this.#count} so far, there are more` : `${this.#count}, all there are`;
    } catch (error) {
      this.#state.textContent = error.message;
      this.#more.hidden = false;
    }
    this.#more.disabled = false;
  }
}

function element({ role, text }) {
  const item = document.createElement("div");
  item.className = "panel-item";
  if (role) {
    const name = document.createElement("strong");
    name.textContent = role;
    item.append(name);
  }
  const pre = document.createElement("pre");
  pre.textContent = text;
  item.append(pre);
  return item;
}
