/** What each step of the session took, and what became of its runs: asked of the server, after the last that is known. */

import { fetchPage } from "./pages.js";

/** ms between two questions while a run is under way. */
const PAUSE = 1_000;

export class Facts {
  #address;
  #clock;
  #changed;
  #failed;
  #through = 0;
  #wanted = 0;
  #asking = false;
  #isMarked = false; // since the last question
  #timer = null;
  #generation = 0;

  steps = new Map(); // seq -> {seq, run, type, tool, iteration, at, duration, tokens, cost, failed}
  runs = new Map(); // run id -> {message, state, started, ended, …, steps: [seq], others: [seq of what is no step]}
  header = {};

  /** `changed(run_ids)` is called when something has come, `failed(sentence)` where nothing comes. */
  constructor({ address, clock, changed, failed }) {
    this.#address = `${address}facts/`;
    this.#clock = clock;
    this.#changed = changed;
    this.#failed = failed;
  }

  /** The session has this event. */
  behind(seq) {
    if (seq <= this.#wanted) return;
    this.#wanted = seq;
    if (!this.#asking && this.#timer === null) this.#ask();
  }

  /** The user has marked runs: {run_id, thumb: "up", "down" or null, comment}. */
  marked(feedback) {
    const told = feedback.filter(({ run_id }) => this.runs.has(run_id));
    for (const { run_id, thumb, comment } of told) {
      Object.assign(this.runs.get(run_id), { thumb: { up: 1, down: -1 }[thumb] ?? 0, comment });
    }
    this.#changed(told.map(({ run_id }) => run_id));
    // The header counts them; an answer that is on its way may not have.
    this.#isMarked = true;
    if (!this.#asking && this.#timer === null) this.#ask();
  }

  /** The history was replaced. */
  clear() {
    this.steps.clear();
    this.runs.clear();
    this.#through = 0;
    this.#wanted = 0;
    this.#generation += 1;
  }

  /** The run that this event belongs to, if it is no step. */
  runOf(seq) {
    for (const [id, { others }] of this.runs) if (others.includes(seq)) return id;
    return null;
  }

  /** Whether all that was heard of has come. */
  get isCurrent() {
    return this.#through >= this.#wanted;
  }

  async #ask() {
    this.#asking = true;
    this.#isMarked = false;
    const generation = this.#generation;
    try {
      const page = await fetchPage(this.#address, this.#through);
      if (generation === this.#generation) this.#take(page);
    } catch (error) {
      this.#failed(error.message);
    } finally {
      this.#asking = false;
      // Where more is to come, the next question is on its way already.
      if (this.#isMarked && this.isCurrent) this.#ask();
    }
  }

  #take({ items, runs, header, through, more }) {
    for (const [id, run] of Object.entries(runs)) {
      const { steps = [], others = [] } = this.runs.get(id) ?? {};
      this.runs.set(id, { ...run, steps, others: [...others, ...run.others] });
    }
    for (const step of items) {
      if (!this.steps.has(step.seq)) this.runs.get(step.run)?.steps.push(step.seq);
      this.steps.set(step.seq, step);
    }
    this.header = header;
    this.#through = through;
    this.#changed(Object.keys(runs));
    if (more) queueMicrotask(() => this.#ask());
    else if (!this.isCurrent) {
      this.#timer = this.#clock.setTimeout(() => {
        this.#timer = null;
        this.#ask();
      }, PAUSE);
    }
  }
}
