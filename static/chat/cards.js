/** Cards of recorded steps, made from the `<template>` elements of the page. */

import { renderMarkdown } from "./markdown.js";
import { isUnknownCode, isUnknownResult } from "./outcome.js";
import { durationInWords, timeInWords, tokensInWords } from "./quantities.js";

const TYPES = new Set(["thought", "tool_use", "tool_result", "final_answer", "error"]);

/** An empty card of a type of step; a type that this page does not know yet looks like a tool result. */
export function makeCard(type) {
  return fromTemplate(`step-${TYPES.has(type) ? type : "tool_result"}`);
}

export function fromTemplate(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** Put texts into the slots of an element; a slot with an empty text is hidden. */
export function fill(element, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const slot = element.querySelector(`[data-slot="${name}"]`);
    if (slot.textContent !== text) slot.textContent = text;
    slot.hidden = text === "";
  }
}

/** A recorded step: `data` is that of its frame. */
export function stepCard(data) {
  const card = makeCard(data.type);
  if (Number.isSafeInteger(data.step)) card.dataset.step = String(data.step);
  card.classList.toggle("is-unknown", isUnknownResult(data));
  card.classList.toggle("is-error", data.is_error === true && !isUnknownResult(data));
  card.classList.toggle("is-partial", data.is_partial === true);
  fill(card, {
    tool: data.tool_name ?? "",
    mark: marks(data).join(" · "),
    iteration: data.iteration ? `iteration ${data.iteration}` : "",
    duration: typeof data.duration === "number" ? durationInWords(data.duration) : "",
  });
  setTokens(card, "tokens", data.usage);
  setTime(card, "time", data.timestamp);
  fillBody(card.querySelector("[data-slot=body]"), data);
  return card;
}

function marks(data) {
  const { is_error, is_partial, reasoning, code } = data;
  if (isUnknownCode(code)) return ["outcome unknown"];
  return [is_error && "failed", is_partial && "stopped here", reasoning && "reasoning", code].filter(Boolean);
}

function fillBody(body, data) {
  const content = typeof data.content === "string" ? data.content : JSON.stringify(data.content ?? "");
  if (data.type === "thought" || data.type === "final_answer") {
    body.classList.add("markdown");
    body.replaceChildren(renderMarkdown(content));
  } else if (data.type === "tool_use") {
    const named = Object.keys(data.arguments ?? {}).length > 0;
    if (named) body.replaceChildren(block(json(data.arguments), "Arguments"));
    else body.replaceChildren(content === "" ? line("No arguments.") : block(content, "Arguments"));
  } else if (data.type === "error") {
    body.replaceChildren(line(content));
  } else if (isUnknownResult(data)) {
    body.replaceChildren(line(/^outcome unknown/i.test(content) ? content : `Outcome unknown: ${content}`));
  } else {
    body.replaceChildren(content === "" ? line("Nothing was returned.") : block(readable(content), "Result"));
  }
}

const ONE_LINE = 76; // characters

function json(value) {
  const spread = JSON.stringify(value, null, 2);
  const joined = spread.replace(/\n\s*/g, " "); // a line break inside a string is \n there, and stays
  return joined.length <= ONE_LINE ? joined : spread;
}

/** Long JSON on one line is hard to read; everything else stays as it is. */
function readable(content) {
  if (!/^\s*[[{]/.test(content) || content.length > 100_000) return content;
  try {
    return json(JSON.parse(content));
  } catch {
    return content;
  }
}

/** Dates and times with their hyphens, at which a browser would break the line rather than at the space before. */
const MOMENT = /(\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?)/;
const MOST_MOMENTS = 200;

function block(text, label) {
  const pre = document.createElement("pre");
  const parts = text.split(MOMENT); // every second one is a date
  if (parts.length > 2 * MOST_MOMENTS) pre.textContent = text;
  else pre.append(...parts.map((part, at) => (at % 2 ? unbroken(part) : part)));
  pre.tabIndex = 0; // it scrolls, so the keyboard must reach it
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", label);
  return pre;
}

function unbroken(text) {
  const span = document.createElement("span");
  span.className = "unbroken";
  span.textContent = text;
  return span;
}

function line(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "plain";
  paragraph.textContent = text;
  return paragraph;
}

/** `timestamp` is in seconds since the epoch. */
export function setTime(element, slot, timestamp, { seconds = true } = {}) {
  const time = element.querySelector(`[data-slot="${slot}"]`);
  const date = new Date(timestamp * 1000);
  time.hidden = Number.isNaN(date.getTime());
  if (time.hidden) return;
  time.dateTime = date.toISOString();
  time.title = date.toLocaleString();
  time.textContent = timeInWords(date, new Date(), { seconds });
}

/** The slot has the role of an image, whose arrow is not read out. */
export function setTokens(element, slot, usage) {
  const { short, long } = tokensInWords(usage);
  fill(element, { [slot]: short });
  const span = element.querySelector(`[data-slot="${slot}"]`);
  span.title = long;
  span.setAttribute("aria-label", long);
}
