/** What a plot's table says: the plot is drawn from it, so both always tell the same. */

/** Rows of a breakdown that are drawn; the table has all of them. */
const MOST_BARS = 10;

/** `{over, labels, series: [{label, unit, values, texts}]}`; a value is null where there is nothing to measure. */
export function readTable(table, { most = Infinity } = {}) {
  const [over, ...heads] = table.tHead.rows[0].cells;
  const rows = [...table.tBodies[0].rows].slice(0, most);
  const series = heads.flatMap((head, place) => {
    if (!("plotted" in head.dataset)) return [];
    const cells = rows.map((row) => row.cells[place + 1]);
    return [{
      label: head.textContent,
      unit: head.dataset.unit,
      values: cells.map(({ dataset }) => (dataset.value === "" ? null : Number(dataset.value))),
      texts: cells.map((cell) => cell.textContent.trim()),
    }];
  });
  return { over: over.textContent, labels: rows.map((row) => row.cells[0].textContent.trim()), series };
}

/** The same for a breakdown, which is drawn in part. */
export const readBusiest = (table) => readTable(table, { most: MOST_BARS });

/** Fold a table away and let the button bring it back. Closed it is out of sight, but not out of hearing; its links leave the
 * keyboard's way, which would else go through all that nobody sees. */
export function foldTable(place, button) {
  const links = place.querySelectorAll("a");
  const show = (open) => {
    place.classList.toggle("is-closed", !open);
    place.tabIndex = open ? 0 : -1;
    button.setAttribute("aria-expanded", String(open));
    for (const link of links) {
      if (open) link.removeAttribute("tabindex");
      else link.tabIndex = -1;
    }
  };
  button.hidden = false;
  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") === "false"));
  show(false);
}
