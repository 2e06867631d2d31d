import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, root), "utf8");
const modules = ["static/chat", "static/transcripts"].flatMap((folder) =>
  readdirSync(new URL(`${folder}/`, root)).filter((name) => name.endsWith(".js")).map((name) => `${folder}/${name}`),
);

test("the vendored libraries are those of the checksums, of package-lock.json and of the README", () => {
  const lines = read("static/vendor/checksums").trim().split("\n");
  const named = lines.map((line) => line.split("  ")[1]);
  for (const line of lines) {
    const [sum, name] = line.split("  ");
    assert.equal(createHash("sha256").update(read(`static/vendor/${name}`)).digest("hex"), sum, name);
  }
  const present = readdirSync(new URL("static/vendor/", root)).filter((name) => !["README.md", "checksums"].includes(name));
  assert.deepEqual(named.sort(), present.sort());
  const { packages } = JSON.parse(read("package-lock.json"));
  for (const name of ["marked", "dompurify"]) {
    assert.match(read("static/vendor/README.md"), new RegExp(`${name} ${packages[`node_modules/${name}`].version.replaceAll(".", "\\.")},`));
  }
});

test("the vendored libraries name no source map and import nothing", () => {
  for (const name of ["marked.js", "dompurify.js"]) assert.doesNotMatch(read(`static/vendor/${name}`), /sourceMappingURL|^import /m);
});

test("package-lock.json names no address to fetch from", () => {
  assert.doesNotMatch(read("package-lock.json"), /"resolved"/);
});

test("every import is one that hashed static files can rewrite", () => {
  for (const name of modules) {
    for (const line of read(name).matchAll(/^(?:import|export) .*?(?:from )?["'].*$/gm)) {
      assert.match(line[0], /^(import|export) .*from "\.\.?\/[\w./-]+\.js";$/, `${name}: ${line[0]}`);
    }
  }
});

test("the state, the socket and the outbox know no page, and the socket imports nothing", () => {
  for (const name of ["state.js", "socket.js", "outbox.js", "resume.js", "stop.js", "blocks.js", "marks.js"]) {
    assert.doesNotMatch(read(`static/chat/${name}`), /document\.(getElementById|createElement|querySelector)/, name);
  }
  assert.doesNotMatch(read("static/chat/socket.js"), /^import /m);
});

test("templates hold no inline script, style or handler", () => {
  const names = readdirSync(new URL("templates/", root), { recursive: true }).filter((name) => name.endsWith(".html"));
  assert.ok(names.includes("chat/session.html"));
  for (const name of names) {
    const html = read(`templates/${name}`);
    assert.doesNotMatch(html, /\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)/i, name);
  }
});

// --- colours -------------------------------------------------------------------------------------------------------------

/** The custom properties of the light and of the dark look. */
function colours() {
  const light = {};
  const dark = {};
  for (const path of ["static/site.css", "static/chat/chat.css"]) {
    const [before, after = ""] = read(path).split("@media (prefers-color-scheme: dark)");
    const block = (text) => /:root \{([^}]*)\}/.exec(text)[1].matchAll(/--([\w-]+): (#[0-9a-f]{6});/g);
    for (const [, name, value] of block(before)) light[name] = value;
    for (const [, name, value] of block(after)) dark[name] = value;
  }
  return { light, dark: { ...light, ...dark } };
}

/** WCAG 2.2: relative luminance and contrast ratio. */
function contrast(one, other) {
  const luminance = (colour) =>
    [1, 3, 5]
      .map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

test("the admin's pages have the same colours, in either look", () => {
  const { light, dark } = colours();
  const own = [...read("static/transcripts/transcripts.css").matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g)];
  assert.ok(own.length > 20);
  for (const [, name, ...both] of own) assert.deepEqual(both, [light[name], dark[name]], name);
});

const STEPS = ["thought", "tool_use", "tool_result", "final_answer", "error"];

test("the cards have the colours of the design", () => {
  const { light } = colours();
  assert.deepEqual(STEPS.map((name) => light[name]), ["#e3f2fd", "#fff3e0", "#f3e5f5", "#e8f5e9", "#ffebee"]);
});

for (const look of ["light", "dark"]) {
  test(`text stands out at 4.5:1 or more, ${look}`, () => {
    const all = colours()[look];
    const pairs = [
      ...STEPS.flatMap((card) => [["step-text", card], ["step-muted", card], ["step-link", card], [`${card}-edge`, card]]),
      ...STEPS.map((card) => ["error-edge", card]),
      ["tool_use-edge", "tool_result"],
      ...["text", "muted", "link"].flatMap((text) => [[text, "ground"], [text, "surface"], [text, "raised"]]),
      ["bad", "surface"], ["bad", "ground"], ["bad", "raised"], ["good", "raised"], ["on-accent", "accent"],
    ];
    for (const [text, ground] of pairs) {
      assert.ok(contrast(all[text], all[ground]) >= 4.5, `${text} on ${ground}: ${contrast(all[text], all[ground]).toFixed(2)}`);
    }
  });
}
