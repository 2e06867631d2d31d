/** Asks for what comes in pages: each answer is {items, through, more}. */

/** One page after `after`. Throws where there is no answer, with a sentence for the reader. */
export async function fetchPage(address, after) {
  const url = new URL(address, location.href);
  url.searchParams.set("after", String(after));
  let answer;
  try {
    answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error" });
  } catch {
    throw new Error("The server did not answer.");
  }
  if (!answer.ok) throw new Error(answer.status === 404 ? "It is not there, or you may not read it." : "The server could not say.");
  return answer.json();
}

/** All items, page by page. */
export async function fetchAll(address) {
  const items = [];
  for (let after = 0, more = true; more; ) {
    const page = await fetchPage(address, after);
    items.push(...page.items);
    ({ through: after, more } = page);
  }
  return items;
}
