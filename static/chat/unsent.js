/** What an entry of the outbox says of itself. Pure. */

import { timeInWords } from "./quantities.js";

const WORDS = { waiting: "Waiting to be sent", sent: "Sent, not confirmed yet", failed: "Not sent", taken: "Sent from another tab" };
/** ms up to which a wait is counted down; a longer one is told by its end. */
const COUNTED = 120_000;

/** {state, error, when} of an entry in words; `when` changes by itself, the others only with the entry. */
export function inWords({ state, code, error, retry_at }, now) {
  const left = (retry_at ?? 0) - now;
  const isOpen = state === "waiting" || state === "sent";
  // What the server said of the wait was true then; here it is counted down.
  const reason = isOpen ? error.replace(/ Try again in [^.]*\.$/, "") : error;
  if (isOpen && code === "not_saved") return { state: "Not saved yet, retrying", error: "", when: left > 0 ? again(left, retry_at) : "now" };
  if (state === "waiting" && error) return { state: "Not taken yet:", error: reason, when: left > 0 ? `Sent again ${again(left, retry_at)}` : "" };
  return { state: WORDS[state] + (error ? ":" : ""), error, when: "" };
}

function again(left, at) {
  if (left <= COUNTED) return `in ${Math.ceil(left / 1000)} s`;
  return `at ${timeInWords(new Date(at), new Date(at - left), { seconds: true })}`;
}
