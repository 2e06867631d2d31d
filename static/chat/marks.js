/**
 * What the user marks: a thumb and a comment on an answer, and that the session is private. A wish stays here until the server has
 * recorded it, over a dead connection and a reload of the tab; the latest one counts. Knows nothing of the page.
 */

import { clean, newClientId } from "./outbox.js";

const TARGET = "private";
/** The target of the wish about the session; that of any other is the run's id. */
export const PRIVATE = TARGET;

export class Marks {
  #storage;
  #key;
  #send;
  #clock;
  #known;
  #maxComment;
  #changed;
  #newId;
  #open = false;
  #timer = null;
  #wishes = new Map(); // target -> {client_id, wish, isSent}
  #typed = new Map(); // run_id -> a comment that is being written
  #errors = new Map(); // target -> why the last wish was refused

  /**
   * `send(frame)` is false while nothing is connected; `known()` are the marks that the server has told of; `changed(target)` is
   * called after each change here.
   */
  constructor({ storage, key, send, clock, known, maxComment, changed = () => {}, newId = newClientId }) {
    this.#storage = storage;
    this.#key = `glassbox.marks.${key}`;
    this.#send = send;
    this.#clock = clock;
    this.#known = known;
    this.#maxComment = maxComment;
    this.#changed = changed;
    this.#newId = newId;
    const { wishes = {}, typed = {} } = this.#stored();
    for (const [target, wish] of Object.entries(wishes)) this.#wishes.set(target, { client_id: newId(), wish, isSent: false });
    for (const [run, text] of Object.entries(typed)) this.#typed.set(run, text);
  }

  /** {thumb, comment, typed, status, error}: as the user wants it, `typed` null where nothing is being written. */
  feedback(run) {
    const { thumb, comment } = this.#wishes.get(run)?.wish ?? this.#known().feedback.get(run) ?? { thumb: null, comment: "" };
    return { thumb, comment, typed: this.#typed.get(run) ?? null, ...this.#status(run) };
  }

  /** {isPrivate, status, error}; `isPrivate` is null while it is not known. */
  get session() {
    const { is_private: wanted } = this.#wishes.get(PRIVATE)?.wish ?? {};
    return { isPrivate: wanted ?? this.#known().isPrivate, ...this.#status(PRIVATE) };
  }

  /** Why this comment cannot be saved, as a sentence; "" if it can. */
  problem(comment) {
    const length = [...clean(comment).trim()].length;
    if (length <= this.#maxComment) return "";
    return `This comment has ${length.toLocaleString("en")} characters, and at most ${this.#maxComment.toLocaleString("en")} can be saved.`;
  }

  /** The same thumb once more takes it back, and the comment with it, which stays here as typed. */
  thumb(run, thumb) {
    const now = this.feedback(run);
    if (now.thumb !== thumb) this.#want(run, { thumb, comment: now.comment });
    else {
      if (now.comment) this.#typed.set(run, now.typed ?? now.comment);
      this.#want(run, { thumb: null, comment: "" });
    }
  }

  /** Save a comment for which `problem` is "". */
  comment(run, comment) {
    this.#typed.delete(run);
    this.#want(run, { thumb: this.feedback(run).thumb, comment: clean(comment).trim() });
  }

  /** A comment is being written; null where it is not any more. */
  type(run, text) {
    if (text === null) this.#typed.delete(run);
    else this.#typed.set(run, text);
    this.#store();
  }

  setPrivate(is_private) {
    this.#want(PRIVATE, { is_private });
  }

  /** The connection is up and the page has caught up: ask how things stand, and say again what may not have arrived. */
  opened() {
    this.#open = true;
    this.#send({ type: "read_marks" });
    this.#flush();
  }

  /** The connection has ended: nobody knows what has arrived. */
  closed() {
    this.#open = false;
    this.#clearTimer();
    for (const [target, wish] of this.#wishes) {
      wish.isSent = false;
      this.#changed(target);
    }
  }

  /** Whether this is the id of a wish of this page. */
  has(client_id) {
    return this.#targetOf(client_id) !== undefined;
  }

  /** The server has recorded it. */
  confirm(client_id) {
    const target = this.#targetOf(client_id);
    if (target === undefined) return; // a later wish has taken its place
    const { wish } = this.#wishes.get(target);
    this.#wishes.delete(target);
    // How it is now, until the server says so itself.
    if (target === PRIVATE) this.#known().isPrivate = wish.is_private;
    else if (wish.thumb === null) this.#known().feedback.delete(target);
    else this.#known().feedback.set(target, wish);
    this.#settle(target);
  }

  /** The server did not take it: `data` is that of the `error` frame. What passes by itself is tried again. */
  refuse({ client_id, message, retry_after: wait }) {
    const target = this.#targetOf(client_id);
    if (wait) {
      this.#wishes.get(target).isSent = false;
      this.#clearTimer();
      this.#timer = this.#clock.setTimeout(() => this.#flush(), wait * 1000);
      this.#errors.set(target, message);
      this.#changed(target);
      return;
    }
    const { comment } = this.#wishes.get(target).wish;
    this.#wishes.delete(target);
    if (comment) this.#typed.set(target, comment);
    this.#settle(target, message);
  }

  #want(target, wish) {
    this.#errors.delete(target);
    this.#wishes.set(target, { client_id: this.#newId(), wish, isSent: false });
    this.#store();
    this.#flush();
    this.#changed(target);
  }

  #settle(target, error = "") {
    if (error) this.#errors.set(target, error);
    else this.#errors.delete(target);
    this.#store();
    this.#changed(target);
  }

  #flush() {
    if (!this.#open) return;
    for (const [target, wish] of this.#wishes) {
      if (wish.isSent) continue;
      const about = target === PRIVATE ? { type: "private" } : { type: "feedback", run_id: target };
      wish.isSent = this.#send({ ...about, ...wish.wish, client_id: wish.client_id });
      if (wish.isSent) this.#errors.delete(target);
      this.#changed(target);
    }
  }

  #status(target) {
    const wish = this.#wishes.get(target);
    const error = this.#errors.get(target) ?? "";
    if (!wish) return { status: "", error };
    return { status: wish.isSent ? "saving" : this.#open ? "retrying" : "offline", error };
  }

  #targetOf(client_id) {
    for (const [target, wish] of this.#wishes) if (wish.client_id === client_id) return target;
    return undefined;
  }

  #stored() {
    try {
      return JSON.parse(this.#storage?.getItem(this.#key) ?? "{}");
    } catch {
      return {}; // somebody else's
    }
  }

  #store() {
    const wishes = Object.fromEntries([...this.#wishes].map(([target, { wish }]) => [target, wish]));
    try {
      if (this.#wishes.size + this.#typed.size === 0) this.#storage?.removeItem(this.#key);
      else this.#storage?.setItem(this.#key, JSON.stringify({ wishes, typed: Object.fromEntries(this.#typed) }));
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error; // it is lost with a reload then
    }
  }

  #clearTimer() {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
