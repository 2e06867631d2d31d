/**
 * Wires the admin's page of a transcript: it shows a session as the user's page does, by the same modules, and what stands beside.
 *
 * `window.glassbox` is for tests and for the curious: {state, transcript(), socket, facts}.
 */

import { ConnectionBar } from "../chat/connection.js";
import { Live, socketOf } from "../chat/live.js";
import { Notices } from "../chat/notices.js";
import { Transcript } from "../chat/render.js";
import { Resume } from "../chat/resume.js";
import { systemClock as clock } from "../chat/socket.js";
import { apply, initial, nextRun, transcript } from "../chat/state.js";
import { WorkerWait } from "../chat/worker_wait.js";
import { Beside } from "./beside.js";
import { Facts } from "./facts.js";
import { Jumps } from "./jumps.js";
import { Places } from "./places.js";
import { Timeline } from "./timeline.js";
import { TimelineTable } from "./timeline_table.js";

const boot = JSON.parse(document.getElementById("boot").textContent);
let state = initial();

const socket = socketOf(boot);
const resume = new Resume({ send: (frame) => socket.send(frame), state: () => state, clock });
const notices = new Notices();
const workerWait = new WorkerWait({ next: () => nextRun(state), changed: (run) => page.touch(run), clock });
const facts = new Facts({ address: boot.address, clock, changed: showFacts, failed: (text) => notices.show(text) });
const beside = new Beside({ address: boot.address, compare: boot.compare, state: () => state, facts });
const timeline = new Timeline(facts);
const table = new TimelineTable(facts);
const jumps = new Jumps({ facts, go: (seq) => places.go(`step-${seq}`) });
const page = new Transcript({
  state: () => state,
  agents: boot.agents,
  isWaitingLong: (run) => workerWait.isLong(run),
  actions: {},
  drawn: (run, element) => beside.drawn(run, element),
  isFollowing: false,
});
const live = new Live({
  socket,
  resume,
  notices,
  workerWait,
  opened: () => page.setLive(true),
  closed() {},
  refused: explain,
});
const places = new Places({ page, facts, state: () => state, isLive: () => live.is, reveal: (run) => beside.reveal(run) });

socket.on("received", (frame) => {
  state = apply(state, frame);
  if (frame.type === "reset") {
    beside.clear();
    facts.clear();
    page.clear();
  }
  if (frame.run_id) page.touch(frame.run_id);
  resume.after(frame);
  if (frame.seq !== undefined) facts.behind(frame.seq);
});
socket.on("marks", ({ data }) => facts.marked(data.feedback));

new ConnectionBar(socket);
facts.behind(1);
socket.connect();

globalThis.glassbox = {
  get state() {
    return state;
  },
  transcript: () => transcript(state),
  socket,
  facts,
};

function showFacts(runs) {
  for (const [name, text] of Object.entries(facts.header)) {
    const place = document.querySelector(`[data-fact="${name}"]`);
    if (place && place.textContent !== text) place.textContent = text;
  }
  timeline.show(runs);
  table.changed();
  jumps.show();
  for (const run of runs) beside.factsOf(run);
}

function explain(code) {
  const { SIGNED_OUT, NOT_FOUND } = boot.protocol.close;
  if (code === SIGNED_OUT) notices.show("You are signed out.", { href: boot.signIn, text: "Sign in again" });
  else if (code === NOT_FOUND) notices.show("You may not read this session, or there is none any more.");
  else notices.show("The server has ended this connection for good.", { href: location.href, text: "Load the page again" });
}
