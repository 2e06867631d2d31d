/** Renews the tables of the page of operations every few seconds, until it is paused or out of sight. */

import { freshness, moved, news, sameActions } from "./tables.js";

const page = document.getElementById("operations");
const pause = document.getElementById("pause");
const fresh = document.getElementById("freshness");
const status = document.getElementById("operations-told");
const EVERY = Number(page.dataset.seconds) * 1000;
const PATIENCE = 10_000;

const told = new Map(sections().map((section) => [section.dataset.table, section.dataset.told]));
let paused = false;
let failed = false;
let at = null;
let timer = null;

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  say();
  if (!paused) look();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") look();
});
setInterval(say, 1000);
later();

function sections() {
  return [...page.querySelectorAll("[data-table]")];
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(look, EVERY);
}

async function look() {
  clearTimeout(timer);
  if (paused || document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(page.dataset.now, { signal: AbortSignal.timeout(PATIENCE), redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const { tables } = await answer.json();
    if (!paused) {
      show(tables);
      failed = false;
      at = Date.now();
    }
  } catch {
    failed = true; // said on the page, and tried again
  }
  say();
  later();
}

function say() {
  const words = freshness({ paused, failed, at, now: Date.now() });
  if (fresh.textContent !== words) fresh.textContent = words;
}

function show(tables) {
  for (const table of tables) {
    const section = sections().find(({ dataset }) => dataset.table === table.name);
    if (section) showTable(section, table);
  }
  const sentences = news(told, tables);
  for (const table of tables) told.set(table.name, table.told);
  if (sentences.length) status.textContent = sentences.join(". ");
}

function showTable(section, { rows, empty }) {
  section.querySelector("table").hidden = rows.length === 0;
  section.querySelector(".operations-empty").hidden = rows.length > 0 || empty === "";
  const body = section.querySelector("tbody");
  const shown = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const { remove, order } = moved([...shown.keys()], rows.map(({ key }) => key));
  for (const key of remove) shown.get(key).remove();
  order.forEach((key, place) => {
    const row = shown.get(key) ?? makeRow(key);
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
    fillRow(row, rows[place], section.dataset.table.startsWith("runs-"));
  });
}

function makeRow(key) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  return row;
}

function fillRow(row, { cells, run, actions }, hasActions) {
  cells.forEach((cell, at) => fillCell(row.cells[at] ?? row.insertCell(), cell));
  if (!hasActions) return;
  const buttons = row.cells[cells.length] ?? row.insertCell();
  buttons.className = "operations-do";
  const offered = [...buttons.querySelectorAll("[data-action]")].map(({ dataset }) => dataset.action);
  if (!sameActions(offered, actions)) buttons.replaceChildren(...actions.map((name) => makeForm(name, run)));
}

function fillCell(cell, { text, href, is_bad }) {
  cell.classList.toggle("is-bad", is_bad);
  if (cell.textContent.trim() === text) return;
  if (!href) {
    cell.textContent = text;
    return;
  }
  const link = document.createElement("a");
  link.href = href; // an address of the site's own, by its own server
  link.textContent = text;
  cell.replaceChildren(link);
}

const NO_RUN = "00000000-0000-0000-0000-000000000000";

function makeForm(name, run) {
  const form = document.getElementById(`operate-${name}`).content.firstElementChild.cloneNode(true);
  form.setAttribute("action", form.getAttribute("action").replace(NO_RUN, run));
  return form;
}
