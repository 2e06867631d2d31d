/**
 * What changes in a table from one look to the next: rows are known by their keys, and stay with their buttons, so that neither
 * focus nor selection is lost. Pure.
 */

/** What is to be done, in order, to make rows with the keys `before` into those with the keys `after`: {remove, order}. */
export function moved(before, after) {
  const kept = new Set(after);
  return { remove: before.filter((key) => !kept.has(key)), order: [...after] };
}

/** Whether two rows have the same buttons. */
export function sameActions(before, after) {
  return before.length === after.length && before.every((name, at) => name === after[at]);
}

/** What to say of tables that have changed: what they told last is `before`, by name. Returns the sentences that are new. */
export function news(before, tables) {
  return tables.filter(({ name, told }) => told && before.get(name) !== told).map(({ told }) => told);
}

/** How fresh the page is, in words. */
export function freshness({ paused, failed, at, now }) {
  const age = at === null ? null : Math.round((now - at) / 1000);
  const last = age === null ? "As it was when the page was loaded." : `As it was ${age} s ago.`;
  if (paused) return `Paused. ${last}`;
  if (failed) return `The site does not answer; trying again. ${last}`;
  return age !== null && age <= 1 ? "As it is now." : last;
}
