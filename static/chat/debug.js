/** The last frames, both ways, as text. Drawn only while the panel is open. */

import { fill, fromTemplate } from "./cards.js";

const KEPT = 200;
const SHOWN_CHARACTERS = 2_000;

export class DebugPanel {
  #panel = document.getElementById("debug");
  #list = document.getElementById("debug-frames");
  #count = document.getElementById("debug-count");
  #kept = [];
  #total = 0;

  constructor(socket) {
    socket.on("received", (frame, text) => this.#add("←", text));
    socket.on("sent", (frame, text) => this.#add("→", text));
    this.#panel.addEventListener("toggle", () => this.#redraw());
    document.getElementById("debug-clear").addEventListener("click", () => {
      this.#kept = [];
      this.#redraw();
    });
  }

  #add(way, text) {
    const clock = new Date().toISOString().slice(11, 23);
    const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)` : text;
    const line = { way: `${clock} ${way}`, text: shown };
    this.#total += 1;
    this.#kept.push(line);
    if (this.#kept.length > KEPT) this.#kept.shift();
    if (!this.#panel.open) return;
    this.#list.append(element(line));
    while (this.#list.childElementCount > KEPT) this.#list.firstElementChild.remove();
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#showCount();
  }

  #redraw() {
    this.#list.replaceChildren(...(this.#panel.open ? this.#kept.map(element) : []));
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#showCount();
  }

  #showCount() {
    this.#count.textContent = `${this.#total} frames, the last ${this.#kept.length} kept`;
  }
}

function element(line) {
  const item = fromTemplate("debug-frame");
  fill(item, line);
  return item;
}
