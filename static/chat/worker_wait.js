/**
 * Notices a message that waits for long though nothing before it runs. Knows no page; the clock is this page's own, since that
 * of the server may differ.
 */

const LONG = 5_000;

export class WorkerWait {
  #next;
  #changed;
  #clock;
  #run = null; // {run_id, isLong}
  #timer = null;

  /** `next()` is the run that could begin now, or null; `changed(run_id)` is called when `isLong` of a run changes. */
  constructor({ next, changed, clock }) {
    this.#next = next;
    this.#changed = changed;
    this.#clock = clock;
  }

  /** Whether this run has waited for long. */
  isLong(runId) {
    return this.#run?.run_id === runId && this.#run.isLong;
  }

  /** A recorded frame has been applied, or the page has caught up. */
  look() {
    const next = this.#next();
    if (next?.run_id === this.#run?.run_id) return;
    this.#forget();
    if (next === null) return;
    this.#run = { run_id: next.run_id, isLong: false };
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null;
      this.#run.isLong = true;
      this.#changed(this.#run.run_id);
    }, LONG);
  }

  /** The page is cut off, and knows no longer. */
  closed() {
    this.#forget();
  }

  #forget() {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
    const was = this.#run;
    this.#run = null;
    if (was?.isLong) this.#changed(was.run_id);
  }
}
