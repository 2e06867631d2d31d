import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><body></body>", { url: "https://glassbox.example/s/x/" });
globalThis.window = window;
const document = (globalThis.document = window.document);
const { renderMarkdown } = await import("../../static/chat/markdown.js");

const corpus = JSON.parse(readFileSync(new URL("../xss.json", import.meta.url)));
const TAGS = new Set("A P BR HR EM STRONG DEL CODE PRE BLOCKQUOTE UL OL LI H1 H2 H3 H4 H5 H6 TABLE THEAD TBODY TR TH TD DIV".split(" "));
const ATTRIBUTES = new Set(["href", "target", "rel", "start", "align"]);

function render(text) {
  const place = document.createElement("div");
  place.append(renderMarkdown(text));
  return place;
}

/** Everything that must hold for whatever an agent or an attacker writes. */
function assertHarmless(place, text) {
  for (const element of place.querySelectorAll("*")) {
    assert.ok(TAGS.has(element.nodeName), `${element.nodeName} from ${text}`);
    for (const { name } of element.attributes) assert.ok(ATTRIBUTES.has(name), `${name} from ${text}`);
    if (element.hasAttribute("href")) {
      assert.match(element.protocol, /^(https?|mailto):$/, `${element.href} from ${text}`);
      assert.equal(element.getAttribute("rel"), "noopener noreferrer nofollow");
      assert.equal(element.getAttribute("target"), "_blank");
    }
  }
}

test("the corpus is worth its name", () => {
  assert.ok(corpus.length >= 60);
  assert.equal(new Set(corpus.map(({ text }) => text)).size, corpus.length);
});

for (const { name, text } of corpus) {
  test(`harmless: ${name}`, () => {
    assertHarmless(render(text), text);
    // As it streams: cut anywhere, and as a part of something larger.
    for (let at = 1; at < Math.min(text.length, 200); at += 3) assertHarmless(render(text.slice(0, at)), text.slice(0, at));
    for (const around of [`- ${text}`, `> ${text}`, `| a |\n|---|\n| ${text} |`, `**${text}**`, `[${text}](https://example.org)`]) {
      assertHarmless(render(around), around);
    }
  });
}

test("harmless also when put through HTML once more", () => {
  for (const { text } of corpus) {
    const place = render(text);
    const again = document.createElement("div");
    again.innerHTML = place.innerHTML; // eslint-disable-line no-restricted-properties -- mutation XSS needs this very step
    assertHarmless(again, text);
  }
});

test("Markdown is rendered", () => {
  const html = (text) => render(text).innerHTML.trim(); // eslint-disable-line no-restricted-properties -- read only
  assert.equal(html("**a** *b* ~~c~~ `d`"), "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d</code></p>");
  assert.equal(html("# T\n\n1. x\n2. y").replaceAll("\n", ""), "<h1>T</h1><ol><li>x</li><li>y</li></ol>");
  assert.equal(html("3. x").replaceAll("\n", ""), '<ol start="3"><li>x</li></ol>');
  assert.match(html("| a | b |\n|--:|---|\n| 1 | 2 |"), /<td align="right">1<\/td>/);
  assert.equal(html("```js\nlet a = 1 < 2;\n```").trim(), "<pre><code>let a = 1 &lt; 2;\n</code></pre>");
  assert.equal(html("- [x] done\n- [ ] open").replaceAll("\n", ""), "<ul><li>☑ done</li><li>☐ open</li></ul>");
});

test("HTML is shown as it was written", () => {
  for (const text of ["<b>bold</b>", "a <br> b", "<div>\nx\n</div>", "<!-- note -->", "<script>alert(1)</script>", "<svg/onload=alert(1)>"]) {
    assert.equal(render(text).textContent.trim(), text);
  }
});

test("an image becomes a link to it, or its words, and is never loaded", () => {
  const place = render("![a cat](https://example.org/cat.png)");
  assert.equal(place.querySelector("img"), null);
  assert.equal(place.querySelector("a").href, "https://example.org/cat.png");
  assert.equal(place.textContent.trim(), "🖼 a cat");
  assert.equal(render("![a cat](data:image/png;base64,AAAA)").querySelector("a"), null);
});

test("links lead to http, https and mailto alone", () => {
  const target = (text) => render(text).querySelector("a")?.getAttribute("href") ?? null;
  assert.equal(target("[x](https://example.org/?a=1&b=2)"), "https://example.org/?a=1&b=2");
  assert.equal(target("https://example.org"), "https://example.org");
  assert.equal(target("[x](mailto:ada@example.org)"), "mailto:ada@example.org");
  for (const bad of ["ftp://example.org", "tel:1", "/s/other/", "//example.org", "#x", "x.html", "blob:https://x", "file:///etc/passwd"]) {
    assert.equal(target(`[x](${bad})`), null, bad);
  }
});

test("what cannot be read as Markdown in reasonable time comes as plain text", () => {
  const long = "*a ".repeat(40_000);
  assert.equal(render(long).textContent, long);
  const deep = ">".repeat(20_000);
  assert.ok(render(deep).textContent !== undefined);
  assertHarmless(render(deep), "deep");
});

for (const [name, piece] of [
  ["open brackets", "["],
  ["open brackets, spaced", "[ "],
  ["open emphasis", "*a **b "],
  ["emphasis without end", "**a "],
  ["backticks", "`a "],
  ["open links", "[a]( "],
  ["open images", "![ "],
  ["angle brackets", "<a "],
  ["comments", "<!-- "],
  ["quotes", "> "],
  ["lists", "1. "],
  ["quotes and lists", "> - "],
  ["underscores", "_"],
  ["dots, as in an address", "a."],
  ["words joined by underscores", "a_"],
  ["long words, as in addresses", `${"a.".repeat(900)} `],
  ["tildes", "~~a "],
  ["entities", "&a "],
  ["lines", "a\n"],
]) {
  test(`hostile repetition does not hang the page: ${name}`, () => {
    const text = piece.repeat(59_000 / piece.length);
    const before = process.cpuUsage();
    assertHarmless(render(text), name);
    const { user } = process.cpuUsage(before);
    assert.ok(user < 8_000_000, `${user / 1000} ms`);
  });
}

test("a long word in fenced code spoils nothing", () => {
  const word = "a.".repeat(3_000);
  assert.equal(render(`**x**\n\n\`\`\`\n${word}\n\`\`\`\n`).querySelector("strong").textContent, "x");
  assert.equal(render(`**x** ${word}`).querySelector("strong"), null);
});
