import assert from "node:assert/strict";
import { test } from "node:test";

import { JSDOM } from "jsdom";

const PAGE = `
  <div id="welcome">
    <button data-agent="researcher"></button><button data-agent="writer"></button>
    <button data-example data-agents="researcher"> Six times seven? </button>
    <button data-example data-agents="researcher writer">The time?</button>
  </div>
  <form id="composer">
    <textarea id="message"></textarea><p id="composer-problem" hidden></p>
    <select id="agent"><option value="researcher"><option value="writer"></select>
    <input type="checkbox" id="reasoning"><button type="button" id="stop" hidden>Stop</button><button id="send">Send</button>
  </form>`;
globalThis.document = null; // each page sets its own
const { Composer } = await import("../../static/chat/composer.js");
const { Welcome } = await import("../../static/chat/welcome.js");

/** One page as it is loaded; `storage` outlives it. */
function load({ storage, key = "s", problem = "" } = {}) {
  const { window } = new JSDOM(PAGE, { url: "https://glassbox.example/" });
  globalThis.document = window.document;
  const sent = [];
  const welcome = new Welcome({ choose: (name) => composer.chooseAgent(name), ask: (text) => composer.ask(text) });
  const composer = new Composer({
    send: (message) => (problem === "" && sent.push(message), problem),
    stop: () => {},
    storage: null,
    unsent: { storage: storage ?? window.sessionStorage, key },
    agentChanged: (name) => welcome.showAgent(name),
  });
  const get = (id) => window.document.getElementById(id);
  const type = (text) => {
    get("message").value = text;
    get("message").dispatchEvent(new window.Event("input"));
  };
  return { window, document: window.document, composer, sent, get, type, storage: storage ?? window.sessionStorage };
}

test("a text half typed outlives a reload, until it is sent", () => {
  const first = load();
  first.type("half a\n\n\nquestion");
  const second = load(first);
  assert.equal(second.get("message").value, "half a\n\n\nquestion");
  assert.equal(second.get("message").rows, 4);
  assert.equal(load({ ...first, key: "other" }).get("message").value, "");
  second.get("composer").requestSubmit();
  assert.equal(second.sent[0].message, "half a\n\n\nquestion");
  assert.equal(load(first).get("message").value, "");
  assert.equal(first.storage.length, 0);
});

test("what is refused stays, over a reload too", () => {
  const page = load({ problem: "Too long." });
  page.type("long");
  page.get("composer").requestSubmit();
  assert.equal(load(page).get("message").value, "long");
});

test("a storage that is full or missing costs the reload, not the typing", () => {
  const storage = { getItem: () => null, removeItem() {}, setItem() { throw new DOMException("full", "QuotaExceededError"); } };
  load({ storage }).type("x");
  const { window } = load();
  globalThis.document = window.document;
  new Composer({ send: () => "", stop() {}, storage: null, unsent: { storage: null, key: "x" } });
});

test("the session's agent is proposed, but never against the user's choice", () => {
  const page = load();
  const { composer, get, window } = page;
  composer.proposeAgent("writer");
  assert.equal(get("agent").value, "writer");
  composer.proposeAgent("unknown");
  assert.equal(get("agent").value, "writer");
  get("agent").value = "researcher";
  get("agent").dispatchEvent(new window.Event("change"));
  composer.proposeAgent("writer");
  assert.equal(get("agent").value, "researcher");
});

test("a card chooses its agent, and shows the choice wherever it was made", () => {
  const { document, composer, get } = load();
  const [researcher, writer] = document.querySelectorAll("[data-agent]");
  const [first, second] = document.querySelectorAll("[data-example]");
  const pressed = () => [researcher, writer].map((card) => card.getAttribute("aria-pressed"));
  assert.deepEqual(pressed(), ["true", "false"]);
  writer.click();
  assert.equal(get("agent").value, "writer");
  assert.deepEqual(pressed(), ["false", "true"]);
  assert.deepEqual([first.hidden, second.hidden], [true, false], "only what this agent has the tools for");
  composer.proposeAgent("researcher");
  assert.equal(get("agent").value, "writer", "a card is a choice");
});

test("an example is sent to the chosen agent, and what was half typed stays", () => {
  const { document, sent, get, type } = load();
  type("my own");
  document.querySelector("[data-example]").click();
  assert.deepEqual(sent.map(({ message, agent_name }) => [message, agent_name]), [["Six times seven?", "researcher"]]);
  assert.equal(get("message").value, "my own");
});

test("the focus goes to the text when the Stop button that has it goes away, and only then", () => {
  const { document, composer, get } = load();
  composer.showStop({ active: true, stopping: false });
  get("stop").focus();
  composer.showStop({ active: true, stopping: false });
  assert.equal(document.activeElement, get("stop"));
  composer.showStop({ active: false, stopping: false });
  assert.equal(document.activeElement, get("message"));
  composer.showStop({ active: true, stopping: false });
  get("stop").focus();
  composer.showStop({ active: true, stopping: true });
  assert.equal(document.activeElement, get("message"));
  get("agent").focus();
  composer.showStop({ active: false, stopping: false });
  assert.equal(document.activeElement, get("agent"));
});
