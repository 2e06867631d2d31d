/**
 * Copies the libraries that the page uses from node_modules to static/vendor, with their licences, and writes README.md and
 * checksums there. Run it by `npm run vendor`, which installs exactly what package-lock.json says first.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const TARGET = new URL("../static/vendor/", import.meta.url);
const LIBRARIES = [
  { name: "marked", module: "lib/marked.esm.js", to: "marked.js", licence: "LICENSE", does: "Markdown to HTML" },
  { name: "dompurify", module: "dist/purify.es.mjs", to: "dompurify.js", licence: "LICENSE", does: "HTML sanitised" },
  // The build for a page without a bundler, as it sets `Chart`: its modules would need an import map.
  { name: "chart.js", module: "dist/chart.umd.min.js", to: "chart.js", licence: "LICENSE.md", does: "plots, on a canvas" },
];

const files = {};
const rows = [];
for (const { name, module, to, licence, does } of LIBRARIES) {
  const from = (path) => readFileSync(new URL(`../node_modules/${name}/${path}`, import.meta.url), "utf8");
  const about = JSON.parse(from("package.json"));
  // The map is not served, and a hashed static file may not name a file that does not exist.
  files[to] = from(module).replace(/\n*\/\/# sourceMappingURL=.*\n*$/, "\n");
  files[to.replace(".js", ".LICENSE.txt")] = from(licence);
  rows.push(`| [${to}](${to}) | ${name} ${about.version}, \`${module}\` | ${about.license} | ${does} |`);
}

const sums = Object.entries(files).map(([name, text]) => `${createHash("sha256").update(text).digest("hex")}  ${name}`);
files.checksums = `${sums.join("\n")}\n`;
files["README.md"] = `# Libraries of others, served as they are

| File | From npm | Licence | Does |
|---|---|---|---|
${rows.join("\n")}

Written by \`npm run vendor\`: the versions are those of \`package-lock.json\`, the only change is that the line which names a
source map is left out. \`checksums\` holds the SHA-256 of each file; \`sha256sum -c checksums\` checks them, and so do the tests.
`;

mkdirSync(TARGET, { recursive: true });
for (const [name, text] of Object.entries(files)) writeFileSync(new URL(name, TARGET), text);
