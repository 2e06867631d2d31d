/** What the user thinks of an answer: two thumbs, a comment, and whether it is saved. */

import { fill } from "./cards.js";

const STATUS = {
  "": "",
  saving: "Saving…",
  retrying: "Not saved yet, trying again.",
  offline: "Not connected: kept here, and saved once the connection is back.",
};

export class FeedbackView {
  #element;
  #run;
  #marks;
  #form;
  #text;
  #open;

  /** `element` is the run's slot for it, `run` its id. */
  constructor(element, run, marks) {
    this.#element = element;
    this.#run = run;
    this.#marks = marks;
    this.#form = element.querySelector("form");
    this.#text = element.querySelector("textarea");
    this.#open = element.querySelector('[data-slot="open-comment"]');
    element.hidden = false;
    for (const button of element.querySelectorAll("[data-thumb]")) {
      button.addEventListener("click", () => marks.thumb(run, button.dataset.thumb));
    }
    this.#open.addEventListener("click", () => (this.#form.hidden ? this.#edit() : this.#cancel()));
    element.querySelector('[data-slot="cancel-comment"]').addEventListener("click", () => this.#cancel());
    this.#text.addEventListener("input", () => {
      marks.type(run, this.#text.value);
      this.#say("");
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#cancel();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) this.#form.requestSubmit();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
  }

  /** Show it as it is now. */
  update() {
    const { thumb, comment, typed, status, error } = this.#marks.feedback(this.#run);
    for (const button of this.#element.querySelectorAll("[data-thumb]")) {
      button.setAttribute("aria-pressed", String(button.dataset.thumb === thumb));
    }
    const hasThumb = thumb !== null;
    if (!hasThumb) this.#show(false);
    else if (typed !== null && this.#form.hidden) {
      this.#text.value = typed;
      this.#show(true);
    }
    this.#open.hidden = !hasThumb;
    this.#open.textContent = comment ? "Change comment" : "Comment";
    const isWritten = !this.#form.hidden;
    fill(this.#element, { comment: isWritten || !hasThumb ? "" : comment });
    const words = [error, STATUS[status]].filter(Boolean).join(" ");
    const state = this.#element.querySelector('[data-slot="feedback-state"]');
    if (state.textContent !== words) state.textContent = words;
  }

  #edit() {
    const { comment, typed } = this.#marks.feedback(this.#run);
    this.#text.value = typed ?? comment;
    this.#marks.type(this.#run, this.#text.value);
    this.#show(true);
    this.update();
    this.#form.scrollIntoView({ block: "nearest" });
    this.#text.focus();
  }

  #cancel() {
    this.#marks.type(this.#run, null);
    this.#say("");
    this.#show(false);
    this.update();
    this.#open.focus();
  }

  #save() {
    const problem = this.#marks.problem(this.#text.value);
    this.#say(problem);
    if (problem) {
      this.#text.focus();
      return;
    }
    this.#show(false);
    this.#marks.comment(this.#run, this.#text.value);
    this.#open.focus();
  }

  #show(isOpen) {
    this.#form.hidden = !isOpen;
    this.#open.setAttribute("aria-expanded", String(isOpen));
  }

  #say(problem) {
    fill(this.#form, { "comment-problem": problem });
    this.#text.toggleAttribute("aria-invalid", problem !== "");
  }
}
