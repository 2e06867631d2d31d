/**
 * A WebSocket that comes back: one small module for anybody's page, without dependencies, and so in one file.
 *
 *   import { ChatSocket } from "./socket.js";
 *   const socket = new ChatSocket("wss://example.org/ws/chat/my-session")
 *     .on("reasoning_step", (frame) => console.log(frame.data.type, frame.data.content))
 *     .on("state", ({ state }) => console.log(state));
 *   socket.connect();
 *   socket.send({ type: "chat", payload: { message: "Hello" } });
 *
 * Frames are JSON objects with a `type`; a handler gets the whole frame. Beside the types of frames there are four events
 * of the socket's own: `state` (see `status`), `received` (frame, text) before the handlers of its type, `sent` (frame,
 * text), and `handled` (frame) after them. A frame that is called like one of these reaches only `received` and `handled`.
 *
 * It knows nothing of chat but `ping`, answered by `pong`; `ack`, sent once the page has sent `resume`; and `going_away`, after
 * which, as after close code 1012, it comes back at a moment drawn from the seconds that the server names, so that not all
 * clients come at once.
 */

/** The one value that says how things stand. `offline` is left only by `connect()`. */
export const State = Object.freeze({
  OFFLINE: "offline",
  CONNECTING: "connecting",
  CONNECTED: "connected",
  RETRYING: "retrying",
});

const OWN_EVENTS = new Set(["state", "received", "sent", "handled"]);
const CLOSE_BY_USER = 1000;
const CLOSE_NO_REPLY = 3008;
const CLOSE_RESTART = 1012;

const DEFAULTS = {
  heartbeat: 30_000, // ms between pings
  reply: 10_000, // ms in which anything must arrive after a ping
  opening: 15_000, // ms in which a connection must open
  held: 5_000, // ms after which a connection counts as good and the tries start from 0 again
  shortest: 1_000, // ms, the first window of the back-off
  longest: 30_000, // ms, its widest
  spread: 5_000, // ms over which clients come back to a server that restarts, where it does not say
  tries: 0, // tries in a row before giving up; 0 for no limit
  comeBackBelow: 4_500, // close codes from here to 4999 mean "do not come back"
  ackFrames: 64,
  ackCharacters: 64 * 1024,
  ackDelay: 1_000, // ms after the first frame not yet acknowledged
};

/** The browser's time; a test hands over its own. */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (call, ms) => globalThis.setTimeout(call, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
};

/** Milliseconds to wait before try number `tries` (from 1): exponential with full jitter, `random` in [0, 1). */
export function backoff(tries, random, { shortest, longest } = DEFAULTS) {
  return Math.floor(random * Math.min(longest, shortest * 2 ** Math.min(tries - 1, 30)));
}

/** Milliseconds over which to spread the return, by what a server that goes away has said, if it has. */
export function spreadOf(frame, { spread, longest } = DEFAULTS) {
  const said = frame?.data?.spread;
  return typeof said === "number" && said >= 0 ? Math.min(said * 1000, longest) : spread;
}

/** Whether the server means "come back" with this close code. */
export function comesBack(code, { comeBackBelow } = DEFAULTS) {
  return !(code >= comeBackBelow && code < 5_000);
}

export class ChatSocket {
  #url;
  #options;
  #clock;
  #random;
  #WebSocket;
  #page;
  #report;
  #handlers = new Map();
  #raw = null;
  #status = { state: State.OFFLINE, why: "", code: null, reason: "", tries: 0, retryAt: null };
  #tries = 0;
  #timers = {};
  #unacknowledged = { acknowledging: false, frames: 0, since: 0, characters: 0 };
  #goingAway = null; // the frame, where the server has said that it goes
  #listeners = [];

  /**
   * `url` is a string, or a function asked before each connection. Options are the numbers of `DEFAULTS` (milliseconds),
   * and for tests `WebSocket`, `random`, `clock` ({now, setTimeout, clearTimeout}), `page` ({window, document}), `report`.
   */
  constructor(url, options = {}) {
    const { WebSocket, random, clock, page, report, ...numbers } = options;
    this.#url = url;
    this.#options = { ...DEFAULTS, ...numbers };
    this.#WebSocket = WebSocket ?? globalThis.WebSocket;
    this.#random = random ?? Math.random;
    this.#page = page ?? { window: globalThis.window, document: globalThis.document };
    this.#report = report ?? ((error) => (globalThis.reportError ?? console.error)(error));
    this.#clock = clock ?? systemClock;
  }

  /**
   * {state, why, code, reason, tries, retryAt}. `why` says what ended the last connection: "user", "refused" (the server
   * means "do not come back"), "tries" (the limit is reached), "restart" (the server restarts, which is no failure), "closed",
   * "no reply", "not opened", or "" for nothing yet;
   * `code` and `reason` are those of the close; `retryAt` is the time of the next try in milliseconds since the epoch.
   */
  get status() {
    return this.#status;
  }

  on(type, handler) {
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    this.#handlers.get(type).add(handler);
    return this;
  }

  off(type, handler) {
    this.#handlers.get(type)?.delete(handler);
    return this;
  }

  /** Connect, and stay connected until `disconnect()`, a refusal or the limit of tries. Does nothing if that is under way. */
  connect() {
    if (this.#status.state !== State.OFFLINE) return this;
    this.#tries = 0;
    this.#watchPage();
    this.#open();
    return this;
  }

  /** Disconnect and stay offline. */
  disconnect() {
    if (this.#status.state === State.OFFLINE) return;
    this.#abandon(CLOSE_BY_USER, "");
    this.#rest("user", null, "");
  }

  /** Do not wait for the next try. Does nothing unless the state is `retrying`. */
  retryNow() {
    if (this.#status.state === State.RETRYING) this.#open();
  }

  /** Send one object as a frame. False if not connected: nothing is kept here, an outbox is the page's affair. */
  send(frame) {
    if (this.#status.state !== State.CONNECTED || this.#raw?.readyState !== this.#WebSocket.OPEN) return false;
    const text = JSON.stringify(frame);
    this.#raw.send(text);
    if (frame.type === "resume") this.#unacknowledged.acknowledging = true;
    this.#emit("sent", frame, text);
    return true;
  }

  #open() {
    this.#clearTimers();
    let raw;
    try {
      raw = new this.#WebSocket(typeof this.#url === "function" ? this.#url() : this.#url);
    } catch (error) {
      this.#report(error);
      this.#rest("refused", null, String(error.message ?? error));
      return;
    }
    this.#raw = raw;
    this.#goingAway = null;
    // Every listener asks whether its socket is still the one: an abandoned socket can speak for minutes after.
    const mine = (handle) => (event) => {
      if (this.#raw === raw) handle(event);
    };
    raw.addEventListener("open", mine(() => this.#opened()));
    raw.addEventListener("message", mine((event) => this.#received(event.data)));
    raw.addEventListener("close", mine(({ code, reason }) => this.#closed("closed", code, reason)));
    this.#after("opening", this.#options.opening, () => this.#giveUpOn("not opened"));
    this.#become(State.CONNECTING);
  }

  #opened() {
    this.#clearTimers();
    this.#unacknowledged = { acknowledging: false, frames: 0, since: 0, characters: 0 };
    this.#after("held", this.#options.held, () => {
      this.#tries = 0;
    });
    this.#after("beat", this.#options.heartbeat, () => this.#beat());
    this.#become(State.CONNECTED);
  }

  #received(text) {
    this.#stop("reply"); // anything that arrives is a sign of life
    let frame = null;
    try {
      frame = JSON.parse(text);
    } catch (error) {
      this.#report(error);
    }
    if (frame !== null && typeof frame === "object") {
      if (frame.type === "going_away") this.#goingAway = frame;
      this.#emit("received", frame, text);
      if (typeof frame.type === "string" && !OWN_EVENTS.has(frame.type)) this.#emit(frame.type, frame);
      this.#emit("handled", frame);
    }
    this.#count(text);
  }

  /** Frames are acknowledged when they have been handled, so that the server knows how far this page is behind. */
  #count(text) {
    const counted = this.#unacknowledged;
    counted.frames += 1;
    counted.since += 1;
    counted.characters += text.length ?? 0;
    const { ackFrames, ackCharacters } = this.#options;
    if (counted.since >= ackFrames || counted.characters >= ackCharacters) this.#acknowledge();
    else if (!this.#timers.ack) this.#after("ack", this.#options.ackDelay, () => this.#acknowledge());
  }

  #acknowledge() {
    this.#stop("ack");
    const counted = this.#unacknowledged;
    if (!counted.acknowledging || counted.since === 0) return;
    if (this.send({ type: "ack", frames: counted.frames })) {
      counted.since = 0;
      counted.characters = 0;
    }
  }

  #beat() {
    this.#after("beat", this.#options.heartbeat, () => this.#beat());
    if (this.#timers.reply) return;
    if (this.send({ type: "ping", timestamp: this.#clock.now() })) {
      const patience = Math.min(this.#options.reply, this.#options.heartbeat);
      this.#after("reply", patience, () => this.#giveUpOn("no reply"));
    }
  }

  /** The network does not say that it is dead: close, do not wait for the closing handshake. */
  #giveUpOn(why) {
    this.#abandon(CLOSE_NO_REPLY, why);
    this.#closed(why, null, "");
  }

  #abandon(code, reason) {
    const raw = this.#raw;
    this.#raw = null;
    this.#clearTimers();
    raw?.close(code, reason);
  }

  #closed(why, code, reason) {
    this.#raw = null;
    this.#clearTimers();
    if (!comesBack(code, this.#options)) this.#rest("refused", code, reason);
    else if (code === CLOSE_RESTART || this.#goingAway) {
      const wait = Math.floor(this.#random() * spreadOf(this.#goingAway, this.#options));
      this.#comeBack(wait, { why: "restart", code, reason });
    } else {
      this.#tries += 1;
      if (this.#options.tries > 0 && this.#tries > this.#options.tries) this.#rest("tries", code, reason);
      else this.#comeBack(backoff(this.#tries, this.#random(), this.#options), { why, code, reason });
    }
  }

  #comeBack(wait, end) {
    this.#after("retry", wait, () => this.#open());
    this.#become(State.RETRYING, { ...end, retryAt: this.#clock.now() + wait });
  }

  #rest(why, code, reason) {
    this.#clearTimers();
    this.#ignorePage();
    this.#become(State.OFFLINE, { why, code, reason });
  }

  #become(state, { why = this.#status.why, code = this.#status.code, reason = this.#status.reason, retryAt = null } = {}) {
    this.#status = { state, why, code, reason, tries: this.#tries, retryAt };
    this.#emit("state", this.#status);
  }

  #emit(type, ...values) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(...values);
      } catch (error) {
        this.#report(error); // a handler that fails is its page's affair, the socket goes on
      }
    }
  }

  /** The browser knows things that a timer does not: try at once when it comes online or is looked at again. */
  #watchPage() {
    const { window, document } = this.#page;
    const look = () => {
      if (this.#status.state === State.RETRYING) this.#open();
      else if (this.#status.state === State.CONNECTED) this.#beat();
    };
    const listen = (target, type, listener) => {
      target?.addEventListener(type, listener);
      this.#listeners.push([target, type, listener]);
    };
    listen(window, "online", () => {
      // A network that has just come back may not carry yet: should this try fail, the next one comes soon.
      if (this.#status.state !== State.CONNECTED) this.#tries = 0;
      look();
    });
    listen(window, "offline", () => this.#status.state === State.CONNECTED && this.#beat());
    listen(document, "visibilitychange", () => document.visibilityState === "visible" && look());
  }

  #ignorePage() {
    for (const [target, type, listener] of this.#listeners) target?.removeEventListener(type, listener);
    this.#listeners = [];
  }

  #after(name, ms, call) {
    this.#stop(name);
    this.#timers[name] = this.#clock.setTimeout(() => {
      this.#timers[name] = null;
      call();
    }, ms);
  }

  #stop(name) {
    if (this.#timers[name]) this.#clock.clearTimeout(this.#timers[name]);
    this.#timers[name] = null;
  }

  #clearTimers() {
    for (const name of Object.keys(this.#timers)) this.#stop(name);
  }
}
