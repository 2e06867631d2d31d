/** What operators say to all users, above the session. A notice that was dismissed stays so in this browser. */

import { fill, fromTemplate } from "./cards.js";
import { undismissed, withDismissed } from "./dismissed.js";

const KEY = "glassbox.dismissed";

export class SiteNotices {
  #storage;
  #notices = [];
  #dismissed = [];
  #places = {
    info: document.getElementById("site-notices-info"),
    warning: document.getElementById("site-notices-warning"),
  };

  /** `storage` remembers what was dismissed, and may be null; `notices` are those that the page came with. */
  constructor(storage, notices) {
    this.#storage = storage;
    for (const place of Object.values(this.#places)) {
      place.addEventListener("click", (event) => {
        if (event.target.closest("[data-action=dismiss]")) this.#dismiss(event.target.closest(".site-notice"));
      });
    }
    addEventListener("storage", ({ storageArea, key }) => {
      if (storageArea === storage && key === KEY) this.#draw();
    });
    this.show(notices);
  }

  /** These are said now, in place of what was said before. */
  show(notices) {
    this.#notices = notices;
    this.#draw();
  }

  #draw() {
    this.#dismissed = this.#remembered();
    const shown = undismissed(this.#notices, this.#dismissed);
    for (const [level, place] of Object.entries(this.#places)) {
      const mine = shown.filter((notice) => (notice.level === "warning" ? "warning" : "info") === level);
      // Those that stay are left alone: what is put there anew is read out.
      for (const element of [...place.children]) if (!mine.some((notice) => isOf(element, notice))) element.remove();
      for (const notice of mine) if (![...place.children].some((element) => isOf(element, notice))) place.append(made(notice));
    }
  }

  #dismiss(element) {
    const { id, text } = element.dataset;
    const dismissed = withDismissed(this.#remembered(), { id, text });
    this.#dismissed = dismissed;
    try {
      this.#storage?.setItem(KEY, JSON.stringify(dismissed));
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error; // it comes back with the next page then
    }
    document.getElementById("message").focus();
    element.remove();
  }

  #remembered() {
    if (this.#storage === null) return this.#dismissed;
    try {
      const found = JSON.parse(this.#storage.getItem(KEY) ?? "[]");
      return Array.isArray(found) ? found : [];
    } catch {
      return []; // somebody else's
    }
  }
}

function isOf(element, { id, text }) {
  return element.dataset.id === id && element.dataset.text === text;
}

function made({ id, level, text }) {
  const element = fromTemplate("site-notice");
  Object.assign(element.dataset, { id, text, level });
  fill(element, { text, word: level === "warning" ? "Warning:" : "Announcement:" });
  return element;
}
