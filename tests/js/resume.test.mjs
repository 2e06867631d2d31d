import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { Resume } from "../../static/chat/resume.js";
import { apply, initial, transcript } from "../../static/chat/state.js";
import { FakeClock } from "./clock.mjs";
import { Server, shared } from "./server.mjs";

/** A client on a server in miniature; what is sent is answered only when the test says so. */
function client(server, { page } = {}) {
  const clock = new FakeClock();
  const sent = [];
  const state = initial();
  const resume = new Resume({ clock, state: () => state, send: (frame) => sent.push(frame) });
  const receive = (...frames) => {
    for (const frame of frames) {
      apply(state, frame);
      resume.after(frame);
    }
  };
  let answered = 0;
  const answer = () => {
    while (answered < sent.length) receive(...server.resume(sent[answered++], page));
  };
  return { clock, sent, state, resume, receive, answer };
}

const { frames, transcript: expected } = shared.transcripts[0];
const recorded = frames.filter(({ seq }) => seq);
const full = () => {
  const server = new Server();
  for (const frame of frames) server.take(frame);
  return server;
};

test("it resumes directly after connected, from what it has", () => {
  const server = full();
  const { sent, receive, answer, state, resume } = client(server);
  receive(server.connected());
  assert.deepEqual(sent, [{ type: "resume", after: 0, epoch: "one" }]);
  assert.equal(resume.isCurrent, false);
  answer();
  assert.equal(resume.isCurrent, true);
  assert.deepEqual(transcript(state), expected);
  receive(server.connected());
  assert.deepEqual(sent.at(-1), { type: "resume", after: expected.seq, epoch: "one" });
});

test("it asks for page after page until all is there", () => {
  const server = full();
  const { sent, receive, answer, state, resume } = client(server, { page: 3 });
  receive(server.connected());
  answer();
  assert.equal(sent.length, Math.ceil(recorded.length / 3));
  assert.equal(resume.isCurrent, true);
  assert.deepEqual(transcript(state), expected);
});

test("it forgets its history where the server has another, and gets that page by page without a pause", () => {
  const server = full();
  const { sent, receive, state, answer } = client(server, { page: 2 });
  receive({ type: "connected", data: { epoch: "old", head: 0 } }, ...recorded.slice(0, 5));
  sent.pop();
  receive(server.connected());
  assert.equal(sent.at(-1).epoch, "old");
  answer();
  assert.equal(state.epoch, "one");
  assert.deepEqual(transcript(state), expected);
});

test("a gap is asked for once a second at most, a lagging head after a moment", () => {
  const server = new Server();
  const { sent, receive, answer, clock } = client(server);
  receive(server.connected());
  answer();
  for (const frame of recorded.slice(0, 4)) server.take(frame);
  receive(recorded[2], recorded[3]);
  assert.equal(sent.length, 1, "the last one was sent just now");
  clock.pass(1000);
  assert.equal(sent.length, 2);
  answer();
  clock.pass(5000);
  assert.equal(sent.length, 2);
  server.take(recorded[4]);
  receive(server.pong());
  clock.pass(999);
  assert.equal(sent.length, 2);
  clock.pass(1);
  assert.deepEqual(sent.at(-1), { type: "resume", after: 4, epoch: "one" });
});

test("an announcement that only took longer than the pong is not asked for", () => {
  const server = new Server();
  const { sent, receive, answer, clock } = client(server);
  receive(server.connected());
  answer();
  server.take(recorded[0]);
  receive(server.pong(), recorded[0]);
  clock.pass(60_000);
  assert.equal(sent.length, 1);
});

test("a hole in a draft is asked for, and the drafts come from their beginning", () => {
  const server = new Server();
  const { receive, answer, state, clock } = client(server);
  receive(server.connected());
  answer();
  const deltas = frames.filter(({ type }) => type === "reasoning_delta");
  for (const frame of [...recorded.slice(0, 2), deltas[0], deltas[1]]) server.take(frame);
  receive(...recorded.slice(0, 2), deltas[1]);
  clock.pass(1000);
  answer();
  assert.equal(state.runs[0].drafts[0].content, "I need to multiply.");
});

test("an answer that does not come is asked for again", () => {
  const server = full();
  const { sent, receive, clock } = client(server);
  receive(server.connected());
  clock.pass(9_999);
  assert.equal(sent.length, 1);
  clock.pass(1);
  assert.equal(sent.length, 2);
});

test("nothing is sent after the connection has ended", () => {
  const server = full();
  const { sent, receive, clock, resume } = client(server);
  receive(server.connected(), recorded[3]);
  resume.closed();
  clock.pass(100_000);
  assert.equal(sent.length, 1);
  assert.equal(clock.pending, 0);
});

test("whatever a channel loses, doubles or delays, one heartbeat later all is there", () => {
  const fates = fc.array(fc.constantFrom("lost", "once", "twice", "late"), { minLength: 30, maxLength: 30 });
  fc.assert(
    fc.property(fc.constantFrom(...shared.transcripts), fates, fc.integer({ min: 1, max: 5 }), (script, fate, page) => {
      const server = new Server();
      const { receive, answer, state, clock } = client(server, { page });
      receive(server.connected());
      answer();
      const late = [];
      script.frames.forEach((frame, at) => {
        server.take(frame);
        const copies = { lost: 0, once: 1, twice: 2, late: 0 }[fate[at % fate.length]];
        for (let copy = 0; copy < copies; copy += 1) receive(frame);
        if (fate[at % fate.length] === "late") late.push(frame);
        clock.pass(300);
        answer();
      });
      receive(...late, server.pong());
      clock.pass(2000);
      answer();
      assert.deepEqual(transcript(state), script.transcript);
    }),
    { numRuns: 200, seed: 20 },
  );
});
