/* The outbox, alone and shared by tabs; one file, because all of it is tried on the same storage and clock. */

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { Outbox, chatFrame, clean, newClientId } from "../../static/chat/outbox.js";
import { timeInWords } from "../../static/chat/quantities.js";
import { inWords } from "../../static/chat/unsent.js";
import { FakeClock } from "./clock.mjs";
import { shared } from "./server.mjs";

const MAX = 64 * 1024;

class FakeStorage {
  #items = new Map();
  full = false;
  events = []; // as other tabs get them
  get length() {
    return this.#items.size;
  }
  key(at) {
    return [...this.#items.keys()][at] ?? null;
  }
  getItem(key) {
    return this.#items.get(key) ?? null;
  }
  setItem(key, value) {
    if (this.full) throw new DOMException("full", "QuotaExceededError");
    this.events.push({ key, oldValue: this.getItem(key), newValue: value });
    this.#items.set(key, value);
  }
  removeItem(key) {
    this.events.push({ key, oldValue: this.getItem(key), newValue: null });
    this.#items.delete(key);
  }
}

/** The other tabs get to know what was written, later than it was. */
function tell({ storage }, ...others) {
  for (const event of storage.events.splice(0)) for (const { outbox } of others) outbox.changedElsewhere(event);
}

/** One page: its outbox on a storage and a clock that other pages may share. */
function tab({ storage = new FakeStorage(), clock = new FakeClock(), key = "1.s" } = {}) {
  const sent = [];
  const link = { up: true };
  const outbox = new Outbox({ storage, clock, key, maxBytes: MAX, send: (frame) => link.up && sent.push(frame) > 0 });
  return { storage, clock, sent, link, outbox };
}

/** The `data` of a refusal that both suites share, for a message. */
const refusal = (code, client_id) => ({ ...shared.refusals[code].data, client_id });
const named = ({ code, message }) => ({ code, error: message });
const sentence = ({ state, error, when }) => [state, error, when].filter(Boolean).join(" ");
const words = ({ outbox, clock }) => outbox.entries.map((entry) => sentence(inWords(entry, clock.now())));
const say = (message) => ({ message, agent_name: "researcher", enable_reasoning: true });
const states = ({ outbox }) => outbox.entries.map(({ message, state }) => [message, state]);

test("what is typed while offline waits, and goes out once when the connection is up", () => {
  const page = tab();
  page.outbox.add(say("Hello"));
  assert.deepEqual(states(page), [["Hello", "waiting"]]);
  assert.deepEqual(page.sent, []);
  page.outbox.opened();
  assert.deepEqual(states(page), [["Hello", "sent"]]);
  const [frame] = page.sent;
  assert.deepEqual(frame, { type: "chat", payload: say("Hello"), client_id: frame.client_id });
  page.outbox.confirm(frame.client_id);
  page.outbox.confirm(frame.client_id);
  assert.deepEqual(states(page), []);
  assert.equal(page.storage.length, 0);
  page.clock.pass(1e6);
  assert.equal(page.sent.length, 1);
});

test("it outlives a reload, with the same client_id", () => {
  const first = tab();
  first.outbox.add(say("Hello"));
  first.outbox.opened();
  const second = tab({ storage: first.storage, clock: first.clock });
  assert.deepEqual(states(second), [["Hello", "waiting"]]);
  second.outbox.opened();
  assert.deepEqual(second.sent, first.sent);
});

test("another user's or another session's entries are not seen", () => {
  const { storage, outbox } = tab({ key: "1.s" });
  outbox.add(say("Mine"));
  for (const key of ["2.s", "1.t", "1.s2", "11.s"]) assert.deepEqual(tab({ storage, key }).outbox.entries, []);
});

test("messages go out one after the other, in the order of typing", () => {
  const page = tab();
  for (const word of ["one", "two", "three"]) page.outbox.add(say(word));
  page.outbox.opened();
  const words = () => page.sent.map(({ payload }) => payload.message);
  assert.deepEqual(words(), ["one"]);
  page.outbox.confirm(page.sent[0].client_id);
  assert.deepEqual(words(), ["one", "two"]);
  page.outbox.confirm(page.sent[1].client_id);
  assert.deepEqual(words(), ["one", "two", "three"]);
});

test("what was sent and not confirmed is sent again on the next connection, and after a while on this one", () => {
  const page = tab();
  page.outbox.opened();
  page.outbox.add(say("Hello"));
  page.outbox.closed();
  assert.deepEqual(states(page), [["Hello", "waiting"]]);
  page.outbox.opened();
  assert.equal(page.sent.length, 2);
  page.clock.pass(9_999);
  assert.equal(page.sent.length, 2);
  page.clock.pass(1);
  assert.equal(page.sent.length, 3);
  assert.equal(new Set(page.sent.map(({ client_id }) => client_id)).size, 1);
});

test("a refused message is kept as failed, with the reason, until it is retried or discarded; others go on", () => {
  const page = tab();
  page.outbox.opened();
  page.outbox.add(say("Bad"));
  page.outbox.add(say("Good"));
  const [{ client_id }] = page.sent;
  page.outbox.refuse(refusal("unknown_agent", client_id));
  assert.deepEqual(states(page), [["Bad", "failed"], ["Good", "sent"]]);
  assert.equal(page.outbox.entries[0].error, "There is no such agent.");
  page.outbox.confirm(page.sent[1].client_id);
  assert.deepEqual(states(tab(page)), [["Bad", "failed"]], "a reload does not forget it");
  page.outbox.retry(client_id);
  assert.deepEqual(states(page), [["Bad", "sent"]]);
  assert.equal(page.sent.at(-1).client_id, client_id);
  page.outbox.refuse(refusal("unknown_agent", client_id));
  page.outbox.discard(client_id);
  assert.deepEqual(states(page), []);
  assert.equal(page.storage.length, 0);
});

test("a refusal that passes by itself is no failure: the message waits for as long as it says and tries again", () => {
  const page = tab();
  page.outbox.opened();
  page.outbox.add(say("Patient"));
  page.outbox.refuse(refusal("limit_reached", page.sent[0].client_id));
  assert.deepEqual(states(page), [["Patient", "waiting"]]);
  const [{ error, code, retry_at }] = page.outbox.entries;
  assert.deepEqual({ error, code }, { error: "You may send 30 messages a minute. Try again in 12 seconds.", code: "limit_reached" });
  assert.equal(retry_at, page.clock.now() + 12_000);
  page.clock.pass(11_999);
  assert.equal(page.sent.length, 1);
  page.clock.pass(1);
  assert.equal(page.sent.length, 2);
  assert.deepEqual(page.outbox.entries.map(({ state, error, code }) => [state, error, code]), [["sent", "", ""]]);
});

test("neither reconnections nor reloads nor what is typed meanwhile cut such a wait short; discarding ends it", () => {
  let page = tab();
  page.outbox.opened();
  page.outbox.add(say("Patient"));
  page.outbox.refuse(refusal("limit_reached", page.sent[0].client_id));
  for (let second = 0; second < 11; second += 1) {
    page.clock.pass(1_000);
    page.outbox.closed();
    if (second % 2) page = tab(page);
    page.outbox.opened();
    page.outbox.add(say(`Behind ${second}`));
  }
  assert.equal(page.sent.length, 0, "the page after the reload has sent nothing yet");
  page.outbox.discard(page.outbox.entries[0].client_id);
  assert.deepEqual(page.sent.map(({ payload }) => payload.message), ["Behind 0"]);
});

test("what the database did not take is sent again until it does, and says so all the while", () => {
  const page = tab();
  page.outbox.opened();
  const { client_id } = page.outbox.add(say("Keep me"));
  for (let tries = 1; tries <= 3; tries += 1) {
    assert.equal(page.sent.length, tries);
    page.outbox.refuse(refusal("not_saved", client_id));
    assert.deepEqual(words(page), ["Not saved yet, retrying in 2 s"]);
    page.clock.pass(1_000);
    assert.deepEqual(words(page), ["Not saved yet, retrying in 1 s"]);
    page.clock.pass(1_000);
    assert.deepEqual(words(page), ["Not saved yet, retrying now"]);
  }
  page.outbox.confirm(client_id);
  assert.deepEqual(words(page), []);
  assert.equal(page.sent.length, 4);
});

test("each state of an entry has its words", () => {
  const now = new Date(2026, 10, 24, 14, 0, 0).getTime();
  const entry = (more) => ({ state: "waiting", error: "", code: "", retry_at: 0, ...more });
  const limit = (seconds) => entry({ ...named(shared.refusals.limit_reached.data), retry_at: now + seconds * 1000 });
  const told = [
    [entry(), "Waiting to be sent"],
    [entry({ state: "sent" }), "Sent, not confirmed yet"],
    [entry({ state: "taken" }), "Sent from another tab"],
    [entry({ state: "failed", ...named(shared.refusals.unknown_agent.data) }), "Not sent: There is no such agent."],
    [limit(12), "Not taken yet: You may send 30 messages a minute. Sent again in 12 s"],
    [limit(0.2), "Not taken yet: You may send 30 messages a minute. Sent again in 1 s"],
    [limit(-1), "Not taken yet: You may send 30 messages a minute."],
    [limit(3_600), `Not taken yet: You may send 30 messages a minute. Sent again at ${timeInWords(new Date(now + 3_600_000), new Date(now), { seconds: true })}`],
  ];
  for (const [one, expected] of told) assert.equal(sentence(inWords(one, now)), expected);
});

test("two tabs share it: one sends, both see it leave", () => {
  const one = tab();
  const two = tab(one);
  one.outbox.opened();
  two.outbox.opened();
  const { client_id } = one.outbox.add(say("Hello"));
  tell(one, two);
  assert.deepEqual(states(two), [["Hello", "sent"]]);
  assert.equal(two.sent.length, 0);
  two.outbox.confirm(client_id);
  tell(two, one);
  assert.deepEqual([states(one), states(two)], [[["Hello", "taken"]], []], "it has arrived, and is not here yet");
  one.outbox.confirm(client_id);
  tell(one, two);
  assert.deepEqual([states(one), states(two)], [[], []]);
  one.clock.pass(1e6);
  assert.equal(one.sent.length + two.sent.length, 1);
});

test("a tab that is connected sends what another one, offline, has typed", () => {
  const offline = tab();
  const online = tab(offline);
  online.outbox.opened();
  offline.outbox.add(say("Take this"));
  tell(offline, online);
  assert.equal(online.sent.length, 1);
});

for (const slow of [false, true]) {
  test(`what another tab has sent stays here as taken until its message comes, events ${slow ? "late" : "at once"}`, () => {
    const offline = tab();
    const online = tab(offline);
    online.outbox.opened();
    const { client_id } = offline.outbox.add(say("Take this"));
    tell(offline, online);
    if (!slow) tell(online, offline);
    online.outbox.confirm(client_id);
    tell(online, offline);
    assert.deepEqual(states(offline), [["Take this", "taken"]]);
    offline.outbox.add(say("And this"));
    offline.outbox.opened();
    assert.deepEqual(offline.sent.map(({ payload }) => payload.message), ["And this"], "it is not sent once more");
    offline.outbox.confirm(client_id);
    assert.deepEqual(states(offline), [["And this", "sent"]]);
    assert.deepEqual(states(tab(offline)).map(([message]) => message), ["And this"], "nothing is left of it");
  });
}

test("what another tab has discarded is gone here", () => {
  const here = tab();
  const there = tab(here);
  const { client_id } = here.outbox.add(say("Hello"));
  tell(here, there);
  there.outbox.discard(client_id);
  tell(there, here);
  assert.deepEqual(states(here), []);
});

test("a message that came before the other tab's writing about it is no news", () => {
  const here = tab();
  const there = tab(here);
  here.outbox.opened();
  there.outbox.opened();
  const { client_id } = there.outbox.add(say("Hello"));
  here.outbox.confirm(client_id);
  there.outbox.confirm(client_id);
  tell(there, here);
  assert.deepEqual(states(here), []);
});

test("a tab that is opened while another one has an entry confirmed does not take it up", () => {
  const here = tab();
  here.outbox.opened();
  const { client_id } = here.outbox.add(say("Hello"));
  const key = `glassbox.outbox.1.s.${client_id}`;
  here.storage.setItem(key, JSON.stringify({ ...here.outbox.entries[0], state: "taken" }));
  assert.deepEqual(states(tab(here)), []);
  assert.equal(here.storage.length, 0);
});

test("a storage that is emptied takes the entries along", () => {
  const page = tab();
  page.outbox.add(say("Hello"));
  page.storage.removeItem(page.storage.key(0));
  page.outbox.changedElsewhere({ key: null });
  assert.deepEqual(states(page), []);
});

test("what another tab has sent and never got confirmed is sent by this one after a while", () => {
  const gone = tab();
  const here = tab(gone);
  here.outbox.opened();
  gone.outbox.opened();
  gone.outbox.add(say("Hello"));
  tell(gone, here);
  here.clock.pass(9_999);
  assert.equal(here.sent.length, 0);
  here.clock.pass(1);
  assert.equal(here.sent.length, 1);
});

test("a storage that is full, forbidden or broken costs the reload, not the message", () => {
  const page = tab();
  page.storage.full = true;
  page.outbox.opened();
  page.outbox.add(say("Hello"));
  assert.equal(page.sent.length, 1);
  const bare = new Outbox({ storage: null, clock: page.clock, key: "x", maxBytes: MAX, send: () => true });
  bare.add(say("Hello"));
  assert.equal(bare.entries.length, 1);
  const broken = new FakeStorage();
  broken.setItem("glassbox.outbox.1.s.a", "{");
  broken.setItem("glassbox.outbox.1.s.b", '{"client_id":"other"}');
  broken.setItem("glassbox.outbox.1.s.c", "null");
  assert.deepEqual(tab({ storage: broken }).outbox.entries, []);
});

test("NUL and lone surrogates are taken out; pairs stay", () => {
  assert.equal(clean("a\0b\ud800c\udc00d🎉"), "abcd🎉");
  const page = tab();
  page.outbox.opened();
  page.outbox.add(say("x\0\ud83d"));
  assert.equal(page.sent[0].payload.message, "x");
});

test("an empty message and one too large for a frame are refused with a sentence", () => {
  const { outbox } = tab();
  for (const empty of ["", "  \n\t", "\u00a0\u2003", "\u0085", "\0"]) assert.match(outbox.problem(say(empty)), /nothing to send/);
  assert.equal(outbox.problem(say("x")), "");
  const room = MAX - new TextEncoder().encode(JSON.stringify(chatFrame({ ...say(""), client_id: newClientId() }))).length;
  assert.equal(outbox.problem(say("x".repeat(room))), "");
  assert.match(outbox.problem(say("x".repeat(room + 1))), /too long: it takes 64\.0 KiB/);
  assert.match(outbox.problem(say("é".repeat(room / 2 + 1))), /too long/);
  assert.match(outbox.problem(say('"'.repeat(room / 2 + 1))), /too long/);
});

test("client_ids are as the wire takes them, also where there is no crypto.randomUUID", () => {
  assert.match(newClientId(), /^[0-9a-f]{32}$/);
  assert.notEqual(newClientId(), newClientId());
  assert.equal(newClientId((bytes) => bytes.fill(7)), "07".repeat(16));
});

test("what the page sends has the form of the frames that both suites share", () => {
  const frame = chatFrame({ ...say("Hello"), client_id: newClientId() });
  const twin = shared.commands.accepted.find(({ type, client_id }) => type === "chat" && client_id);
  assert.deepEqual(Object.keys(frame).sort(), Object.keys(twin).sort());
  assert.deepEqual(Object.keys(frame.payload).sort(), Object.keys(twin.payload).sort());
});

test("whatever connections, reloads and confirmations do, each message is taken once and none is lost", () => {
  const acts = ["add", "open", "close", "reload", "deliver", "lose", "wait"];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...acts), { maxLength: 60 }), (names) => {
      let page = tab();
      const typed = [];
      const taken = []; // the server: each client_id once
      const take = ({ client_id, payload }) => {
        if (!taken.some((known) => known.client_id === client_id)) taken.push({ client_id, message: payload.message });
        page.outbox.confirm(client_id);
      };
      const act = {
        add: () => typed.push(page.outbox.add(say(`message ${typed.length}`)).message),
        open: () => page.outbox.opened(),
        close: () => page.outbox.closed(),
        reload: () => (page = tab(page)),
        deliver: () => page.sent.splice(0).forEach(take),
        lose: () => page.sent.splice(0),
        wait: () => page.clock.pass(11_000),
      };
      for (const name of names) act[name]();
      page.outbox.closed();
      page.outbox.opened();
      while (page.sent.length) act.deliver();
      assert.deepEqual(taken.map(({ message }) => message), typed);
      assert.deepEqual(page.outbox.entries, []);
    }),
    { numRuns: 300, seed: 20 },
  );
});
