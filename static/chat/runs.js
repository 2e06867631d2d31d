/** One run on the page: the message, the steps, the drafts and how it ended. */

import { fill, fromTemplate, setTime, setTokens, stepCard } from "./cards.js";
import { DraftView } from "./drafts.js";
import { FeedbackView } from "./feedback.js";
import { isUnknown } from "./outcome.js";
import { count, durationInWords } from "./quantities.js";
import { hasAnswer, isActive } from "./state.js";

const WORDS = {
  queued: "queued",
  running: "working",
  waiting: "waiting for approval",
  completed: "completed",
  failed: "failed",
  stopped: "stopped",
  removed: "removed before it ran",
};

/** Why a run went on elsewhere. */
const CONTINUED = {
  lost: "The worker before was lost. This one goes on from what was recorded; the step that was half written is written anew.",
  taken_over:
    "An operator took the run from the worker before. This one goes on from what was recorded; the step that was half written is written anew.",
  handed_over: "The worker before was shut down and handed the run over. This one goes on from what was recorded.",
};
const CONTINUED_SOMEHOW = "Another worker goes on from what was recorded.";

export class RunView {
  #steps;
  #drafts;
  #stepCount = 0; // how many of the run's steps are on the page
  #quietCount = 0;
  #continuedCount = 0;
  #views = new Map(); // step -> DraftView
  #agents;
  #feedback = null;

  constructor(run, agents) {
    this.#agents = agents;
    this.element = fromTemplate("run");
    this.element.dataset.run = run.run_id;
    this.element.dataset.client = run.client_id;
    this.#steps = this.#slot("steps");
    this.#drafts = this.#slot("drafts");
    fill(this.element, { message: run.message, by: run.by === "operator" ? "asked again by an operator" : "" });
    setTime(this.element, "sent", run.timestamp);
  }

  /**
   * Show the run as it is now; `isWaitingLong` says that it has been the next to begin for long, `marks` is where what its user
   * thinks of it goes. Returns the steps that are new on the page, whether the run was seen to go on elsewhere, and whether it
   * must be called again later.
   */
  update(run, now, { isWaitingLong = false, marks = null } = {}) {
    const before = this.#continuedCount;
    const fresh = this.#addSteps(run);
    const settled = this.#updateDrafts(run, now);
    this.#updateFrame(run, isWaitingLong);
    if (marks !== null && hasAnswer(run)) {
      this.#feedback ??= new FeedbackView(this.#slot("feedback"), run.run_id, marks);
      this.#feedback.update();
    }
    return { fresh, settled, continued: run.continued.slice(before) };
  }

  /** A queued message on its way out of the queue. */
  removing() {
    this.#action("remove").disabled = true;
  }

  #addSteps(run) {
    const fresh = [];
    for (; this.#stepCount < run.steps.length; this.#stepCount += 1) {
      this.#markContinued(run);
      const { kind, seq, data } = run.steps[this.#stepCount];
      if (kind === "quiet_step") {
        this.#quietCount += 1;
        continue;
      }
      const step = kind === "response" ? { ...data, type: "final_answer" } : data;
      const card = stepCard(step);
      card.dataset.seq = String(seq);
      this.#steps.append(card);
      fresh.push({ ...step, seq });
    }
    this.#markContinued(run);
    return fresh;
  }

  /** Between the steps before and after stands that another worker went on. */
  #markContinued(run) {
    for (; this.#continuedCount < run.continued.length; this.#continuedCount += 1) {
      const { after, reason } = run.continued[this.#continuedCount];
      if (after > this.#stepCount) return;
      const mark = fromTemplate("continued");
      const why = Object.hasOwn(CONTINUED, reason) ? CONTINUED[reason] : CONTINUED_SOMEHOW;
      mark.title = why;
      fill(mark, { why });
      this.#steps.append(mark);
    }
  }

  #updateDrafts(run, now) {
    let settled = true;
    const alive = new Set(run.drafts.map((draft) => `${draft.step} ${run.attempt} ${run.call}`));
    for (const [key, view] of this.#views) {
      if (alive.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
    }
    for (const draft of run.drafts) {
      const key = `${draft.step} ${run.attempt} ${run.call}`;
      let view = this.#views.get(key);
      if (!view) {
        view = new DraftView(draft);
        this.#views.set(key, view);
        const later = [...this.#drafts.children].find((card) => Number(card.dataset.step) > draft.step);
        this.#drafts.insertBefore(view.element, later ?? null);
      }
      settled = view.update(draft, now) && settled;
    }
    return settled;
  }

  #updateFrame(run, isWaitingLong) {
    this.element.dataset.state = run.state;
    fill(this.element, {
      agent: this.#agents[run.agent] ?? run.agent,
      model: run.model,
      state: stateWord(run),
      attempt: run.attempt > 1 ? `attempt ${run.attempt}` : "",
      "working-text": isWaitingLong ? "Waiting for a worker" : this.#workingText(run),
      "end-text": run.end ? endText(run) : "",
      "end-counts": run.end ? endCounts(run) : "",
    });
    setTokens(this.element, "end-tokens", run.end?.usage);
    this.#slot("working").hidden = !isWaitingLong && (run.state !== "running" || run.drafts.length > 0);
    this.#slot("end").hidden = run.end === null;
    this.#action("remove").hidden = run.state !== "queued";
    this.#action("again").hidden = run.state !== "failed" && run.state !== "stopped";
    this.#action("go-on").hidden = !isUnknown(run);
  }

  #workingText(run) {
    if (isActive(run) && !run.enable_reasoning && this.#quietCount) return `Working… ${count(this.#quietCount, "step")} so far`;
    return "Working…";
  }

  #slot(name) {
    return this.element.querySelector(`[data-slot="${name}"]`);
  }

  #action(name) {
    return this.element.querySelector(`[data-action="${name}"]`);
  }
}

function stateWord({ state, end, removedBy }) {
  if (state === "removed" && removedBy === "operator") return "removed by an operator before it ran";
  return `${WORDS[state] ?? state}${end?.by === "operator" ? " by an operator" : ""}`;
}

function endText(run) {
  const { end } = run;
  return joined(capital(stateWord(run)), typeof end.duration === "number" ? durationInWords(end.duration) : "");
}

function endCounts({ steps, end }) {
  const quiet = steps.filter(({ kind }) => kind === "quiet_step").length;
  return joined(end.iterations ? count(end.iterations, "iteration") : "", quiet ? `${count(quiet, "step")} not shown` : "");
}

function joined(...parts) {
  return parts.filter(Boolean).join(" · ");
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
