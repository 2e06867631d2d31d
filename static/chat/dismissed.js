/** Which of the announcements this browser has dismissed. Pure. */

const REMEMBERED = 50;

/** Those of the notices that were not dismissed. One whose text has changed since is another one. */
export function undismissed(notices, dismissed) {
  return notices.filter(({ id, text }) => !dismissed.some((one) => one.id === id && one.text === text));
}

/** The dismissed notices with one more; the oldest are forgotten. */
export function withDismissed(dismissed, { id, text }) {
  return [...dismissed.filter((one) => one.id !== id), { id, text }].slice(-REMEMBERED);
}
