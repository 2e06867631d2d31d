import assert from "node:assert/strict";
import { test } from "node:test";

import { Marks, PRIVATE } from "../../static/chat/marks.js";
import { undismissed, withDismissed } from "../../static/chat/dismissed.js";
import { apply, hasAnswer, initial } from "../../static/chat/state.js";
import { FakeClock } from "./clock.mjs";

const RUN = "7f0c1c1e-0000-4000-8000-000000000001";

class FakeStorage {
  items = new Map();
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
  removeItem(key) {
    this.items.delete(key);
  }
}

/** A page's marks; what it sends is in `sent`, and is lost while it is not `connected`. */
function page({ storage = new FakeStorage() } = {}) {
  const clock = new FakeClock();
  const sent = [];
  let number = 0;
  const self = { clock, sent, storage, connected: true, state: initial(), changes: [] };
  self.marks = new Marks({
    storage,
    key: "1.s",
    clock,
    send: (frame) => self.connected && Boolean(sent.push(frame)),
    known: () => self.state.marks,
    maxComment: 10,
    changed: (target) => self.changes.push(target),
    newId: () => `c-${(number += 1)}`,
  });
  return self;
}

const feedback = (fields) => ({ type: "feedback", run_id: RUN, ...fields });
const told = (...rows) => ({ type: "marks", data: { is_private: false, is_all: false, feedback: rows } });

test("once the page has caught up it asks how things stand", () => {
  const { marks, sent } = page();
  assert.equal(marks.session.isPrivate, null);
  marks.opened();
  assert.deepEqual(sent, [{ type: "read_marks" }]);
});

test("a thumb is shown at once, sent, and saved when the server says so", () => {
  const { marks, sent, changes, state } = page();
  marks.opened();
  marks.thumb(RUN, "up");
  assert.deepEqual(sent.at(-1), feedback({ thumb: "up", comment: "", client_id: "c-1" }));
  assert.deepEqual(marks.feedback(RUN), { thumb: "up", comment: "", typed: null, status: "saving", error: "" });
  marks.confirm("c-1");
  assert.deepEqual(marks.feedback(RUN), { thumb: "up", comment: "", typed: null, status: "", error: "" });
  assert.deepEqual(state.marks.feedback.get(RUN), { thumb: "up", comment: "" });
  assert.ok(changes.includes(RUN));
});

test("offline it is kept, through a reload of the tab, and goes out with the connection", () => {
  const before = page();
  before.connected = false;
  before.marks.thumb(RUN, "down");
  before.marks.comment(RUN, "no good");
  before.marks.setPrivate(true);
  assert.equal(before.marks.feedback(RUN).status, "offline");
  assert.deepEqual(before.sent, []);
  const { marks, sent } = page({ storage: before.storage });
  assert.equal(marks.feedback(RUN).comment, "no good");
  assert.equal(marks.session.isPrivate, true);
  marks.opened();
  const wanted = sent.slice(1).map(({ client_id, ...frame }) => client_id && frame);
  assert.deepEqual(wanted, [feedback({ thumb: "down", comment: "no good" }), { type: "private", is_private: true }]);
});

test("what may not have arrived is said again; the latest wish alone", () => {
  const { marks, sent } = page();
  marks.opened();
  marks.thumb(RUN, "up");
  marks.thumb(RUN, "down");
  marks.closed();
  const before = sent.length;
  marks.opened();
  assert.deepEqual(sent.slice(before), [{ type: "read_marks" }, feedback({ thumb: "down", comment: "", client_id: "c-2" })]);
  marks.confirm("c-1"); // of the wish before: the later one is not saved by it
  assert.equal(marks.feedback(RUN).status, "saving");
  marks.confirm("c-2");
  assert.equal(marks.feedback(RUN).status, "");
});

test("the same thumb again takes it back, and what the comment said stays typed", () => {
  const { marks, sent, state } = page();
  apply(state, told({ run_id: RUN, thumb: "up", comment: "nice" }));
  marks.opened();
  marks.thumb(RUN, "up");
  assert.deepEqual(sent.at(-1), feedback({ thumb: null, comment: "", client_id: "c-1" }));
  assert.deepEqual(marks.feedback(RUN), { thumb: null, comment: "", typed: "nice", status: "saving", error: "" });
});

test("a comment that is too long says how long it is, by characters and not by code units", () => {
  const { marks } = page();
  assert.equal(marks.problem("🎉".repeat(10)), "");
  assert.match(marks.problem("🎉".repeat(11)), /has 11 characters, and at most 10/);
});

test("a comment half typed outlives a reload, until it is saved or given up", () => {
  const { marks, storage } = page();
  marks.type(RUN, "half");
  assert.equal(page({ storage }).marks.feedback(RUN).typed, "half");
  marks.type(RUN, null);
  assert.equal(page({ storage }).marks.feedback(RUN).typed, null);
  assert.equal(storage.items.size, 0);
});

test("what is refused is shown as it was, with the reason, and what was typed is kept", () => {
  const { marks, sent, state } = page();
  apply(state, told({ run_id: RUN, thumb: "up", comment: "" }));
  marks.opened();
  marks.comment(RUN, "refused");
  assert.ok(marks.has(sent.at(-1).client_id));
  marks.refuse({ client_id: sent.at(-1).client_id, message: "No.", code: "bad_field" });
  assert.deepEqual(marks.feedback(RUN), { thumb: "up", comment: "", typed: "refused", status: "", error: "No." });
});

test("what could not be saved just now is tried again after the wait", () => {
  const { marks, sent, clock } = page();
  marks.opened();
  marks.setPrivate(true);
  const refused = { client_id: "c-1", message: "Not saved.", code: "not_saved", retry_after: 2 };
  marks.refuse(refused);
  assert.deepEqual(marks.session, { isPrivate: true, status: "retrying", error: "Not saved." });
  const before = sent.length;
  clock.pass(1_999);
  assert.equal(sent.length, before);
  clock.pass(1);
  assert.deepEqual(sent.slice(before), [{ type: "private", is_private: true, client_id: "c-1" }]);
  assert.equal(marks.session.error, "");
});

test("what another tab marked is shown, unless this one wants something else", () => {
  const { marks, state } = page();
  marks.opened();
  apply(state, { type: "marks", data: { is_private: true, is_all: true, feedback: [{ run_id: RUN, thumb: "down", comment: "x" }] } });
  assert.equal(marks.session.isPrivate, true);
  assert.equal(marks.feedback(RUN).thumb, "down");
  marks.thumb(RUN, "up");
  assert.equal(marks.feedback(RUN).thumb, "up");
  assert.equal(marks.feedback(RUN).comment, "x");
});

test("the state takes single marks and all of them, and keeps them over a reset", () => {
  const state = initial();
  apply(state, told({ run_id: "a", thumb: "up", comment: "" }, { run_id: "b", thumb: "down", comment: "" }));
  apply(state, told({ run_id: "a", thumb: null, comment: "" }));
  assert.deepEqual([...state.marks.feedback.keys()], ["b"]);
  apply(state, { type: "reset", data: { epoch: "two", head: 0 } });
  assert.deepEqual([...state.marks.feedback.keys()], ["b"]);
  apply(state, { type: "marks", data: { is_private: true, is_all: true, feedback: [] } });
  assert.equal(state.marks.feedback.size, 0);
  assert.equal(state.marks.isPrivate, true);
});

test("a run has an answer once it has ended with one", () => {
  const answer = { kind: "reasoning_step", data: { type: "final_answer" } };
  assert.equal(hasAnswer({ end: null, steps: [answer] }), false);
  assert.equal(hasAnswer({ end: {}, steps: [{ kind: "reasoning_step", data: { type: "thought" } }] }), false);
  assert.equal(hasAnswer({ end: {}, steps: [answer] }), true);
  assert.equal(hasAnswer({ end: {}, steps: [{ kind: "response", data: {} }] }), true);
});

test("the target of the session is no run", () => {
  assert.doesNotMatch(PRIVATE, /-/);
});

test("a notice that was dismissed is shown again only with another text", () => {
  const notice = { id: "1", level: "info", text: "Soon." };
  const dismissed = withDismissed([], notice);
  assert.deepEqual(undismissed([notice, { ...notice, id: "2" }], dismissed), [{ ...notice, id: "2" }]);
  assert.deepEqual(undismissed([{ ...notice, text: "Now." }], dismissed), [{ ...notice, text: "Now." }]);
  assert.deepEqual(withDismissed(dismissed, { id: "1", text: "Now." }), [{ id: "1", text: "Now." }]);
  let many = [];
  for (let id = 0; id < 60; id += 1) many = withDismissed(many, { id: String(id), text: "x" });
  assert.deepEqual([many.length, many.at(-1).id], [50, "59"]);
});
