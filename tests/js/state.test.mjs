import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { activeRun, apply, hasDraftHole, initial, isBehind, transcript } from "../../static/chat/state.js";
import { Server, shared } from "./server.mjs";

const scripts = shared.transcripts;
const all = (frames, state = initial()) => frames.reduce(apply, structuredClone(state));

/** What a reader sees: the transcript and the drafts. */
const seen = (state) => ({
  ...transcript(state),
  drafts: state.runs.map(({ drafts }) => drafts.map(({ step, type, content, retried }) => ({ step, type, content, retried }))),
});

for (const { name, frames, transcript: expected } of scripts) {
  test(`${name}: the transcript is the recorded one`, () => {
    assert.deepEqual(transcript(all(frames)), expected);
    assert.deepEqual(JSON.parse(JSON.stringify(transcript(all(frames)))), expected);
  });

  test(`${name}: at every cut point live, resumed and late clients see the same`, () => {
    for (let end = 0; end <= frames.length; end += 1) {
      const server = new Server();
      const live = apply(initial(), server.connected());
      for (const frame of frames.slice(0, end)) {
        server.take(frame);
        apply(live, frame);
      }
      const late = all([server.connected(), ...server.resume({ after: 0 })]);
      assert.deepEqual(seen(late), seen(live), `late at ${end}`);
      assert.equal(isBehind(late), false);
      for (let cut = 0; cut <= end; cut += 1) {
        const early = apply(initial(), { type: "connected", data: { epoch: "one", head: 0 } });
        for (const frame of frames.slice(0, cut)) apply(early, frame);
        for (const frame of server.resume({ after: early.seq, epoch: early.epoch })) apply(early, frame);
        assert.deepEqual(seen(early), seen(live), `cut at ${cut}, resumed at ${end}`);
      }
    }
  });

  test(`${name}: recorded frames twice, or after all that followed, change nothing`, () => {
    const state = all(frames);
    const before = structuredClone(state);
    for (const frame of frames.filter(({ seq }) => seq)) apply(state, frame);
    assert.deepEqual(state, before);
  });
}

test("over a channel that drops, doubles and reorders, a resume makes it whole", () => {
  const anyScript = fc.constantFrom(...scripts);
  const anyFate = fc.array(fc.record({ copies: fc.integer({ min: 0, max: 2 }), late: fc.integer({ min: 0, max: 6 }) }), {
    minLength: 40,
    maxLength: 40,
  });
  fc.assert(
    fc.property(anyScript, anyFate, fc.integer({ min: 1, max: 4 }), ({ frames, transcript: expected }, fates, page) => {
      const server = new Server();
      const state = apply(initial(), server.connected());
      const underway = [];
      const heal = () => {
        for (let more = true; more; ) {
          const answer = server.resume({ after: state.seq, epoch: state.epoch }, page);
          for (const frame of answer) apply(state, frame);
          more = answer.some(({ type, data }) => type === "resumed" && data.more);
        }
      };
      frames.forEach((frame, at) => {
        server.take(frame);
        const { copies, late } = fates[at % fates.length];
        for (let copy = 0; copy < copies; copy += 1) underway.push({ frame, due: at + late * (copy + 1) });
        for (const { frame: arrived } of underway.filter(({ due }) => due === at)) apply(state, arrived);
        if (state.gap || hasDraftHole(state)) heal();
        // What is shown is never more than what the server has, and always a beginning of it.
        assert.deepEqual(transcript(state).seq <= server.head, true);
      });
      apply(state, server.pong());
      if (isBehind(state)) heal();
      assert.deepEqual(transcript(state), expected);
    }),
    { numRuns: 300, seed: 20 },
  );
});

test("a draft never holds anything but a beginning of what was said", () => {
  const text = "Grüße 🎉 an alle, die zusehen.";
  const pieces = [...text].reduce((list, char) => [...list, { offset: (list.at(-1)?.offset ?? 0) + (list.at(-1)?.content.length ?? 0), content: char }], []);
  fc.assert(
    fc.property(fc.array(fc.nat(pieces.length - 1), { maxLength: 80 }), (order) => {
      const state = running();
      for (const at of order) apply(state, delta(pieces[at]));
      const shown = state.runs[0].drafts[0]?.content ?? "";
      assert.ok(text.startsWith(shown));
      apply(state, delta({ offset: 0, content: text }));
      assert.equal(state.runs[0].drafts[0].content, text);
    }),
    { numRuns: 200, seed: 20 },
  );
});

// --- the rules, one by one -----------------------------------------------------------------------------------------------

const RUN = "run";
const recorded = (seq, type, data = {}) => ({ type, seq, run_id: RUN, data });
const delta = (data, run_id = RUN) => ({
  type: "reasoning_delta",
  run_id,
  data: { attempt: 1, call: 1, step: 1, type: "final_answer", iteration: 1, ...data },
});
const queued = () => all([recorded(1, "message", { client_id: "c", content: "Hi", agent: "a", enable_reasoning: true })]);
const running = () => apply(queued(), recorded(2, "reasoning_start", { agent: "a", model: "m", attempt: 1 }));
const drafts = (state) => state.runs[0].drafts.map(({ step, content }) => [step, content]);

test("a delta is appended by its offset, and what is doubled is dropped", () => {
  const state = running();
  apply(state, delta({ offset: 0, content: "Hello" }));
  apply(state, delta({ offset: 3, content: "lo wor" }));
  apply(state, delta({ offset: 0, content: "Hel" }));
  apply(state, delta({ offset: 9, content: "ld" }));
  assert.deepEqual(drafts(state), [[1, "Hello world"]]);
});

test("offsets count UTF-16 code units", () => {
  const state = running();
  apply(state, delta({ offset: 0, content: "🎉" }));
  apply(state, delta({ offset: 2, content: "!" }));
  assert.deepEqual(drafts(state), [[1, "🎉!"]]);
});

test("a hole is noticed, nothing is put after it, and a resume fills it", () => {
  const state = running();
  apply(state, delta({ offset: 0, content: "abc" }));
  apply(state, delta({ offset: 5, content: "fg" }));
  assert.equal(hasDraftHole(state), true);
  assert.deepEqual(drafts(state), [[1, "abc"]]);
  apply(state, { type: "resumed", data: { through: 2, head: 2, more: false, epoch: "e" } });
  assert.equal(hasDraftHole(state), false);
  apply(state, delta({ offset: 0, content: "abcdefg" }));
  assert.deepEqual(drafts(state), [[1, "abcdefg"]]);
});

test("a draft whose beginning is missing is a hole too", () => {
  const state = running();
  apply(state, delta({ offset: 4, content: "late" }));
  assert.equal(hasDraftHole(state), true);
  assert.deepEqual(drafts(state), []);
});

test("deltas of an unknown, a queued or an ended run, or of another attempt, are ignored", () => {
  const piece = { offset: 0, content: "x" };
  assert.deepEqual(drafts(apply(running(), delta(piece, "another"))), []);
  assert.deepEqual(drafts(apply(queued(), delta(piece))), []);
  assert.deepEqual(drafts(apply(running(), delta({ ...piece, attempt: 0 }))), []);
  assert.deepEqual(drafts(apply(running(), delta({ ...piece, attempt: 2 }))), []);
  const ended = apply(running(), recorded(3, "reasoning_complete", { state: "completed" }));
  assert.deepEqual(drafts(apply(ended, delta(piece))), []);
});

test("a recorded step voids the drafts up to it and keeps later ones", () => {
  const state = running();
  apply(state, delta({ step: 1, type: "thought", offset: 0, content: "Hm" }));
  apply(state, delta({ step: 2, offset: 0, content: "So" }));
  apply(state, recorded(3, "reasoning_step", { type: "thought", step: 1, content: "Hm." }));
  assert.deepEqual(drafts(state), [[2, "So"]]);
  apply(state, delta({ step: 1, offset: 0, content: "Hm." }));
  assert.deepEqual(drafts(state), [[2, "So"]]);
});

test("drafts of several steps stand in the order of their steps", () => {
  const state = running();
  apply(state, delta({ step: 2, offset: 0, content: "answer" }));
  apply(state, delta({ step: 1, type: "thought", offset: 0, content: "thought" }));
  assert.deepEqual(drafts(state), [[1, "thought"], [2, "answer"]]);
});

test("a later call voids the drafts of earlier ones, and says where the model was asked again", () => {
  const state = running();
  apply(state, delta({ offset: 0, content: "wrong" }));
  apply(state, delta({ call: 2, offset: 0, content: "", discarded: true }));
  apply(state, delta({ call: 1, offset: 5, content: " way" }));
  apply(state, delta({ call: 2, offset: 0, content: "right" }));
  assert.deepEqual(drafts(state), [[1, "right"]]);
  assert.equal(state.runs[0].drafts[0].retried, true);
  apply(state, delta({ call: 3, step: 2, offset: 0, content: "next" }));
  assert.equal(state.runs[0].drafts[0].retried, false);
});

test("a new attempt and the end of a run void all drafts, holes included", () => {
  for (const [type, data] of [["reasoning_start", { attempt: 2, agent: "a", model: "m" }], ["reasoning_complete", { state: "stopped" }]]) {
    const state = running();
    apply(state, delta({ offset: 0, content: "x" }));
    apply(state, delta({ offset: 7, content: "y" }));
    apply(state, recorded(3, type, data));
    assert.deepEqual(drafts(state), []);
    assert.equal(hasDraftHole(state), false);
  }
});

test("each attempt but the first leaves a mark where it went on, with the reason if it was told", () => {
  const state = running();
  apply(state, recorded(3, "reasoning_step", { type: "thought", step: 1, content: "x" }));
  apply(state, recorded(4, "reasoning_start", { attempt: 2, reason: "handed_over" }));
  apply(state, recorded(5, "reasoning_start", { attempt: 3 }));
  assert.deepEqual(state.runs[0].continued, [
    { seq: 4, attempt: 2, reason: "handed_over", after: 1 },
    { seq: 5, attempt: 3, reason: "", after: 1 },
  ]);
});

test("a gap is noticed, nothing is applied past it, and it closes when all is there", () => {
  const state = queued();
  apply(state, recorded(3, "reasoning_step", { type: "thought", step: 1, content: "x" }));
  assert.equal(state.gap, true);
  assert.equal(state.seq, 1);
  apply(state, recorded(2, "reasoning_start", { attempt: 1 }));
  assert.equal(isBehind(state), true);
  apply(state, recorded(3, "reasoning_step", { type: "thought", step: 1, content: "x" }));
  assert.equal(isBehind(state), false);
});

test("a pong's head tells of frames that never came", () => {
  const state = apply(queued(), { type: "pong", data: { timestamp: 1, head: 4 } });
  assert.equal(isBehind(state), true);
  assert.equal(state.gap, false);
});

test("a reset forgets everything, and another history's head is not ours", () => {
  const state = apply(initial(), { type: "connected", data: { epoch: "old", head: 0 } });
  apply(state, recorded(1, "message", { client_id: "c", content: "Hi" }));
  apply(state, { type: "connected", data: { epoch: "new", head: 9 } });
  assert.equal(state.epoch, "old");
  assert.equal(state.head, 1);
  apply(state, { type: "reset", data: { epoch: "new", head: 9 } });
  assert.deepEqual(state, { ...initial(), epoch: "new", head: 9 });
});

test("the active run is found behind queued and removed ones, and there is none after an end", () => {
  const state = running();
  apply(state, { type: "message", seq: 3, run_id: "second", data: { client_id: "d", content: "Next" } });
  assert.equal(activeRun(state).run_id, RUN);
  apply(state, recorded(4, "reasoning_complete", { state: "completed" }));
  assert.equal(activeRun(state), null);
});

test("frames that it does not know leave the state alone", () => {
  const state = running();
  const before = structuredClone(state);
  for (const type of ["interrupted", "accepted", "error", "approval", "toString", "constructor"]) apply(state, { type, data: {}, run_id: RUN });
  assert.deepEqual(state, before);
});

test("the work per delta grows neither with the answer nor with the session", () => {
  const state = running();
  const piece = (at) => delta({ offset: at * 10, content: "0123456789" });
  const visits = { array: 0 };
  state.runs = new Proxy(state.runs, { get: (target, key) => ((visits.array += 1), target[key]) });
  for (let at = 0; at < 20_000; at += 1) apply(state, piece(at));
  assert.equal(visits.array, 0, "a delta finds its run without walking through the session");
  assert.equal(state.byId.get(RUN).drafts[0].content.length, 200_000);
});
