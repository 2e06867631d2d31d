/**
 * Places in the transcript that an address names: `#step-12`, `#run-…`. They are loaded, scrolled to, marked and focused. The number
 * of an event that is no step leads to its run.
 */

const PLACE = /^(?:step-(\d{1,16})|run-([0-9a-f-]{36}))$/;

export class Places {
  #page;
  #facts;
  #isLive;
  #state;
  #reveal;
  #wanted = null; // {seq} or {run}
  #looking = false;
  #runs = document.getElementById("runs");
  #said = document.getElementById("said");

  /** `isLive()` says whether the page has all there is, `state()` is what it has; `reveal(run_id)` shows the steps that a run's user did not see. */
  constructor({ page, facts, state, isLive, reveal }) {
    this.#page = page;
    this.#facts = facts;
    this.#isLive = isLive;
    this.#state = state;
    this.#reveal = reveal;
    addEventListener("hashchange", () => this.#read());
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.('a[href^="#step-"], a[href^="#run-"]');
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.go(link.getAttribute("href").slice(1));
    });
    this.#read();
  }

  /** Go to a place, which the address names from then on. */
  go(place) {
    if (location.hash !== `#${place}`) history.pushState(null, "", `#${place}`);
    this.#read();
  }

  #read() {
    const found = PLACE.exec(decodeURIComponent(location.hash.slice(1)));
    this.#wanted = found ? { seq: Number(found[1]), run: found[2] } : null;
    this.look();
  }

  /** Go where the address says as soon as that is there; tried with each frame of the screen until then. */
  async look() {
    if (this.#wanted === null || this.#looking) return;
    this.#looking = true;
    try {
      await this.#tryOnce(this.#wanted);
    } finally {
      this.#looking = false;
    }
    if (this.#wanted !== null) requestAnimationFrame(() => this.look());
  }

  async #tryOnce(wanted) {
    const { seq, run } = wanted;
    let element = this.#find(seq, run) ?? this.#draw(seq, run);
    if (!element) {
      if (!this.#isLive() || !this.#page.isSettled || (!run && !this.#facts.isCurrent)) return;
      const step = this.#facts.steps.get(seq);
      if (step && !this.#facts.runs.get(step.run)?.shows) await this.#reveal(step.run);
      element = this.#find(seq, run ?? (step ? undefined : this.#facts.runOf(seq)));
    }
    // Meanwhile the reader may have gone elsewhere.
    if (this.#wanted !== wanted) return;
    this.#wanted = null;
    if (element) this.#show(element);
    else this.#said.textContent = run ? "There is no such run in this session." : `There is no step ${seq} in this session.`;
  }

  /** What has come and stands far back in the queue of what is to be drawn is drawn first. */
  #draw(seq, run) {
    const { runs, byId, seq: through } = this.#state();
    if (!run && through < seq) return null;
    const found = run ? byId.get(run) : runs.find(({ steps }) => steps.some((step) => step.seq === seq));
    if (!found) return null;
    this.#page.drawNow(found.run_id);
    return this.#find(seq, run);
  }

  #find(seq, run) {
    return this.#runs.querySelector(run ? `.run[data-run="${run}"]` : `.step[data-seq="${seq}"]`);
  }

  #show(element) {
    this.#said.textContent = "";
    this.#page.stay();
    for (const marked of this.#runs.querySelectorAll(".is-target")) marked.classList.remove("is-target");
    element.classList.add("is-target");
    element.tabIndex = -1;
    const block = element.classList.contains("run") ? "start" : "center";
    const scroll = () => element.scrollIntoView({ block });
    scroll();
    element.focus({ preventScroll: true });
    // What was out of sight had no height of its own until now, and what is before it may still have to be drawn.
    const settle = (frames) => {
      if (!element.classList.contains("is-target")) return;
      if (frames > 0) requestAnimationFrame(() => settle(this.#page.isSettled && this.#isLive() ? frames - 1 : frames));
      else if (document.activeElement === element) scroll();
    };
    settle(2);
  }
}
