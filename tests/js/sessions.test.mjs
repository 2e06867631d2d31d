import assert from "node:assert/strict";
import { test } from "node:test";

import { JSDOM } from "jsdom";

process.env.TZ = "Asia/Tokyo";
const ITEM = `<li><a><span data-slot="title"></span> <span><time data-slot="time"></time> <span data-slot="agent"></span></span></a></li>`;
const listed = (id, moment) =>
  `<li><a data-session="${id}"><span data-slot="title">Same</span>
   <span><time data-slot="time" datetime="${moment}">UTC</time> <span data-slot="agent">Writer</span></span></a></li>`;
const { window } = new JSDOM(
  `<details id="sessions-fold" open></details><ul id="session-list"></ul><template id="session-item">${ITEM}</template>
   <h1 id="session-heading">Session New session</h1>`,
  { url: "https://glassbox.example/s/mine/" },
);
Object.assign(globalThis, {
  window,
  document: window.document,
  location: window.location,
  matchMedia: () => ({ matches: false }),
});
const { SessionList } = await import("../../static/chat/sessions.js");

const AGENTS = { writer: "Writer", analyst: "Analyst" };
const list = window.document.getElementById("session-list");
const fill = (html) => list.replaceChildren(JSDOM.fragment(html));
const lines = () => [...list.querySelectorAll("a")].map((link) => link.textContent.replace(/\s+/g, " ").trim());

test("times that the server wrote are those of the reader", () => {
  fill(listed("other", "2020-03-01T22:05:00+00:00"));
  new SessionList("mine", AGENTS);
  assert.match(lines()[0], /^Same (2 Mar|Mar 2),? 2020.* 0?7:05( AM)? Writer$/);
});

test("a new session enters the list with its first message, its time and its agent, and no second time", () => {
  fill(listed("other", "2020-03-01T22:05:00+00:00"));
  const sessions = new SessionList("mine", AGENTS);
  const timestamp = Date.parse("2021-03-01T22:05:00Z") / 1000;
  sessions.said({ content: " Same\n  question ", agent: "analyst", timestamp });
  sessions.said({ content: "And another", agent: "writer", timestamp: timestamp - 1 });
  assert.equal(lines().length, 2);
  assert.match(lines()[0], /^Same question (2 Mar|Mar 2),? 2021.* 0?7:05( AM)? Analyst$/);
  const link = list.querySelector("a");
  assert.equal(link.dataset.session, "mine");
  assert.equal(link.getAttribute("aria-current"), "page");
  assert.match(window.document.title, /^Same question/);
  assert.equal(window.document.querySelector("h1").textContent, "Session Same question");
});

test("a session in which something is said goes to the top, with the time and the agent; history moves nothing", () => {
  fill(listed("other", "2020-03-01T22:05:00+00:00") + listed("mine", "2020-03-01T20:05:00+00:00"));
  const sessions = new SessionList("mine", AGENTS);
  sessions.said({ content: "Old", agent: "analyst", timestamp: Date.parse("2020-03-01T20:04:00Z") / 1000 });
  assert.deepEqual([...list.querySelectorAll("a")].map(({ dataset }) => dataset.session), ["other", "mine"]);
  sessions.said({ content: "New", agent: "analyst", timestamp: Date.parse("2020-03-01T23:00:00Z") / 1000 });
  assert.deepEqual([...list.querySelectorAll("a")].map(({ dataset }) => dataset.session), ["mine", "other"]);
  assert.match(lines()[0], /^Same .*8:00( AM)? Analyst$/);
});
