/** The wish to stop the active run: it holds until that run has ended, over reconnections. */

export class Stop {
  #send;
  #active;
  #wanted = null; // run_id

  /** `active()` is the active run or null. */
  constructor({ send, active }) {
    this.#send = send;
    this.#active = active;
  }

  get status() {
    const run = this.#active();
    return { active: run !== null, stopping: run !== null && run.run_id === this.#wanted };
  }

  /** Stop the run that is active now; where nothing is connected, as soon as something is. */
  ask() {
    const run = this.#active();
    if (run === null) return;
    this.#wanted = run.run_id;
    this.#send({ type: "interrupt", run_id: run.run_id });
  }

  /** The page has caught up after a reconnection: nobody knows whether the command arrived. */
  again() {
    if (this.status.stopping) this.#send({ type: "interrupt", run_id: this.#wanted });
    else this.#wanted = null;
  }

  /** A frame has been applied: an `interrupted` for a run still active here is followed by its end. */
  after() {
    if (this.#wanted !== null && this.#active()?.run_id !== this.#wanted) this.#wanted = null;
  }
}
