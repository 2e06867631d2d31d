/** The page of an export: fetches its parts, shows how far it is, and saves the file. */

import { amountText } from "./amounts.js";
import { Fetching, Refused } from "./fetching.js";
import { openStore } from "./store.js";

const page = document.getElementById("taking-out");
const element = (id) => document.getElementById(id);
const total = Number(page.dataset.runs);
const store = await openStore(page.dataset.export, page.dataset.owner);

let hurry = () => {};
let began = null;
let isSaved = false;
const wasSaved = await store.wasSaved();

async function get(next) {
  const answer = await fetch(`${page.dataset.part}?at=${encodeURIComponent(next)}`, { redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect") throw new Refused("You are signed out. Sign in in another tab, then go on here.");
  if (answer.status >= 400 && answer.status < 500) {
    throw new Refused("The site does not give it out any more: the export is gone, or your right to take transcripts out.");
  }
  if (!answer.ok) throw new Error(`The server answered with ${answer.status}.`);
  const blob = await answer.blob();
  return { blob, next: answer.headers.get("X-Export-Next") || null, runs: Number(answer.headers.get("X-Export-Runs")) };
}

function wait(seconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    hurry = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

const STATUS = {
  fetching: () => "Fetching…",
  paused: () => (fetching.place.parts ? "Paused." : wasSaved ? "It was saved before." : "Nothing is fetched."),
  waiting: () => `The connection is lost (${fetching.error}). It goes on by itself.`,
  refused: () => fetching.error,
  done: () => (isSaved ? "Saved, and removed from this browser." : "Everything is fetched."),
};

let shown = "";
function show() {
  const { place, status } = fetching;
  element("progress").value = status === "done" ? total || 1 : place.runs;
  element("progress").max = total || 1;
  const seconds = began ? (performance.now() - began.time) / 1000 : 0;
  element("amount").textContent = amountText({
    done: place.runs,
    total,
    size: place.size,
    runs: began ? place.runs - began.runs : 0,
    bytes: began ? place.size - began.size : 0,
    seconds: status === "fetching" ? seconds : 0,
  });
  // A live region: it speaks of what changed, and not of every part.
  const said = STATUS[status]() + (store.isKept || status === "done" ? "" : " This browser keeps nothing: do not reload the page.");
  if (said !== shown) element("status").textContent = shown = said;
  element("pause").hidden = status === "done";
  element("pause").textContent = status === "fetching" || status === "waiting" ? "Pause" : place.parts ? "Go on" : "Fetch";
  element("save").hidden = status !== "done";
  element("discard").hidden = place.parts === 0 || isSaved;
  page.dataset.status = status;
}

const fetching = new Fetching({ get, store, wait, changed: () => show() });

function start() {
  began = { time: performance.now(), runs: fetching.place.runs, size: fetching.place.size };
  fetching.start().then(() => fetching.status === "done" && !isSaved && save());
}

let file = null;
async function save() {
  file ??= new Blob(await store.blobs(), { type: "application/octet-stream" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = page.dataset.filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  isSaved = true;
  await store.markSaved();
  show();
}

element("pause").addEventListener("click", () => {
  if (fetching.status === "fetching" || fetching.status === "waiting") {
    fetching.pause();
    hurry();
  } else {
    start();
  }
});
element("save").addEventListener("click", save);
element("discard").addEventListener("click", async () => {
  fetching.pause();
  hurry();
  await fetching.discard();
});
addEventListener("online", () => hurry());

element("live").hidden = false;
await fetching.load();
// What was saved is not fetched anew because its page is opened again.
if (!wasSaved || fetching.place.parts) start();
