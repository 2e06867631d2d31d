/** The buttons that lead to a step worth looking at: the next that failed, the slowest, the dearest. */

export class Jumps {
  #facts;
  #go;
  #last = 0; // the failed step that was gone to last
  #buttons = Object.fromEntries(
    [...document.querySelectorAll("[data-jump]")].map((button) => [button.dataset.jump, button]),
  );

  /** `go(seq)` leads to a step. */
  constructor({ facts, go }) {
    this.#facts = facts;
    this.#go = go;
    this.#buttons.failed.addEventListener("click", () => this.#nextFailed());
    for (const name of ["slowest", "dearest"]) {
      this.#buttons[name].addEventListener("click", () => this.#go(this[`_${name}`]().seq));
    }
  }

  /** The facts have changed. */
  show() {
    const failed = this.#failed().length;
    this.#buttons.failed.textContent = failed ? `Failed (${failed})` : "None failed";
    this.#buttons.failed.disabled = failed === 0;
    for (const name of ["slowest", "dearest"]) {
      const step = this[`_${name}`]();
      this.#buttons[name].disabled = step === null;
      this.#buttons[name].title = step === null ? "" : `Step ${step.seq}`;
    }
  }

  _slowest() {
    return this.#most((step) => step.duration ?? 0);
  }

  /** By cost; where no model has a price, by tokens. */
  _dearest() {
    return this.#most((step) => step.cost ?? 0) ?? this.#most((step) => (step.tokens ? step.tokens[0] + step.tokens[1] : 0));
  }

  #most(measure) {
    let most = null;
    for (const step of this.#facts.steps.values()) {
      if (measure(step) > 0 && (most === null || measure(step) > measure(most))) most = step;
    }
    return most;
  }

  #failed() {
    return [...this.#facts.steps.values()].filter(({ failed }) => failed).map(({ seq }) => seq);
  }

  #nextFailed() {
    const failed = this.#failed();
    this.#last = failed.find((seq) => seq > this.#last) ?? failed[0];
    this.#go(this.#last);
  }
}
