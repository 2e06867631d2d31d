/** Time as tests want it: it stands still until told to pass. */
export class FakeClock {
  #now = 1_700_000_000_000;
  #timers = new Map();
  #next = 1;

  now = () => this.#now;

  setTimeout = (call, ms) => {
    const id = this.#next++;
    this.#timers.set(id, { call, at: this.#now + Math.max(ms, 0), id });
    return id;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  /** Let `ms` pass, firing in order what becomes due, timers set meanwhile included. */
  pass(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers.values()].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
      if (!due) break;
      this.#timers.delete(due.id);
      this.#now = due.at;
      due.call();
    }
    this.#now = end;
  }

  get pending() {
    return this.#timers.size;
  }
}
