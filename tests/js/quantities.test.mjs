import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Asia/Tokyo";
const { durationInWords, timeInWords, tokensInWords } = await import("../../static/chat/quantities.js");

test("a time is the reader's, with its day where that is not today and its year where that is not this year", () => {
  const date = new Date("2026-03-01T22:05:07Z"); // 2 March, 07:05:07 in Tokyo
  const words = (now, options) => timeInWords(date, new Date(now), options);
  assert.match(words("2026-03-02T10:00:00Z"), /^0?7:05( AM)?$/);
  assert.match(words("2026-03-02T10:00:00Z", { seconds: true }), /^0?7:05:07( AM)?$/);
  assert.match(words("2026-03-02T15:00:00Z"), /(2 Mar|Mar 2)\b.*7:05/); // 3 March in Tokyo
  assert.doesNotMatch(words("2026-03-02T15:00:00Z"), /2026/);
  assert.match(words("2027-03-02T10:00:00Z"), /2026/);
});

test("durations take the unit that they need", () => {
  assert.deepEqual([0.0421, 1.26, 59.9, 61, 3600].map(durationInWords), ["42 ms", "1.3 s", "59.9 s", "1 min 1 s", "60 min 0 s"]);
});

test("tokens are said short for the eye and in full for the ear", () => {
  assert.deepEqual(tokensInWords({ input_tokens: 169, output_tokens: 68 }), {
    short: "169 → 68 tokens",
    long: "169 tokens read, 68 written",
  });
  const { short, long } = tokensInWords({ input_tokens: 1, output_tokens: 68, reasoning_tokens: 30 });
  assert.equal(short, "1 → 68 tokens, 30 of them reasoning");
  assert.equal(long, "1 token read, 68 written, 30 of them reasoning");
  for (const nothing of [undefined, null, {}, { input_tokens: 0, output_tokens: 0 }]) {
    assert.deepEqual(tokensInWords(nothing), { short: "", long: "" });
  }
});
