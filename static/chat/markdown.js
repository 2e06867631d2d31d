/**
 * Markdown as an agent writes it, to elements that are safe to show.
 *
 * HTML in the text is text. What `marked` makes of the rest is sanitised last, by a list of what may stay: no image, no
 * style, class or id, nothing that loads anything; links lead to http, https and mailto alone, in a new tab.
 */

import DOMPurify from "../vendor/dompurify.js";
import { Marked } from "../vendor/marked.js";

/** Longer texts and longer words are shown as plain text: reading Markdown takes more than linear time for some. */
const MAX_MARKDOWN = 60_000;
const MAX_WORD = 2_000;
const LINK = /^(?:https?:\/\/|mailto:)/i;

const TAGS =
  "a p br hr em strong del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td #text".split(" ");

const escape = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

const marked = new Marked({
  gfm: true,
  async: false,
  tokenizer: {
    html: () => undefined,
    tag: () => undefined,
  },
  renderer: {
    // An image would tell its server who reads, and when: a link in its place loads nothing until it is followed.
    image({ href, text }) {
      const words = escape(`🖼 ${text || "image"}`);
      return LINK.test(href) ? `<a href="${escape(href)}">${words}</a>` : words;
    },
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A" || !node.hasAttribute("href")) return;
  // The browser's own reading of the address has the last word, not a pattern's.
  if (!["http:", "https:", "mailto:"].includes(node.protocol)) {
    node.removeAttribute("href");
    return;
  }
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/** A fragment to put into the page. Never throws: what cannot be read as Markdown comes as plain text. */
export function renderMarkdown(text) {
  if (text.length > MAX_MARKDOWN || hasLongWord(text)) return plain(text);
  try {
    return DOMPurify.sanitize(marked.parse(text), {
      ALLOWED_TAGS: TAGS,
      ALLOWED_ATTR: ["href", "start", "align"],
      ALLOWED_URI_REGEXP: LINK,
      ADD_URI_SAFE_ATTR: ["start", "align"],
      ALLOW_ARIA_ATTR: false,
      ALLOW_DATA_ATTR: false,
      RETURN_DOM_FRAGMENT: true,
    });
  } catch {
    return plain(text); // nested deeper than the stack, for one
  }
}

/** Outside of fenced code, in which nothing is looked for. */
function hasLongWord(text) {
  const prose = text.length > MAX_WORD ? text.replace(/^(```|~~~)[^]*?^\1/gm, "") : "";
  return prose.split(/\s/).some((word) => word.length > MAX_WORD);
}

function plain(text) {
  const block = document.createElement("pre");
  block.textContent = text;
  const fragment = document.createDocumentFragment();
  fragment.append(block);
  return fragment;
}
