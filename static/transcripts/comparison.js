/** Two runs side by side: puts the cards of their steps into the table that the server made. */

import { stepCard } from "../chat/cards.js";
import { fetchPage } from "./pages.js";

const said = document.getElementById("said");

for (const { dataset } of document.querySelectorAll("data.side")) {
  fillSide(dataset.name, dataset.steps).catch((error) => {
    said.textContent = error.message;
  });
}

async function fillSide(name, address) {
  const cells = new Map([...document.querySelectorAll(`td[data-side="${name}"]`)].map((cell) => [cell.dataset.seq, cell]));
  for (let after = 0, more = true; more; ) {
    const page = await fetchPage(address, after);
    for (const text of page.items) {
      const { seq, data } = JSON.parse(text);
      cells.get(String(seq))?.replaceChildren(stepCard(data));
    }
    ({ through: after, more } = page);
  }
}
