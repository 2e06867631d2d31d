/** The dashboard: draws each plot from its table, folds the tables away, and follows the theme. Without it the tables stand there. */

import { draw } from "./plot.js";
import { readByKeyboard } from "./reading.js";
import { foldTable, readBusiest, readTable } from "./table.js";

const plots = [];

for (const section of document.querySelectorAll(".plot")) {
  const place = section.querySelector(".plot-place");
  const table = section.querySelector(".plot-table");
  const button = section.querySelector(".plot-toggle");
  if (!place) continue;
  const isList = section.dataset.layout === "group";
  const data = (isList ? readBusiest : readTable)(table.querySelector("table"));
  place.hidden = false;
  place.style.setProperty("--bars", String(data.labels.length));
  const plot = draw(place.querySelector("canvas"), data, { drawn: section.dataset.drawn, isList });
  readByKeyboard(place, {
    data,
    isList,
    name: section.querySelector("h3").textContent,
    output: section.querySelector(".plot-reading"),
    mark: plot.mark,
  });
  foldTable(table, button);
  plots.push(plot);
}

const repaint = () => plots.forEach(({ paint }) => paint());
// The admin's own switch writes the theme to the document's element.
new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

document.getElementById("dashboard").dataset.drawn = String(plots.length);
