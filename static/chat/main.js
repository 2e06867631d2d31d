/**
 * Wires a session's page: the socket's frames go through the state to the page, the user's commands to the socket.
 *
 * `window.glassbox` is for tests and for the curious: {state, transcript(), socket, outbox}.
 */

import { Composer } from "./composer.js";
import { ConnectionBar } from "./connection.js";
import { DebugPanel } from "./debug.js";
import { Live, socketOf } from "./live.js";
import { Marks, PRIVATE } from "./marks.js";
import { Notices } from "./notices.js";
import { goOn } from "./outcome.js";
import { Outbox } from "./outbox.js";
import { OutboxView } from "./outbox_view.js";
import { Transcript } from "./render.js";
import { PrivateSwitch } from "./private.js";
import { Resume } from "./resume.js";
import { SessionList } from "./sessions.js";
import { SiteNotices } from "./site_notices.js";
import { systemClock as clock } from "./socket.js";
import { activeRun, apply, initial, nextRun, transcript } from "./state.js";
import { Stop } from "./stop.js";
import { Welcome } from "./welcome.js";
import { WorkerWait } from "./worker_wait.js";

/** Said where the server could not even read: nobody has asked it to save anything. */
const NO_DATABASE = "The site's database does not answer. What you write is kept here and sent again by itself.";

const boot = JSON.parse(document.getElementById("boot").textContent);
const storage = allowedStorage("localStorage");
const key = `${boot.user}.${boot.session}`;

let state = initial();

const socket = socketOf(boot);
const send = (frame) => socket.send(frame);
const resume = new Resume({ send, state: () => state, clock });
const outbox = new Outbox({
  storage,
  key,
  send,
  clock,
  maxBytes: boot.protocol.maxFrameBytes,
  changed: showOutbox,
});
const stop = new Stop({ send, active: () => activeRun(state) });
const marks = new Marks({
  storage: allowedStorage("sessionStorage"),
  key,
  send,
  clock,
  known: () => state.marks,
  maxComment: boot.protocol.maxComment,
  changed: showMark,
});
const notices = new Notices();
const siteNotices = new SiteNotices(storage, boot.siteNotices);
const privateSwitch = new PrivateSwitch(marks);
const sessions = new SessionList(boot.session, boot.agents);
const workerWait = new WorkerWait({ next: () => nextRun(state), changed: (run) => page.touch(run), clock });
const page = new Transcript({
  state: () => state,
  agents: boot.agents,
  isWaitingLong: (run) => workerWait.isLong(run),
  marks,
  actions: {
    remove: (run) => send({ type: "remove", run_id: run }) || notices.show("Not connected: the message is still queued."),
    again: (run) => askAs(run, state.byId.get(run).message),
    "go-on": (run) => askAs(run, goOn(state.byId.get(run))),
  },
});
const outboxView = new OutboxView({
  actions: { retry: (client) => outbox.retry(client), discard: (client) => outbox.discard(client) },
  clock,
});
const welcome = new Welcome({ choose: (name) => composer.chooseAgent(name), ask: (text) => composer.ask(text) });
const composer = new Composer({
  send: ask,
  stop: stopActive,
  storage,
  // Of this tab: two tabs of a session have two texts.
  unsent: { storage: allowedStorage("sessionStorage"), key: `glassbox.unsent.${key}` },
  agentChanged: (name) => welcome.showAgent(name),
});

socket.on("received", (frame) => {
  state = apply(state, frame);
  if (frame.type === "reset") page.clear();
  if (frame.run_id) page.touch(frame.run_id);
  resume.after(frame);
});
socket.on("connected", ({ data }) => {
  composer.proposeAgent(data.agent_name);
  if (data.site_notices) siteNotices.show(data.site_notices);
});
socket.on("site_notices", ({ data }) => siteNotices.show(data.notices));
socket.on("marks", ({ data }) => {
  for (const run of data.is_all ? state.byId.keys() : data.feedback.map(({ run_id }) => run_id)) page.touch(run);
  privateSwitch.show();
});
socket.on("marked", ({ data }) => marks.confirm(data.client_id));
socket.on("message", ({ data }) => {
  outbox.confirm(data.client_id);
  sessions.said(data);
});
socket.on("accepted", ({ data }) => outbox.confirm(data.client_id));
socket.on("error", ({ data, run_id }) => {
  if (data.client_id && marks.has(data.client_id)) marks.refuse(data);
  else if (data.client_id) outbox.refuse(data);
  else if (data.code === "not_saved") notices.show(NO_DATABASE);
  else if (!run_id) notices.show(data.message);
});
for (const type of ["accepted", "pong", "resumed"]) socket.on(type, () => notices.drop(NO_DATABASE));
new Live({
  socket,
  resume,
  notices,
  workerWait,
  opened() {
    page.setLive(true);
    outbox.opened();
    marks.opened();
    stop.again();
  },
  closed() {
    outbox.closed();
    marks.closed();
  },
  refused: explain,
});
socket.on("handled", (frame) => {
  stop.after(frame);
  composer.showStop(stop.status);
});

new ConnectionBar(socket);
new DebugPanel(socket);
showOutbox();
addEventListener("storage", (event) => {
  if (event.storageArea === storage) outbox.changedElsewhere(event);
});
socket.connect();

globalThis.glassbox = {
  get state() {
    return state;
  },
  transcript: () => transcript(state),
  socket,
  outbox,
};

function ask(message) {
  const problem = outbox.problem(message);
  if (problem === "") {
    outbox.add(message);
    page.follow();
  }
  return problem;
}

/** Ask the agent of an earlier run, in its way. */
function askAs(run, message) {
  const { agent, enable_reasoning } = state.byId.get(run);
  ask({ message, agent_name: agent, enable_reasoning });
}

/** What the user wants of a mark has changed, or become of it. */
function showMark(target) {
  if (target === PRIVATE) privateSwitch.show();
  else page.touch(target);
}

function showOutbox() {
  outboxView.show(outbox.entries);
  page.outboxChanged();
}

function stopActive() {
  stop.ask();
  composer.showStop(stop.status);
}

function explain(code) {
  const { SIGNED_OUT, NOT_FOUND } = boot.protocol.close;
  if (code === SIGNED_OUT) notices.show("You are signed out.", { href: boot.signIn, text: "Sign in again" });
  else if (code === NOT_FOUND) notices.show("This session does not exist.", { href: "/", text: "Go to your sessions" });
  else notices.show("The server has ended this connection for good.", { href: location.href, text: "Load the page again" });
}

/** Some browsers forbid storage, and say so by throwing. */
function allowedStorage(name) {
  try {
    return globalThis[name];
  } catch {
    return null;
  }
}
