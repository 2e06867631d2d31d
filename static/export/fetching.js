/**
 * Fetches a file part after part. Knows neither page nor network nor store: they are given.
 *
 * `get(next)` returns `{ blob, next, runs }` (next is null after the last part) or throws: `Refused` where to try again is of no use.
 */

import { delay } from "./amounts.js";

export class Refused extends Error {}

export const BEGIN = Object.freeze({ next: "0.0", parts: 0, size: 0, runs: 0 });

export class Fetching {
  /** `changed()` is called when `status`, `place` or `error` is another. `wait(seconds)` resolves after that long, or when told to hurry. */
  constructor({ get, store, wait, changed, chance = Math.random }) {
    this.place = BEGIN;
    this.status = "paused";
    this.error = "";
    this._given = { get, store, wait, changed, chance };
    this._wanted = false;
    this._running = null;
  }

  /** Go on from what is stored. */
  async load() {
    this.place = (await this._given.store.load()) ?? BEGIN;
    this._become(this.place.next === null ? "done" : "paused");
  }

  start() {
    this._wanted = true;
    this._running ??= this._run().finally(() => {
      this._running = null;
    });
    return this._running;
  }

  pause() {
    this._wanted = false;
    if (this.status !== "done") this._become("paused");
  }

  /** Forget all that was fetched. */
  async discard() {
    this._wanted = false;
    await this._running;
    await this._given.store.clear();
    this.place = BEGIN;
    this._become("paused");
  }

  async _run() {
    const { get, store, wait, chance } = this._given;
    let tries = 0;
    while (this._wanted && this.place.next !== null) {
      if (this.status !== "waiting") this._become("fetching");
      try {
        const part = await get(this.place.next);
        const place = {
          next: part.next,
          parts: this.place.parts + 1,
          size: this.place.size + part.blob.size,
          runs: part.runs,
        };
        await store.add(this.place.parts, part.blob, place);
        this.place = place;
        tries = 0;
        // What was in flight when it was paused is kept all the same.
        if (this._wanted) this._become("fetching");
        else this._given.changed();
      } catch (error) {
        if (error instanceof Refused) {
          this._wanted = false;
          this._become("refused", error.message);
          return;
        }
        if (!this._wanted) return;
        tries += 1;
        this._become("waiting", String(error.message || error));
        await wait(delay(tries, chance()));
      }
    }
    if (this.place.next === null) this._become("done");
  }

  _become(status, error = "") {
    this.status = status;
    this.error = error;
    this._given.changed();
  }
}
