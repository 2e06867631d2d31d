"""Hostile texts, and traps that are laid in a page before its first script: they note, in `caught`, whatever of such a text became
more than text, however briefly.

Pure: for the tests' process and for the site's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CORPUS: list[str] = [
    vector["text"] for vector in json.loads((Path(__file__).parents[1] / "xss.json").read_text(encoding="utf-8"))
]

# What stands before a vector where room is short: it leaves an attribute, and is an element where nothing is escaped.
PROBE = "\"'><u h{}>"
PROBED = r"<u h(\d+)>"
# For addresses and forms; no row has this one's number.
HOSTILE = f"{PROBE.format(0)} {CORPUS[4]}"

_LAID = """
  globalThis.caught = [];
  const note = (what) => globalThis.caught.push(what);
  for (const name of ["pwned", "__xss"]) Object.defineProperty(window, name, { set: () => note(`ran: ${name}`) });
  for (const name of ["alert", "confirm", "prompt", "open"]) window[name] = () => note(`called: ${name}`);
  addEventListener("securitypolicyviolation", (event) => note(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
  const watch = (look) => new MutationObserver((records) => {
    for (const { target, type, addedNodes } of records) {
      if (type === "attributes") look(target);
      for (const node of addedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        look(node);
        node.querySelectorAll("*").forEach(look);
      }
    }
  }).observe(document, { subtree: true, childList: true, attributes: true });
"""

# For pages that their scripts make: nothing that such a page makes while it runs has these; its own markup came before.
TRAP = (
    "() => {"
    + _LAID
    + """
  const bad = new Set(("script style link meta base img image picture source svg math iframe frame object embed video audio"
    + " track form input textarea select marquee template noscript xmp").split(" "));
  const own = new WeakSet(); // what the server wrote
  const look = (element) => {
    if (own.has(element)) return;
    const isTimeline = element.closest("#timeline-runs") !== null; // drawn by the admin's page, of its own shapes
    const isComment = element.matches(".comment-form, .comment-form > label > textarea"); // the page's own, of a template
    if (bad.has(element.localName) && !isTimeline && !isComment) note(`element: ${element.outerHTML.slice(0, 200)}`);
    for (const { name, value } of element.attributes) {
      if (/^on|^style$|^srcdoc$|^formaction$|^action$/i.test(name)) note(`attribute: ${name}=${value}`);
    }
    if (isTimeline || element.localName !== "a" || !element.hasAttribute("href")) return;
    if (!["http:", "https:", "mailto:"].includes(element.protocol)) note(`link: ${element.href}`);
    const pages = element.closest("#session-list, #notices, #timeline-table, .beside-links, .step-link");
    if (!pages && !element.relList.contains("noopener")) note(`link without noopener: ${element.outerHTML}`);
    if (!pages && element.origin === location.origin) note(`link into the site: ${element.outerHTML}`);
  };
  addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("*").forEach((element) => own.add(element));
    watch(look);
  });
}"""
)

# An element as its name and attributes, empty without attributes: what tells the elements of a vector from the page's own.
_SIGNATURE = """
  const { get } = Object.getOwnPropertyDescriptor(Element.prototype, "attributes");
  // Not `element.attributes`: a field of that name in a form takes its place.
  globalThis.attributesOf = (element) => [...get.call(element)].map(({ name, value }) => ({ name, value }));
  globalThis.signatureOf = (element) => {
    const attributes = globalThis.attributesOf(element).map(({ name, value }) => `${name}=${value}`);
    return attributes.length === 0 ? "" : JSON.stringify([element.localName, ...attributes.sort()]);
  };
"""

# For pages whose markup is the server's: what must never be in it, wherever it came from, and what a vector would be as markup.
_SERVED = (
    "({ signatures, corpus, probed }) => {"
    + _SIGNATURE
    + _LAID
    + """
  const never = new Set(("base math iframe frame object embed video audio picture source track marquee xmp animate"
    + " foreignObject").split(" "));
  const addresses = new Set("href src action formaction data poster xlink:href background ping srcset".split(" "));
  const forbidden = new Set(signatures);
  const isAnswer = (element) => element.localName === "a" && element.relList.contains("noopener")
    && element.closest(".step [data-slot=body], .step-body, .printed") !== null;
  const look = (element) => {
    const say = (what) => note(`${what}: ${element.outerHTML.slice(0, 200)}`);
    if (never.has(element.localName)) say("element");
    if (element.localName === "script" && !element.src && element.type !== "application/json") say("inline script");
    // A file has its own style sheet in its head.
    const isOwn = element.parentElement === document.head && !element.textContent.includes("evil");
    if (element.localName === "style" && !isOwn) say("style");
    if (forbidden.has(signatureOf(element))) say("a vector");
    for (const { name, value } of attributesOf(element)) {
      if (/^on/i.test(name) || ["srcdoc", "formaction", "srcset", "is"].includes(name)) say(`attribute ${name}`);
      if (/^h\\d+$/.test(name)) say("planted");
      if (name === "http-equiv" && /refresh/i.test(value)) say("refresh");
      if (name === "style" && /evil|url\\(|pwned|script|fixed|inset/i.test(value)) say("style");
      if (!addresses.has(name)) continue;
      let url;
      try { url = new URL(value, document.baseURI); } catch { continue; }
      const isPage = ["http:", "https:"].includes(url.protocol);
      if (!isPage && !(url.protocol === "mailto:" && isAnswer(element))) say(`address ${url.protocol}`);
      if (isPage && url.origin !== location.origin && !isAnswer(element)) say("foreign address");
    }
  };
  watch(look);
  // What stands on the page as text: the numbers of the texts planted, and the vectors that are there to the letter.
  globalThis.shown = () => {
    const texts = [];
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      if (!walker.currentNode.parentElement.closest("script, style")) texts.push(walker.currentNode.data, "\\n");
    }
    for (const field of document.querySelectorAll("input, textarea")) texts.push(field.value, "\\n");
    const text = texts.join("");
    const bare = text.replace(/\\s+/g, "");
    return {
      numbers: [...text.matchAll(new RegExp(probed, "g"))].map(([, number]) => Number(number)),
      vectors: corpus.flatMap((vector, at) => (bare.includes(vector.replace(/\\s+/g, "")) ? [at] : [])),
    };
  };
}"""
)

# In any page: what the vectors would be as markup.
SIGNATURES = f"""(corpus) => {{
  {_SIGNATURE}
  const found = new Set();
  for (const text of corpus) {{
    for (const element of new DOMParser().parseFromString(text, "text/html").querySelectorAll("*")) {{
      found.add(signatureOf(element));
    }}
  }}
  found.delete("");
  return [...found];
}}"""


def served_trap(signatures: list[str]) -> str:
    """The script that is to run before a page's first, given what `SIGNATURES` has found."""
    known: dict[str, Any] = {"signatures": signatures, "corpus": CORPUS, "probed": PROBED}
    return f"({_SERVED})({json.dumps(known)})"
