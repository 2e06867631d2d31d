/** Amounts in words, and how long to wait before a try. Pure. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function sizeText(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < UNITS.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${UNITS[unit]}`;
}

export function durationText(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** What is fetched of how much, how fast, and how long it will take. `runs` and `bytes` were fetched in `seconds`, of this visit. */
export function amountText({ done, total, size, runs, bytes, seconds }) {
  const parts = [`${done.toLocaleString("en")} of ${total.toLocaleString("en")} runs`, sizeText(size)];
  if (seconds > 0 && bytes > 0 && done < total) {
    parts.push(`${sizeText(bytes / seconds)}/s`);
    if (runs > 0) parts.push(`about ${durationText(((total - done) * seconds) / runs)} left`);
  }
  return parts.join(" · ");
}

/** Seconds to wait after so many failed tries in a row; `chance` is from 0 to 1. */
export function delay(tries, chance) {
  return Math.min(30, 2 ** (tries - 1)) * (0.75 + chance / 2);
}
