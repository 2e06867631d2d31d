/**
 * When to ask the server for what is missing. Knows the state and the socket's `send`, nothing of the page.
 *
 * After `connected` the page resumes at once, and again for each further page of the answer. Later it resumes when the
 * state has a gap or a draft has a hole, or when the server's head stays ahead; then at most once in `pause` ms.
 */

import { hasDraftHole, isBehind } from "./state.js";

const PAUSE = 1_000;
const PATIENCE = 10_000;

export class Resume {
  #send;
  #state;
  #clock;
  #open = false;
  #asked = null; // the `after` that waits for its answer
  #askedAt = -Infinity;
  #timer = null;

  /** `send(frame)` is false where nothing is connected; `state()` is the state as it is now. */
  constructor({ send, state, clock }) {
    this.#send = send;
    this.#state = state;
    this.#clock = clock;
  }

  /** Whether all that was recorded when the page (re)connected has come. */
  get isCurrent() {
    return this.#open && this.#asked === null;
  }

  /** The connection has ended. */
  closed() {
    this.#open = false;
    this.#asked = null;
    this.#clear();
  }

  /** A frame has been applied to the state. */
  after(frame) {
    if (frame.type === "connected") {
      this.#open = true;
      this.#ask();
    } else if (frame.type === "reset") {
      if (this.#asked !== null) this.#asked = 0; // whatever comes now is progress
    } else if (frame.type === "resumed") {
      const progress = this.#asked === null || this.#state().seq > this.#asked;
      this.#asked = null;
      this.#clear(); // it was set to wait for this answer
      if (frame.data.more && progress) this.#ask();
    }
    this.#check();
  }

  #ask() {
    const { seq, epoch } = this.#state();
    this.#clear();
    if (!this.#send({ type: "resume", after: seq, ...(epoch === null ? {} : { epoch }) })) return;
    this.#asked = seq;
    this.#askedAt = this.#clock.now();
  }

  #check() {
    const state = this.#state();
    if (!this.#open || this.#timer !== null) return;
    const since = this.#clock.now() - this.#askedAt;
    if (this.#asked !== null) this.#later(Math.max(PATIENCE - since, 0));
    else if (state.gap || hasDraftHole(state)) since >= PAUSE ? this.#ask() : this.#later(PAUSE - since);
    // A pong can overtake the announcement of what it counts already: give it a moment.
    else if (isBehind(state)) this.#later(PAUSE);
  }

  #later(ms) {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null;
      const unanswered = this.#asked !== null && this.#clock.now() - this.#askedAt >= PATIENCE;
      const missing = this.#asked === null && (isBehind(this.#state()) || hasDraftHole(this.#state()));
      if (this.#open && (unanswered || missing)) this.#ask();
      this.#check();
    }, ms);
  }

  #clear() {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
