/* The connection, on a clock and a WebSocket that the tests play; one file, because all of it is one state machine. */

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { ChatSocket, State, backoff, comesBack, spreadOf } from "../../static/chat/socket.js";
import { FakeClock } from "./clock.mjs";
import { shared } from "./server.mjs";

/** The browser's WebSocket, played by the test. */
class FakeWebSocket extends EventTarget {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  sent = [];
  closedWith = null;

  constructor(url) {
    super();
    if (url === "bad") throw new SyntaxError("not an address");
    this.url = url;
    FakeWebSocket.all.push(this);
  }

  static get last() {
    return FakeWebSocket.all.at(-1);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    this.readyState = 2;
    this.closedWith = { code, reason };
  }

  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  receive(frame) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: typeof frame === "string" ? frame : JSON.stringify(frame) }));
  }

  end(code = 1006, reason = "") {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
}

function setUp(options = {}) {
  FakeWebSocket.all = [];
  const clock = new FakeClock();
  const page = { window: new EventTarget(), document: Object.assign(new EventTarget(), { visibilityState: "visible" }) };
  const errors = [];
  const socket = new ChatSocket("ws://host/ws/chat/s", {
    clock,
    page,
    WebSocket: FakeWebSocket,
    random: () => 0.5,
    report: (error) => errors.push(error),
    ...options,
  });
  const states = [];
  socket.on("state", ({ state }) => states.push(state));
  return { clock, page, errors, socket, states };
}

function connected(options) {
  const all = setUp(options);
  all.socket.connect();
  FakeWebSocket.last.open();
  return all;
}

test("the wait before a try is a pure function: full jitter in windows from 1 s to 30 s", () => {
  const windows = [1, 2, 3, 4, 5, 6, 7, 50, 5000].map((tries) => backoff(tries, 1 - 1e-12));
  assert.deepEqual(windows.map((ms) => Math.round(ms / 1000)), [1, 2, 4, 8, 16, 30, 30, 30, 30]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (tries, random) => {
      const wait = backoff(tries, random);
      assert.ok(wait >= 0 && wait <= 30_000);
      assert.ok(wait <= 1000 * 2 ** (tries - 1));
    }),
    { seed: 20 },
  );
});

test("only 4500 to 4999 mean: do not come back", () => {
  assert.deepEqual([1000, 1001, 1006, 1012, 4000, 4499, 4500, 4999, 5000, null].map((code) => comesBack(code)), [true, true, true, true, true, true, false, false, true, true]);
});

test("it goes from offline over connecting to connected, and back by the user's will", () => {
  const { socket, states, clock } = connected();
  assert.equal(socket.status.state, State.CONNECTED);
  socket.disconnect();
  assert.deepEqual(states, ["connecting", "connected", "offline"]);
  assert.equal(socket.status.why, "user");
  assert.equal(FakeWebSocket.last.closedWith.code, 1000);
  clock.pass(1e6);
  assert.equal(FakeWebSocket.all.length, 1);
  assert.equal(clock.pending, 0);
  socket.connect();
  assert.equal(FakeWebSocket.all.length, 2);
});

test("connect while connecting, connected or retrying opens no second connection", () => {
  const { socket } = setUp();
  socket.connect().connect();
  FakeWebSocket.last.open();
  socket.connect();
  FakeWebSocket.last.end();
  socket.connect();
  assert.equal(FakeWebSocket.all.length, 1);
});

test("a closed connection is tried again, with the time of the next try in the state", () => {
  const { socket, clock } = connected();
  FakeWebSocket.last.end(1006);
  const { state, retryAt, code, why, tries } = socket.status;
  assert.deepEqual({ state, code, why, tries }, { state: "retrying", code: 1006, why: "closed", tries: 1 });
  assert.equal(retryAt, clock.now() + 500);
  clock.pass(499);
  assert.equal(FakeWebSocket.all.length, 1);
  clock.pass(1);
  assert.equal(FakeWebSocket.all.length, 2);
  assert.equal(socket.status.state, "connecting");
});

test("the tries count on until a connection has held", () => {
  const { socket, clock } = connected();
  const fail = (held) => {
    clock.pass(held);
    FakeWebSocket.last.end();
    const { tries } = socket.status;
    socket.retryNow();
    FakeWebSocket.last.open();
    return tries;
  };
  assert.deepEqual([fail(0), fail(4_999), fail(100), fail(5_000), fail(0)], [1, 2, 3, 1, 2]);
});

test("there is no limit of tries by default, and an option sets one", () => {
  for (const [tries, opened] of [[0, 201], [3, 4]]) {
    const { socket } = setUp({ tries });
    socket.connect();
    for (let at = 0; at < 200 && socket.status.state !== "offline"; at += 1) {
      FakeWebSocket.last.end();
      socket.retryNow();
    }
    assert.equal(FakeWebSocket.all.length, opened);
    assert.equal(socket.status.why, tries ? "tries" : "closed");
  }
});

test("a code that means “do not come back” ends it until the user connects again", () => {
  for (const code of [4500, 4501, 4504, 4999]) {
    const { socket, clock, page } = connected();
    FakeWebSocket.last.end(code, "no");
    assert.deepEqual([socket.status.state, socket.status.why, socket.status.code, socket.status.reason], ["offline", "refused", code, "no"]);
    page.window.dispatchEvent(new Event("online"));
    socket.retryNow();
    clock.pass(1e6);
    assert.equal(FakeWebSocket.all.length, 1);
  }
});

test("after a restart it comes back within the spread, and that is no failure", () => {
  for (const [frame, spread] of [[null, 5_000], [{ type: "going_away", data: { spread: 12 } }, 12_000]]) {
    for (const random of [0, 0.25, 0.999]) {
      const { socket, clock } = connected({ random: () => random, tries: 1 });
      if (frame) FakeWebSocket.last.receive(frame);
      assert.equal(socket.status.state, "connected", "it stays until the server closes");
      FakeWebSocket.last.end(shared.going_away.close);
      const { state, why, code, tries, retryAt } = socket.status;
      assert.deepEqual({ state, why, code, tries }, { state: "retrying", why: "restart", code: 1012, tries: 0 });
      const wait = Math.floor(random * spread);
      assert.equal(retryAt, clock.now() + wait);
      clock.pass(wait - 1);
      assert.equal(FakeWebSocket.all.length, 1);
      clock.pass(1);
      assert.equal(FakeWebSocket.all.length, 2);
    }
  }
});

test("the return is spread evenly, and what a server says of it is taken with care", () => {
  const waits = [];
  let drawn = 0;
  const { socket } = setUp({ random: () => (drawn += 0.01) - 0.005 });
  for (let at = 0; at < 100; at += 1) {
    socket.connect();
    FakeWebSocket.last.open();
    FakeWebSocket.last.end(1012);
    waits.push(socket.status.retryAt);
    socket.disconnect();
  }
  const start = waits[0] - 25;
  for (let second = 0; second < 5; second += 1) {
    assert.equal(waits.filter((at) => Math.floor((at - start) / 1_000) === second).length, 20);
  }
  for (const data of [undefined, null, {}, { spread: "9" }, { spread: -1 }, { spread: NaN }]) assert.equal(spreadOf({ data }), 5_000);
  assert.equal(spreadOf(null), 5_000);
  assert.equal(spreadOf(shared.going_away.frame), 5_000);
  assert.equal(spreadOf({ data: { spread: 0 } }), 0);
  assert.equal(spreadOf({ data: { spread: 1e9 } }), 30_000);
});

test("a server that said that it goes and was cut off restarts as well; the next connection begins without that", () => {
  const { socket, clock } = connected();
  FakeWebSocket.last.receive({ type: "going_away", data: { spread: 2 } });
  FakeWebSocket.last.end(1006);
  assert.equal(socket.status.why, "restart");
  clock.pass(1_000);
  FakeWebSocket.last.end(1006);
  assert.deepEqual([socket.status.why, socket.status.tries], ["closed", 1], "not back yet: a failure like any other");
});

test("a server that goes away for good is not come back to", () => {
  const { socket } = connected();
  FakeWebSocket.last.receive({ type: "going_away", data: { spread: 2 } });
  FakeWebSocket.last.end(4501);
  assert.equal(socket.status.state, "offline");
});

test("retry now cuts the wait after a restart short", () => {
  const { socket, clock } = connected();
  FakeWebSocket.last.end(1012);
  socket.retryNow();
  FakeWebSocket.last.open();
  clock.pass(20_000);
  assert.equal(FakeWebSocket.all.length, 2);
  assert.equal(socket.status.state, "connected");
});

test("it tries at once when the browser comes online, when the page is shown, and on demand", () => {
  for (const act of [
    ({ page }) => page.window.dispatchEvent(new Event("online")),
    ({ page }) => page.document.dispatchEvent(new Event("visibilitychange")),
    ({ socket }) => socket.retryNow(),
  ]) {
    const all = connected();
    FakeWebSocket.last.end();
    act(all);
    assert.equal(FakeWebSocket.all.length, 2);
    act(all);
    all.clock.pass(10_000);
    assert.equal(FakeWebSocket.all.length, 2, "one try at a time");
  }
  const { page } = connected();
  FakeWebSocket.last.end();
  page.document.visibilityState = "hidden";
  page.document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(FakeWebSocket.all.length, 1);
});

test("where the first try after coming online fails, as the network may not carry yet, the next one comes soon", () => {
  for (const began of [true, false]) {
    const { socket, clock, page } = connected({ random: () => 0.999 });
    for (let tries = 1; tries <= 6; tries += 1) {
      FakeWebSocket.last.end();
      if (tries < 6) clock.pass(socket.status.retryAt - clock.now());
    }
    assert.ok(socket.status.retryAt - clock.now() > 20_000);
    if (began) socket.retryNow(); // a try that was begun before counts as the first
    page.window.dispatchEvent(new Event("online"));
    FakeWebSocket.last.end();
    assert.deepEqual([socket.status.state, socket.status.tries], ["retrying", 1]);
    assert.ok(socket.status.retryAt - clock.now() < 1_000);
  }
});

test("it pings every 30 s, and anything that arrives is a sign of life", () => {
  const { clock, states } = connected();
  for (let beat = 1; beat <= 5; beat += 1) {
    clock.pass(30_000);
    assert.deepEqual(FakeWebSocket.last.sent.at(-1), { type: "ping", timestamp: clock.now() });
    assert.equal(FakeWebSocket.last.sent.length, beat);
    FakeWebSocket.last.receive(beat % 2 ? { type: "pong", data: {} } : { type: "reasoning_step", data: {} });
  }
  assert.deepEqual(states, ["connecting", "connected"]);
});

test("a missed reply closes and reconnects, without waiting for the old connection", () => {
  const { clock, socket } = connected();
  const first = FakeWebSocket.last;
  clock.pass(39_999);
  assert.equal(socket.status.state, "connected");
  clock.pass(1);
  assert.deepEqual([socket.status.state, socket.status.why], ["retrying", "no reply"]);
  assert.equal(first.closedWith.code, 3008);
  clock.pass(500);
  FakeWebSocket.last.open();
  const frames = [];
  socket.on("late", (frame) => frames.push(frame));
  first.receive({ type: "late" });
  first.end();
  assert.deepEqual(frames, []);
  assert.equal(socket.status.state, "connected");
});

test("it looks at once whether the connection lives when the browser goes offline or the page is shown again", () => {
  const { page, clock, socket } = connected();
  page.window.dispatchEvent(new Event("offline"));
  assert.equal(FakeWebSocket.last.sent[0].type, "ping");
  clock.pass(10_000);
  assert.equal(socket.status.why, "no reply");
});

test("a connection that never opens is given up", () => {
  const { socket, clock } = setUp();
  socket.connect();
  clock.pass(15_000);
  assert.deepEqual([socket.status.state, socket.status.why], ["retrying", "not opened"]);
});

test("send is false unless connected, and nothing is kept for later", () => {
  const { socket, clock } = setUp();
  assert.equal(socket.send({ type: "chat" }), false);
  socket.connect();
  assert.equal(socket.send({ type: "chat" }), false);
  FakeWebSocket.last.open();
  assert.equal(socket.send({ type: "chat" }), true);
  FakeWebSocket.last.readyState = 2;
  assert.equal(socket.send({ type: "chat" }), false);
  FakeWebSocket.last.end();
  assert.equal(socket.send({ type: "chat" }), false);
  clock.pass(1000);
  FakeWebSocket.last.open();
  assert.deepEqual(FakeWebSocket.last.sent, []);
});

test("handlers get whole frames by type, and stay over reconnections", () => {
  const { socket, clock } = connected();
  const got = [];
  const handler = (frame) => got.push(frame.seq);
  assert.equal(socket.on("reasoning_step", handler), socket);
  FakeWebSocket.last.receive({ type: "reasoning_step", seq: 1 });
  FakeWebSocket.last.end();
  clock.pass(1000);
  FakeWebSocket.last.open();
  FakeWebSocket.last.receive({ type: "reasoning_step", seq: 2 });
  FakeWebSocket.last.receive({ type: "other", seq: 3 });
  socket.off("reasoning_step", handler);
  FakeWebSocket.last.receive({ type: "reasoning_step", seq: 4 });
  assert.deepEqual(got, [1, 2]);
});

test("neither a handler that throws nor a frame that is not JSON breaks the socket", () => {
  const { socket, errors } = connected();
  const got = [];
  socket.on("received", () => {
    throw new Error("mine");
  });
  socket.on("x", () => {
    throw new Error("yours");
  });
  socket.on("x", () => got.push("x"));
  FakeWebSocket.last.receive({ type: "x" });
  for (const text of ["{", "null", "7", "[]", '{"type":7}', '{"type":"state","data":{}}']) FakeWebSocket.last.receive(text);
  FakeWebSocket.last.receive({ type: "x" });
  assert.deepEqual(got, ["x", "x"]);
  assert.ok(errors.length >= 4);
  assert.equal(socket.status.state, "connected");
});

test("a frame cannot pose as the socket's own event", () => {
  const { socket, states } = connected();
  const before = states.length;
  for (const type of ["state", "sent", "handled", "received"]) FakeWebSocket.last.receive({ type, state: "offline" });
  assert.equal(states.length, before);
  assert.equal(socket.status.state, "connected");
});

test("it acknowledges nothing until the page has resumed on this connection", () => {
  const { socket, clock } = connected();
  for (let at = 0; at < 200; at += 1) FakeWebSocket.last.receive({ type: "reasoning_delta" });
  clock.pass(5_000);
  assert.deepEqual(FakeWebSocket.last.sent, []);
  socket.send({ type: "resume", after: 0 });
  FakeWebSocket.last.receive({ type: "resumed" });
  assert.deepEqual(FakeWebSocket.last.sent.at(-1), { type: "ack", frames: 201 });
});

test("it acknowledges every 64 frames, every 64 Ki characters, and 1 s after the first that waits", () => {
  const { socket, clock } = connected();
  const acks = () => FakeWebSocket.last.sent.filter(({ type }) => type === "ack").map(({ frames }) => frames);
  socket.send({ type: "resume", after: 0 });
  for (let at = 0; at < 130; at += 1) FakeWebSocket.last.receive({ type: "x" });
  assert.deepEqual(acks(), [64, 128]);
  clock.pass(999);
  assert.deepEqual(acks(), [64, 128]);
  clock.pass(1);
  assert.deepEqual(acks(), [64, 128, 130]);
  FakeWebSocket.last.receive({ type: "x", data: "y".repeat(64 * 1024) });
  assert.deepEqual(acks(), [64, 128, 130, 131]);
  clock.pass(10_000);
  assert.deepEqual(acks(), [64, 128, 130, 131]);
});

test("the count of frames begins anew with each connection", () => {
  const { socket, clock } = connected();
  socket.send({ type: "resume", after: 0 });
  FakeWebSocket.last.receive({ type: "x" });
  FakeWebSocket.last.end();
  clock.pass(1000);
  FakeWebSocket.last.open();
  FakeWebSocket.last.receive({ type: "x" });
  clock.pass(2000);
  assert.deepEqual(FakeWebSocket.last.sent, []);
  socket.send({ type: "resume", after: 0 });
  FakeWebSocket.last.receive({ type: "x" });
  clock.pass(1000);
  assert.deepEqual(FakeWebSocket.last.sent.at(-1), { type: "ack", frames: 2 });
});

test("the address may be a function, asked before each connection; a bad one is reported", () => {
  let number = 0;
  const { socket, clock } = setUp();
  const changing = new ChatSocket(() => `ws://host/${(number += 1)}`, { clock, WebSocket: FakeWebSocket, random: () => 0, page: {} });
  changing.connect();
  FakeWebSocket.last.end();
  clock.pass(0);
  assert.equal(FakeWebSocket.last.url, "ws://host/2");
  assert.equal(socket.status.state, "offline");
  const errors = [];
  const bad = new ChatSocket("bad", { clock, WebSocket: FakeWebSocket, page: {}, report: (error) => errors.push(error) });
  bad.connect();
  assert.equal(bad.status.state, "offline");
  assert.equal(errors.length, 1);
});

test("whatever happens, there is one live connection at most and the state tells the truth", () => {
  const acts = {
    connect: ({ socket }) => socket.connect(),
    disconnect: ({ socket }) => socket.disconnect(),
    retryNow: ({ socket }) => socket.retryNow(),
    open: () => FakeWebSocket.last?.readyState === 0 && FakeWebSocket.last.open(),
    end: () => FakeWebSocket.last?.readyState < 2 && FakeWebSocket.last.end(),
    restart: () => FakeWebSocket.last?.readyState < 2 && FakeWebSocket.last.end(1012),
    refuse: () => FakeWebSocket.last?.readyState < 2 && FakeWebSocket.last.end(4501),
    receive: () => FakeWebSocket.last?.readyState === 1 && FakeWebSocket.last.receive({ type: "pong" }),
    second: ({ clock }) => clock.pass(1000),
    minute: ({ clock }) => clock.pass(60_000),
    online: ({ page }) => page.window.dispatchEvent(new Event("online")),
    offline: ({ page }) => page.window.dispatchEvent(new Event("offline")),
  };
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...Object.keys(acts)), { maxLength: 40 }), (names) => {
      const all = setUp();
      for (const name of names) {
        acts[name](all);
        const alive = FakeWebSocket.all.filter(({ readyState }) => readyState < 2);
        assert.ok(alive.length <= 1);
        const truth = { offline: [0, undefined], retrying: [0, undefined], connecting: [1, 0], connected: [1, 1] };
        assert.deepEqual([alive.length, alive[0]?.readyState], truth[all.socket.status.state]);
        if (all.socket.status.state === "offline") assert.equal(all.clock.pending, 0);
        if (all.socket.status.state === "retrying") assert.ok(all.socket.status.retryAt >= all.clock.now());
      }
    }),
    { numRuns: 500, seed: 20 },
  );
});
