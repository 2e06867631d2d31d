/** The timeline as a table, for whoever does not look at pictures. It is made while it is open. */

import { durationInWords } from "../chat/quantities.js";
import { spans, TYPES } from "./spans.js";

const MOST_ROWS = 500;

export class TimelineTable {
  #facts;
  #details = document.getElementById("timeline-table");
  #table = this.#details.querySelector("table");

  constructor(facts) {
    this.#facts = facts;
    this.#details.addEventListener("toggle", () => this.changed());
  }

  /** The facts have changed. */
  changed() {
    if (!this.#details.open) return;
    for (const body of this.#table.querySelectorAll("tbody")) body.remove();
    const runs = [...this.#facts.runs.values()].filter(({ steps }) => steps.length);
    // The latest, as many as fit.
    let rows = 0;
    const bodies = [];
    for (let at = runs.length - 1; at >= 0 && rows < MOST_ROWS; at -= 1) {
      bodies.unshift(body(runs[at], at + 1, this.#facts.steps));
      rows += runs[at].steps.length;
    }
    this.#table.append(...bodies);
  }
}

function body(run, number, steps) {
  const part = document.createElement("tbody");
  const title = document.createElement("th");
  title.scope = "rowgroup";
  title.colSpan = 8;
  title.textContent = `Run ${number}, ${run.state}: ${run.message.replace(/\s+/g, " ").slice(0, 120)}`;
  const head = document.createElement("tr");
  head.append(title);
  part.append(head, ...spans(run, steps).bars.map(({ step, start }) => row(step, start)));
  return part;
}

function row(step, start) {
  const line = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  const link = document.createElement("a");
  link.href = `#step-${step.seq}`;
  link.textContent = String(step.seq);
  name.append(link);
  const texts = [
    TYPES[step.type] ?? step.type,
    step.tool,
    durationInWords(start),
    step.duration === null ? "" : durationInWords(step.duration),
    step.tokens === null ? "" : `${step.tokens[0]} → ${step.tokens[1]}`,
    step.cost === null ? "" : `$${Number(step.cost.toPrecision(3))}`,
    step.failed ? "failed" : "",
  ];
  line.append(name, ...texts.map(cell));
  return line;
}

function cell(text) {
  const element = document.createElement("td");
  element.textContent = text;
  return element;
}
