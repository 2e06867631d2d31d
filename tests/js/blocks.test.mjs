import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { Blocks } from "../../static/chat/blocks.js";

function cut(text, sizes = [text.length]) {
  const blocks = new Blocks();
  const done = [];
  let seen = 0;
  for (let at = 0; seen < text.length; at += 1) {
    seen = Math.min(text.length, seen + sizes[at % sizes.length]);
    done.push(...blocks.advance(text.slice(0, seen)));
  }
  return [...done, text.slice(blocks.open)];
}

test("paragraphs and headings are blocks of their own", () => {
  assert.deepEqual(cut("# Title\n\nOne\ntwo\n\nThree\n\nrest"), ["# Title\n\n", "One\ntwo\n\n", "Three\n\nrest"]);
});

test("fenced code is not cut, nor what is indented under a list", () => {
  const code = "```py\nx = 1\n\ny = 2\n~~~\n\nz\n```\n\n";
  assert.deepEqual(cut(`${code}After\n\nEnd\n`), [code, "After\n\n", "End\n"]);
  const list = "- one\n\n  more\n\n      code\n\n";
  assert.deepEqual(cut(`${list}After\n`), [list, "After\n"]);
});

test("a fence ends only with as many of the same marks", () => {
  const code = "````\n```\n\nstill\n\n`````\n\n";
  assert.deepEqual(cut(`${code}After\n`), [code, "After\n"]);
  assert.deepEqual(cut("``` not ` a fence\n\nAfter\n"), ["``` not ` a fence\n\n", "After\n"]);
});

test("the blocks are the text, and do not depend on the pieces in which it comes", () => {
  const line = fc.constantFrom("", "", "text", "- item", "  indented", "```", "~~~js", "# head", "> quote", "```` a");
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (lines, sizes) => {
      const text = lines.join("\n");
      assert.equal(cut(text, sizes).join(""), text);
      assert.deepEqual(cut(text, sizes), cut(text, [1]));
    }),
    { numRuns: 300, seed: 20 },
  );
});
