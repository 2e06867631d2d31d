/**
 * What was typed waits here until the server has it: over a dead connection, a reload, a closed tab.
 *
 * An entry leaves when it is confirmed, by `accepted` or by the `message` frame with its `client_id`, or when the user
 * discards it. It may be sent more than once, which the `client_id` makes harmless. Entries go out one after the other,
 * in the order in which they were typed. Each stands in the storage under a key of its own, so that two tabs of a session
 * never overwrite each other's; an entry that another tab has just sent is left to it for `PATIENCE` ms. Once that tab has
 * had it confirmed, the entry stands here as taken until this tab has the `message` frame too.
 */

const PATIENCE = 10_000;
const UNREFUSED = { error: "", code: "", retry_at: 0 };

/** Text as the wire takes it: without NUL and lone surrogates. */
export function clean(text) {
  return text.replaceAll("\0", "").replace(/\p{Surrogate}/gu, "");
}

/** A fresh id. Works on plain http, where `crypto.randomUUID` does not exist. */
export function newClientId(random = (bytes) => globalThis.crypto.getRandomValues(bytes)) {
  return [...random(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The command for an entry. */
export function chatFrame({ client_id, message, agent_name, enable_reasoning }) {
  return { type: "chat", payload: { message, agent_name, enable_reasoning }, client_id };
}

function parsed(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null; // somebody else's
  }
}

export class Outbox {
  #entries = new Map();
  #storage;
  #prefix;
  #send;
  #clock;
  #maxBytes;
  #changed;
  #open = false;
  #quietUntil = new Map(); // client_id -> when this tab may send it (again)
  #confirmed = new Set(); // client_ids of messages that this page has
  #timer = null;

  /**
   * `storage` is a `Storage`, or null where there is none; `key` names user and session; `send(frame)` is false while
   * nothing is connected; `changed()` is called after each change of `entries`.
   */
  constructor({ storage, key, send, clock, maxBytes, changed = () => {} }) {
    this.#storage = storage;
    this.#prefix = `glassbox.outbox.${key}.`;
    this.#send = send;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
    this.#changed = changed;
    for (const id of this.#stored()) {
      const entry = this.#read(id);
      if (entry?.state === "taken") this.#forget(id);
      else if (entry) this.#entries.set(id, entry);
    }
    // Nobody knows whether these were sent: the page that sent them is gone.
    for (const entry of this.#entries.values()) if (entry.state === "sent") entry.state = "waiting";
  }

  /**
   * {client_id, message, agent_name, enable_reasoning, at, state: waiting|sent|failed|taken, error, code, retry_at} in the order
   * of typing. `error` and `code` say why the server did not take it; before `retry_at`, in ms, it is not sent again.
   */
  get entries() {
    return [...this.#entries.values()].sort((a, b) => a.at - b.at || (a.client_id < b.client_id ? -1 : 1));
  }

  /** Why this cannot be sent, as a sentence; "" if it can. */
  problem({ message, agent_name, enable_reasoning }) {
    const text = clean(message);
    if (!/\P{White_Space}/u.test(text)) return "There is nothing to send yet.";
    const frame = chatFrame({ client_id: "0".repeat(32), message: text, agent_name, enable_reasoning });
    const bytes = new TextEncoder().encode(JSON.stringify(frame)).length;
    if (bytes <= this.#maxBytes) return "";
    const kib = (number) => `${(number / 1024).toFixed(1)} KiB`;
    return `This message is too long: it takes ${kib(bytes)}, and at most ${kib(this.#maxBytes)} can be sent. Shorten it or send it in parts.`;
  }

  /** Take a message for which `problem` is "", and send it as soon as possible. Returns its entry. */
  add({ message, agent_name, enable_reasoning }) {
    const last = this.entries.at(-1)?.at ?? 0;
    const entry = {
      client_id: newClientId(),
      message: clean(message),
      agent_name,
      enable_reasoning,
      at: Math.max(this.#clock.now(), last + 1),
      state: "waiting",
      ...UNREFUSED,
    };
    this.#write(entry);
    this.flush();
    this.#changed();
    return entry;
  }

  /** The connection is up and the page has caught up. */
  opened() {
    this.#open = true;
    this.flush();
  }

  /** The connection has ended: what is not confirmed is to be sent again. */
  closed() {
    this.#open = false;
    this.#quietUntil.clear();
    this.#clearTimer();
    for (const entry of this.#entries.values()) if (entry.state === "sent") this.#write({ ...entry, state: "waiting" });
    this.#changed();
  }

  /** Send what is next in turn, if it is time. */
  flush() {
    this.#clearTimer();
    if (!this.#open) return;
    const next = this.entries.find(({ state }) => state === "waiting" || state === "sent");
    if (!next) return;
    const now = this.#clock.now();
    const wait = Math.max(this.#quietUntil.get(next.client_id) ?? 0, next.retry_at ?? 0) - now;
    if (wait <= 0) {
      if (!this.#send(chatFrame(next))) return;
      this.#quietUntil.set(next.client_id, now + PATIENCE);
      // That the database was away holds until it has taken the message.
      this.#write({ ...next, state: "sent", ...(next.code === "not_saved" ? { retry_at: 0 } : UNREFUSED) });
      this.#changed();
    }
    this.#timer = this.#clock.setTimeout(() => this.flush(), wait > 0 ? wait : PATIENCE);
  }

  /** The server has it. */
  confirm(client_id) {
    this.#confirmed.add(client_id);
    const entry = this.#entries.get(client_id);
    if (!entry) return;
    // By what was last written, other tabs tell an entry that has arrived from one that the user has discarded.
    if (entry.state !== "taken") this.#write({ ...entry, state: "taken", ...UNREFUSED });
    this.discard(client_id);
  }

  /**
   * The server does not take it: `data` of its `error` frame. Where that passes by itself, `retry_after` says in how many
   * seconds, and the entry waits, over reconnections and reloads too.
   */
  refuse({ client_id, code, message, retry_after }) {
    const entry = this.#entries.get(client_id);
    if (!entry) return;
    const passes = Number.isFinite(retry_after);
    const retry_at = passes ? this.#clock.now() + retry_after * 1000 : 0;
    this.#quietUntil.delete(client_id);
    this.#write({ ...entry, state: passes ? "waiting" : "failed", error: message, code, retry_at });
    this.flush();
    this.#changed();
  }

  retry(client_id) {
    const entry = this.#entries.get(client_id);
    if (!entry) return;
    this.#quietUntil.delete(client_id);
    this.#write({ ...entry, state: "waiting", ...UNREFUSED });
    this.flush();
    this.#changed();
  }

  discard(client_id) {
    this.#entries.delete(client_id);
    this.#quietUntil.delete(client_id);
    this.#forget(client_id);
    this.flush();
    this.#changed();
  }

  /** Another tab has written: hand over the `storage` event. Its `key` is null for "everything". */
  changedElsewhere({ key, oldValue = null, newValue = null }) {
    if (key !== null && !key.startsWith(this.#prefix)) return;
    const ids = key === null ? [...this.#entries.keys(), ...this.#stored()] : [key.slice(this.#prefix.length)];
    for (const id of ids) if (!this.#confirmed.has(id)) this.#follow(id, oldValue, newValue);
    this.flush();
    this.#changed();
  }

  /** Make of an entry what another tab has made of it. What is stored now may be later than what the event tells. */
  #follow(id, oldValue, newValue) {
    const known = this.#entries.get(id);
    const stored = this.#read(id);
    if (stored?.state === "taken" || (!stored && parsed(oldValue)?.state === "taken")) {
      if (known) this.#entries.set(id, { ...known, state: "taken", ...UNREFUSED });
    } else if (stored) {
      this.#entries.set(id, stored);
      if (stored.state === "sent") this.#quietUntil.set(id, this.#clock.now() + PATIENCE);
    } else if (newValue === null && known?.state !== "taken") {
      this.#entries.delete(id);
    } // else the event of its removal follows, and tells why
  }

  #stored() {
    const ids = [];
    this.#tryStorage(() => {
      for (let at = 0; at < (this.#storage?.length ?? 0); at += 1) {
        const key = this.#storage.key(at);
        if (key.startsWith(this.#prefix)) ids.push(key.slice(this.#prefix.length));
      }
    });
    return ids;
  }

  /** What is stored under this id, null for nothing or nothing of ours. */
  #read(id) {
    let entry = null;
    this.#tryStorage(() => (entry = parsed(this.#storage?.getItem(this.#prefix + id) ?? null)));
    return entry?.client_id === id && typeof entry.message === "string" ? entry : null;
  }

  #forget(id) {
    this.#tryStorage(() => this.#storage?.removeItem(this.#prefix + id));
  }

  #write(entry) {
    this.#entries.set(entry.client_id, entry);
    this.#tryStorage(() => this.#storage?.setItem(this.#prefix + entry.client_id, JSON.stringify(entry)));
  }

  /** A storage that is full or forbidden costs the reload, not the message. */
  #tryStorage(call) {
    try {
      call();
    } catch (error) {
      if (error.name !== "QuotaExceededError" && error.name !== "SecurityError") throw error;
    }
  }

  #clearTimer() {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
