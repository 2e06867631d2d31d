/** What stands beside each run: what it took, its feedback, and the panels that are loaded when they are opened. */

import { fill, fromTemplate, stepCard } from "../chat/cards.js";
import { durationInWords, tokensInWords } from "../chat/quantities.js";
import { isActive } from "../chat/state.js";
import { fetchAll } from "./pages.js";
import { Panel } from "./panel.js";

export class Beside {
  #address;
  #compare;
  #state;
  #facts;
  #sides = new Map(); // run id -> its element
  #runs = new Map(); // run id -> the element of the run

  /** `address` is that of the page, `compare` that of the comparison; `state()` is the state as it is now. */
  constructor({ address, compare, state, facts }) {
    this.#address = address;
    this.#compare = compare;
    this.#state = state;
    this.#facts = facts;
  }

  clear() {
    this.#sides.clear();
    this.#runs.clear();
  }

  /** A run was drawn: the first time it gets its side, and each new step the link to it. */
  drawn(run, element) {
    if (!this.#sides.has(run.run_id)) this.#begin(run, element);
    for (const card of element.querySelectorAll(".step[data-seq]:not(.has-link)")) addLink(card);
  }

  /** What the server says of a run has changed. */
  factsOf(id) {
    const side = this.#sides.get(id);
    const facts = this.#facts.runs.get(id);
    if (!side || !facts) return;
    const { short } = tokensInWords({ input_tokens: facts.tokens[0], output_tokens: facts.tokens[1] });
    const first = typeof facts.firstToken === "number" ? `first token after ${durationInWords(facts.firstToken)}` : "";
    const errors = facts.toolErrors ? `${facts.toolErrors} failed tool calls` : "";
    const thumb = { 1: "👍 thumb up", [-1]: "👎 thumb down" }[facts.thumb] ?? "";
    fill(side, {
      facts: [short, facts.cost, first, errors, thumb].filter(Boolean).join(" · "),
      comment: facts.comment ? `“${facts.comment}”` : "",
    });
    const unseen = !facts.shows && facts.steps.length > 0;
    side.querySelector("[data-slot=unseen]").hidden = !unseen || side.classList.contains("is-revealed");
  }

  /** Show the steps of a run that its user did not see. Returns when they are there, or when they can't be had. */
  async reveal(id) {
    const side = this.#sides.get(id);
    const element = this.#runs.get(id);
    if (!side || !element) return;
    const button = side.querySelector("[data-slot=unseen]");
    button.disabled = true;
    try {
      const frames = (await fetchAll(`${this.#address}steps/${id}/`)).map((text) => JSON.parse(text));
      const steps = element.querySelector("[data-slot=steps]");
      for (const { seq, data } of frames) if (!steps.querySelector(`[data-seq="${seq}"]`)) insert(steps, seq, data);
      side.classList.add("is-revealed");
      button.hidden = true;
    } catch (error) {
      button.textContent = `${error.message} Try again`;
    }
    button.disabled = false;
  }

  #begin(run, element) {
    const side = fromTemplate("beside");
    const id = run.run_id;
    this.#sides.set(id, side);
    this.#runs.set(id, element);
    const { runs } = this.#state();
    side.querySelector("[data-slot=link]").href = `#run-${id}`;
    const before = runs[run.at - 1];
    if (before) {
      const compare = side.querySelector("[data-slot=compare]");
      compare.hidden = false;
      compare.href = `${this.#compare}?${new URLSearchParams({ left: before.run_id, right: id })}`;
    }
    side.querySelector("[data-slot=unseen]").addEventListener("click", () => this.reveal(id));
    const isOver = () => !isActive(run) && run.state !== "queued";
    for (const [name, label, show] of [
      ["frames", "Frames as they were sent", (text) => ({ text })],
      ["messages", "Messages that the model was given", ({ role, text }) => ({ role, text })],
    ]) {
      const details = side.querySelector(`[data-panel="${name}"]`);
      new Panel(details, { address: `${this.#address}${name}/${id}/`, label, show, isOver });
    }
    // They do not bubble.
    side.addEventListener("toggle", () => element.classList.toggle("is-wide", side.querySelector("details[open]") !== null), true);
    element.append(side);
    this.factsOf(id);
  }
}

function insert(steps, seq, data) {
  const card = stepCard(data);
  card.dataset.seq = String(seq);
  card.classList.add("is-unseen");
  const mark = card.querySelector("[data-slot=mark]");
  mark.textContent = [mark.textContent, "not shown to the user"].filter(Boolean).join(" · ");
  mark.hidden = false;
  addLink(card);
  const later = [...steps.querySelectorAll(":scope > .step")].find((other) => Number(other.dataset.seq) > seq);
  steps.insertBefore(card, later ?? null);
}

function addLink(card) {
  const { seq } = card.dataset;
  const link = document.createElement("a");
  link.className = "step-link";
  link.href = `#step-${seq}`;
  link.textContent = `#${seq}`;
  link.setAttribute("aria-label", `Link to step ${seq}`);
  card.querySelector(".step-meta").append(link);
  card.classList.add("has-link");
}
