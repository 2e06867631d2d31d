/**
 * The transcript on the page. It is told what has changed and draws that, at most once an animation frame.
 */

import { announce } from "./announcer.js";
import { RunView } from "./runs.js";

/** ms of one animation frame that drawing may take; what is left is drawn in the next. */
const BUDGET = 12;
/** px from the end within which the reader counts as reading the end. */
const AT_END = 48;

export class Transcript {
  #state;
  #agents;
  #isWaitingLong;
  #marks;
  #views = new Map(); // run_id -> RunView
  #dirty = new Set();
  #scheduled = false;
  #live = false;
  #heard = 0; // seq of the last event that is history to those who listen
  #following;
  #drawn;
  #top = 0; // where the reader was at the last scroll event
  #runs = document.getElementById("runs");
  #scroller = document.getElementById("scroller");
  #welcome = document.getElementById("welcome");
  #toEnd = document.getElementById("to-end");
  #outbox = document.getElementById("outbox");

  /**
   * `state()` is the state as it is now; `isWaitingLong(run_id)` says whether a run could have begun long ago; `actions` are called
   * with the run's id: remove, again, go-on. `drawn(run, element)` is called each time a run was drawn; without `isFollowing` the
   * page begins where the transcript begins. `marks` are the user's marks, where the reader is the user.
   */
  constructor({ state, agents, isWaitingLong, actions, marks = null, drawn = () => {}, isFollowing = true }) {
    this.#state = state;
    this.#marks = marks;
    this.#drawn = drawn;
    this.#following = isFollowing;
    this.#agents = agents;
    this.#isWaitingLong = isWaitingLong;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this.#stayAtEnd()).observe(this.#scroller);
    this.#runs.addEventListener("click", (event) => {
      const name = event.target.closest?.("[data-action]")?.dataset.action;
      const run = event.target.closest?.("[data-run]")?.dataset.run;
      if (name === "remove") this.#views.get(run)?.removing();
      if (name) actions[name]?.(run);
    });
  }

  /** A run has changed. */
  touch(runId) {
    this.#dirty.add(runId);
    this.#schedule();
  }

  /** The state was replaced: forget it all. */
  clear() {
    this.#views.clear();
    this.#dirty.clear();
    this.#runs.replaceChildren();
    this.#heard = this.#state().head;
    for (const { run_id } of this.#state().runs) this.touch(run_id);
  }

  /** Whether what comes from now on is new, and worth telling to those who listen instead of looking. */
  setLive(live) {
    this.#live = live;
    if (live) this.#heard = this.#state().seq;
    document.getElementById("catching-up").hidden = live;
    this.#schedule();
  }

  /** Go to the end and stay there. */
  follow() {
    this.#following = true;
    this.#stayAtEnd();
  }

  /** Stay where the reader is, whatever comes. */
  stay() {
    this.#following = false;
  }

  /** Draw a run now, whatever else is to be drawn before it. */
  drawNow(runId) {
    const run = this.#state().byId.get(runId);
    if (run) this.#drawRun(run);
  }

  /** Whether all that was touched is drawn. */
  get isSettled() {
    return this.#dirty.size === 0;
  }

  /** The outbox has grown or shrunk. */
  outboxChanged() {
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
    const start = performance.now();
    const again = [];
    const { byId, runs } = this.#state();
    // The latest first: the reader looks at the end while the history fills in above.
    for (const id of [...this.#dirty].reverse()) {
      if (performance.now() - start > BUDGET) break;
      this.#dirty.delete(id);
      const run = byId.get(id);
      if (run && !this.#drawRun(run)) again.push(id);
    }
    for (const id of again) this.#dirty.add(id);
    this.#welcome.hidden = !this.#live || runs.length > 0 || this.#outbox.childElementCount > 0;
    this.#stayAtEnd();
    if (this.#dirty.size) this.#schedule();
  }

  #drawRun(run) {
    let view = this.#views.get(run.run_id);
    if (!view) {
      view = new RunView(run, this.#agents);
      this.#views.set(run.run_id, view);
      this.#place(view.element, run.at);
    }
    const isWaitingLong = this.#isWaitingLong(run.run_id);
    const { fresh, settled, continued } = view.update(run, performance.now(), { isWaitingLong, marks: this.#marks });
    this.#drawn(run, view.element);
    if (this.#live) {
      for (const { seq } of continued) if (seq > this.#heard) announce("Continued on another worker");
      for (const step of fresh) if (step.seq > this.#heard) this.#announce(step);
    }
    return settled;
  }

  /** Runs stand in the order of their messages, in whatever order they are drawn. */
  #place(element, at) {
    element.dataset.at = String(at);
    const isLater = (other) => Number(other.dataset.at) > at;
    const last = this.#runs.lastElementChild;
    const next = last && isLater(last) ? [...this.#runs.children].find(isLater) : null;
    this.#runs.insertBefore(element, next);
  }

  #announce(step) {
    const words = { thought: "Thought", tool_use: "Tool use", tool_result: "Tool result", final_answer: "Final answer", error: "Error" };
    announce([words[step.type] ?? step.type, step.tool_name, step.content?.slice(0, 300)].filter(Boolean).join(": "));
  }

  /** Only the reader scrolls up; what grows or is resized moves the end away, which is no wish to stay behind. */
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight <= AT_END) this.#following = true;
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
    this.#toEnd.hidden = this.#following;
  }

  #stayAtEnd() {
    if (this.#following && this.#welcome.hidden) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#toEnd.hidden = this.#following;
  }
}
