import assert from "node:assert/strict";
import { test } from "node:test";

import { apply, initial, nextRun } from "../../static/chat/state.js";
import { WorkerWait } from "../../static/chat/worker_wait.js";
import { FakeClock } from "./clock.mjs";

const message = (seq, run_id) => ({ type: "message", seq, run_id, data: { client_id: run_id, content: "Hi", agent: "a", enable_reasoning: true } });
const recorded = (seq, run_id, type, data = {}) => ({ type, seq, run_id, data });

function page() {
  const clock = new FakeClock();
  const state = initial();
  const changed = [];
  const wait = new WorkerWait({ next: () => nextRun(state), changed: (run) => changed.push([run, wait.isLong(run)]), clock });
  const take = (frame) => {
    apply(state, frame);
    wait.look();
  };
  return { clock, changed, wait, take };
}

test("a message that nothing stands before has waited for long after 5 s, and no longer once it begins", () => {
  const { clock, changed, wait, take } = page();
  take(message(1, "one"));
  clock.pass(4_999);
  assert.equal(wait.isLong("one"), false);
  clock.pass(1);
  assert.deepEqual(changed, [["one", true]]);
  take(recorded(2, "one", "reasoning_start", { attempt: 1 }));
  assert.deepEqual(changed, [["one", true], ["one", false]]);
  clock.pass(60_000);
  assert.equal(changed.length, 2);
  assert.equal(clock.pending, 0);
});

test("a message behind a run that is worked on waits for that one; its time begins when it is the next", () => {
  const { clock, wait, take } = page();
  take(message(1, "one"));
  take(recorded(2, "one", "reasoning_start", { attempt: 1 }));
  take(message(3, "two"));
  clock.pass(60_000);
  assert.equal(wait.isLong("two"), false);
  take(recorded(4, "one", "reasoning_complete", { state: "completed" }));
  clock.pass(4_999);
  assert.equal(wait.isLong("two"), false);
  clock.pass(1);
  assert.equal(wait.isLong("two"), true);
});

test("of several that wait, the first is the one that could begin; removed ones do not count", () => {
  const { clock, wait, take } = page();
  for (const [seq, run] of [[1, "one"], [2, "two"], [3, "three"]]) take(message(seq, run));
  take(recorded(4, "one", "message_removed"));
  clock.pass(5_000);
  assert.deepEqual(["one", "two", "three"].map((run) => wait.isLong(run)), [false, true, false]);
});

test("what happens meanwhile does not begin the wait anew; a page that is cut off says nothing", () => {
  const { clock, changed, wait, take } = page();
  take(message(1, "one"));
  clock.pass(3_000);
  take(message(2, "two"));
  clock.pass(2_000);
  assert.equal(wait.isLong("one"), true);
  wait.closed();
  assert.equal(wait.isLong("one"), false);
  assert.equal(changed.length, 2);
  clock.pass(60_000);
  wait.look();
  clock.pass(5_000);
  assert.equal(wait.isLong("one"), true);
});
