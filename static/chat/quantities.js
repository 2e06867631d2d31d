/** Times, durations and tokens in words. Pure: the same values, the same words, in the zone and language of the reader. */

/** A point in time, as short as it stays clear on the day `now`. */
export function timeInWords(date, now, { seconds = false } = {}) {
  const clock = { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) };
  if (date.toDateString() === now.toDateString()) return date.toLocaleString([], clock);
  const year = date.getFullYear() === now.getFullYear() ? {} : { year: "numeric" };
  return date.toLocaleString([], { day: "numeric", month: "short", ...year, ...clock });
}

/** `duration` is in seconds. */
export function durationInWords(duration) {
  if (duration < 1) return `${Math.round(duration * 1000)} ms`;
  if (duration < 60) return `${duration.toFixed(1)} s`;
  return `${Math.floor(duration / 60)} min ${Math.round(duration % 60)} s`;
}

/** What a model read and wrote: `short` for the eye, `long` for whoever wants or has to hear it said. Both "" for nothing. */
export function tokensInWords(usage) {
  const read = usage?.input_tokens ?? 0;
  const written = usage?.output_tokens ?? 0;
  if (!read && !written) return { short: "", long: "" };
  const thought = usage.reasoning_tokens ? `, ${usage.reasoning_tokens} of them reasoning` : "";
  return { short: `${read} → ${written} tokens${thought}`, long: `${count(read, "token")} read, ${written} written${thought}` };
}

export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
