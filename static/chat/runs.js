/** One run on the page: the message, the steps, the drafts and how it ended. */

import { fill, fromTemplate, setTime, setTokens, stepCard } from "./cards.js";
import { DraftView } from "./drafts.js";
import { count, durationInWords } from "./quantities.js";
import { isActive } from "./state.js";

const WORDS = {
  queued: "queued",
  running: "working",
  waiting: "waiting for approval",
  completed: "completed",
  failed: "failed",
  stopped: "stopped",
  removed: "removed before it ran",
};

export class RunView {
  #steps;
  #drafts;
  #stepCount = 0; // how many of the run's steps are on the page
  #quietCount = 0;
  #views = new Map(); // step -> DraftView
  #agents;

  constructor(run, agents) {
    this.#agents = agents;
    this.element = fromTemplate("run");
    this.element.dataset.run = run.run_id;
    this.element.dataset.client = run.client_id;
    this.#steps = this.#slot("steps");
    this.#drafts = this.#slot("drafts");
    fill(this.element, { message: run.message });
    setTime(this.element, "sent", run.timestamp);
  }

  /** Show the run as it is now. Returns the steps that are new on the page, and whether it must be called again later. */
  update(run, now) {
    const fresh = this.#addSteps(run);
    const settled = this.#updateDrafts(run, now);
    this.#updateFrame(run);
    return { fresh, settled };
  }

  /** A queued message on its way out of the queue. */
  removing() {
    this.#action("remove").disabled = true;
  }

  #addSteps(run) {
    const fresh = [];
    for (; this.#stepCount < run.steps.length; this.#stepCount += 1) {
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
    return fresh;
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

  #updateFrame(run) {
    this.element.dataset.state = run.state;
    fill(this.element, {
      agent: this.#agents[run.agent] ?? run.agent,
      model: run.model,
      state: WORDS[run.state] ?? run.state,
      attempt: run.attempt > 1 ? `attempt ${run.attempt}` : "",
      "working-text": this.#workingText(run),
      "end-text": run.end ? endText(run) : "",
      "end-counts": run.end ? endCounts(run) : "",
    });
    setTokens(this.element, "end-tokens", run.end?.usage);
    this.#slot("working").hidden = run.state !== "running" || run.drafts.length > 0;
    this.#slot("end").hidden = run.end === null;
    this.#action("remove").hidden = run.state !== "queued";
    this.#action("again").hidden = run.state !== "failed" && run.state !== "stopped";
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

function endText({ state, end }) {
  return joined(capital(WORDS[state] ?? state), typeof end.duration === "number" ? durationInWords(end.duration) : "");
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
