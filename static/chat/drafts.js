/** A step in the making: its card, and the text that is added to it. */

import { Blocks } from "./blocks.js";
import { fill, makeCard } from "./cards.js";
import { renderMarkdown } from "./markdown.js";

/** The share of time that drawing an open block may take: a longer block is drawn less often. */
const SHARE = 0.1;
/** Characters of an open block above which it is shown as plain text, to which more is only added. */
const MAX_OPEN = 16_000;

export class DraftView {
  #blocks = new Blocks();
  #shown = 0; // length of the text on the page
  #quietUntil = 0;
  #rest = document.createElement("div");
  #tail = null; // the text of an open block that is too long to be read as Markdown again and again
  #body;

  constructor(draft) {
    this.step = draft.step;
    this.element = makeCard(draft.type);
    this.element.dataset.draft = "true";
    this.element.dataset.step = String(draft.step);
    const word = draft.type === "thought" ? "Thinking…" : "Answering…";
    fill(this.element, { iteration: `iteration ${draft.iteration}`, mark: draft.retried ? "the model was asked again" : "" });
    this.element.querySelector(".step-word").textContent = word;
    this.#body = this.element.querySelector("[data-slot=body]");
    this.#body.classList.add("markdown");
    this.#body.append(this.#rest);
  }

  /** Show the draft as it is now. False if it must be called again later because this block was drawn just before. */
  update(draft, now) {
    if (draft.content.length === this.#shown) return true;
    if (now < this.#quietUntil) return false;
    for (const block of this.#blocks.advance(draft.content)) {
      const finished = document.createElement("div");
      finished.append(renderMarkdown(block));
      this.#rest.before(finished);
      this.#tail = null;
    }
    this.#showRest(draft.content);
    this.#shown = draft.content.length;
    this.#quietUntil = now + (performance.now() - now) / SHARE;
    return true;
  }

  #showRest(content) {
    const open = this.#blocks.open;
    const isLong = content.length - open > MAX_OPEN;
    this.#rest.classList.toggle("plain", isLong);
    if (this.#tail) this.#tail.appendData(content.slice(this.#shown));
    else if (isLong) this.#rest.replaceChildren((this.#tail = document.createTextNode(content.slice(open))));
    else this.#rest.replaceChildren(renderMarkdown(content.slice(open)));
  }
}

