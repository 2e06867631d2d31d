import assert from "node:assert/strict";
import { test } from "node:test";

import { freshness, moved, news, sameActions } from "../../static/operations/tables.js";

test("rows that stay are kept, and stand in the new order", () => {
  assert.deepEqual(moved(["a", "b", "c"], ["c", "d", "a"]), { remove: ["b"], order: ["c", "d", "a"] });
});

test("buttons are made anew only where they are others", () => {
  assert.equal(sameActions(["stop"], ["stop"]), true);
  assert.equal(sameActions(["stop"], ["stop", "take-over"]), false);
  assert.equal(sameActions(["stop"], ["retry"]), false);
});

test("only what has changed is told", () => {
  const before = new Map([["totals", "1 waiting"], ["jobs", ""]]);
  assert.deepEqual(news(before, [{ name: "totals", told: "1 waiting" }, { name: "jobs", told: "" }]), []);
  assert.deepEqual(news(before, [{ name: "totals", told: "2 waiting" }]), ["2 waiting"]);
});

test("the page says how old it is, and why", () => {
  const now = 100_000;
  assert.equal(freshness({ paused: false, failed: false, at: null, now }), "As it was when the page was loaded.");
  assert.equal(freshness({ paused: false, failed: false, at: now - 900, now }), "As it is now.");
  assert.equal(freshness({ paused: false, failed: true, at: now - 9_000, now }), "The site does not answer; trying again. As it was 9 s ago.");
  assert.equal(freshness({ paused: true, failed: false, at: now - 9_000, now }), "Paused. As it was 9 s ago.");
});
