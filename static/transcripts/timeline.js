/** The picture of the runs along time: a bar for each step, as long as it took. Bars are links to the steps. */

import { durationInWords } from "../chat/quantities.js";
import { spans, TYPES } from "./spans.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const LANE = 18;
const THINNEST = 7;
/** Runs that are shown at first, the latest, and with each further wish. */
const SHOWN = 20;

export class Timeline {
  #facts;
  #list = document.getElementById("timeline-runs");
  #earlier = document.getElementById("timeline-earlier");
  #shown = SHOWN;
  #rows = new Map(); // run id -> its row

  constructor(facts) {
    this.#facts = facts;
    this.#earlier.addEventListener("click", () => {
      this.#shown += SHOWN;
      this.show([...this.#facts.runs.keys()]);
    });
    this.#list.addEventListener("keydown", (event) => walk(event));
    this.#list.addEventListener("focusin", ({ target }) => {
      if (target.matches(".bar-link")) choose(target);
    });
  }

  /** These runs have changed. */
  show(changed) {
    const ids = [...this.#facts.runs].filter(([, run]) => run.steps.length).map(([id]) => id);
    const shown = ids.slice(-this.#shown);
    this.#earlier.hidden = shown.length === ids.length;
    const stale = new Set(changed);
    const rows = shown.map((id, at) => {
      const row = this.#rows.get(id);
      return row && !stale.has(id) ? row : this.#make(id, ids.length - shown.length + at + 1);
    });
    this.#rows = new Map(shown.map((id, at) => [id, rows[at]]));
    const held = document.activeElement?.closest?.(".bar-link")?.dataset.seq;
    if (rows.length !== this.#list.childElementCount || rows.some((row, at) => this.#list.children[at] !== row)) {
      this.#list.replaceChildren(...rows);
      if (held) this.#list.querySelector(`.bar-link[data-seq="${held}"]`)?.focus();
    }
  }

  #make(id, number) {
    const run = this.#facts.runs.get(id);
    const { bars, lanes, length } = spans(run, this.#facts.steps);
    const row = document.createElement("li");
    const head = document.createElement("a");
    head.className = "timeline-run";
    head.href = `#run-${id}`;
    head.textContent = `${number}. ${run.message.replace(/\s+/g, " ").slice(0, 80)}`;
    const took = document.createElement("span");
    took.className = "timeline-took";
    took.textContent = `${run.state}, ${durationInWords(length)}`;
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${lanes * LANE}`,
      height: lanes * LANE,
      preserveAspectRatio: "none",
      role: "group",
      "aria-label": `Run ${number}: ${bars.length} steps in ${durationInWords(length)}`,
    });
    for (const bar of bars) picture.append(link(bar, length));
    choose(picture.querySelector(".bar-link"));
    row.append(head, took, picture);
    return row;
  }
}

function link({ step, start, end, lane }, length) {
  const scale = WIDTH / (length || 1);
  const width = Math.max((end - start) * scale, THINNEST);
  const bar = svg("rect", {
    class: `bar${step.failed ? " is-failed" : ""}`,
    "data-type": step.type,
    x: Math.min(start * scale, WIDTH - width),
    y: lane * LANE + 2,
    width,
    height: LANE - 4,
    rx: 2,
  });
  const words = [
    `Step ${step.seq}`,
    [TYPES[step.type] ?? step.type, step.tool].filter(Boolean).join(" "),
    step.duration === null ? "" : durationInWords(step.duration),
    `after ${durationInWords(start)}`,
    step.failed ? "failed" : "",
  ];
  const label = words.filter(Boolean).join(", ");
  const title = svg("title", {});
  title.textContent = label;
  const anchor = svg("a", { class: "bar-link", href: `#step-${step.seq}`, "data-seq": step.seq, "aria-label": label, tabindex: -1 });
  anchor.append(title, bar);
  return anchor;
}

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** Of a run's bars the keyboard comes to one; the arrows lead on from there. */
function choose(anchor) {
  if (!anchor) return;
  for (const other of anchor.parentElement.querySelectorAll('[tabindex="0"]')) other.setAttribute("tabindex", "-1");
  anchor.setAttribute("tabindex", "0");
}

function walk(event) {
  const anchor = event.target.closest(".bar-link");
  const all = anchor ? [...anchor.parentElement.querySelectorAll(".bar-link")] : [];
  const at = all.indexOf(anchor);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (at === -1 || to === undefined) return;
  event.preventDefault();
  all[Math.max(0, Math.min(to, all.length - 1))].focus();
}
