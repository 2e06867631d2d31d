import assert from "node:assert/strict";
import { test } from "node:test";

const { spans } = await import("../../static/transcripts/spans.js");

const step = (seq, at, duration = null) => [seq, { seq, at, duration, type: "thought" }];
const run = (steps, more = {}) => ({ steps: steps.map(([seq]) => seq), started: 100, ended: null, ...more });
const places = (bars) => bars.map(({ step, start, end, lane }) => [step.seq, start, end, lane]);

test("a step is under way for its duration until it is recorded; one without a duration is a moment", () => {
  const steps = [step(3, 102, 2), step(4, 105)];
  const { bars, lanes, length } = spans(run(steps), new Map(steps));
  assert.deepEqual(places(bars), [[3, 0, 2, 0], [4, 5, 5, 0]]);
  assert.equal(lanes, 1);
  assert.equal(length, 5);
});

test("what is under way at the same time stands in lanes, and a lane is used again", () => {
  const steps = [step(3, 104, 4), step(4, 103, 2), step(5, 106, 1.5)];
  const { bars, lanes } = spans(run(steps), new Map(steps));
  assert.deepEqual(bars.map(({ lane }) => lane), [0, 1, 0]);
  assert.equal(lanes, 2);
});

test("there are never more than five lanes", () => {
  const steps = Array.from({ length: 12 }, (_, at) => step(at + 1, 110, 10));
  assert.equal(spans(run(steps), new Map(steps)).lanes, 5);
});

test("an ended run reaches to its end, and one whose start is not known begins with its first step", () => {
  const steps = [step(3, 102, 2)];
  assert.equal(spans(run(steps, { ended: 110 }), new Map(steps)).length, 10);
  assert.deepEqual(places(spans(run(steps, { started: null }), new Map(steps)).bars), [[3, 0, 2, 0]]);
  assert.deepEqual(spans(run([]), new Map()), { bars: [], lanes: 1, length: 0 });
});
