/** A plot by keyboard: its place is a slider over its points, whose values are told and shown. */

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 7, PageDown: -7 };

/** The place that a key leads to among `count` points, from `place`; undefined for other keys. In a list of bars, down is on. */
export function placeAfter(key, place, count, { isList = false } = {}) {
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const step = STEPS[key];
  if (step === undefined) return undefined;
  const isVertical = !["ArrowLeft", "ArrowRight"].includes(key);
  return Math.min(count - 1, Math.max(0, place + (isList && isVertical ? -step : step)));
}

/** What a point says. */
export function sentence({ labels, series }, place) {
  return `${labels[place]}: ${series.map(({ label, texts }) => `${label} ${texts[place]}`).join(", ")}`;
}

/** Make the element a slider over the points; `mark(place)` shows which, `null` that none is. */
export function readByKeyboard(element, { data, name, isList, output, mark }) {
  const count = data.labels.length;
  let place = isList ? 0 : count - 1;
  const tell = () => {
    const text = sentence(data, place);
    element.setAttribute("aria-valuenow", String(place + 1));
    element.setAttribute("aria-valuetext", text);
    output.textContent = text;
    mark(place);
  };
  const attributes = {
    role: "slider",
    tabindex: "0",
    "aria-label": `${name}: plot, value by value. A table follows.`,
    "aria-valuemin": "1",
    "aria-valuemax": String(count),
    "aria-valuenow": String(place + 1),
    "aria-valuetext": sentence(data, place),
    "aria-orientation": isList ? "vertical" : "horizontal",
  };
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.addEventListener("focus", tell);
  element.addEventListener("blur", () => {
    output.textContent = "";
    mark(null);
  });
  element.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const next = placeAfter(event.key, place, count, { isList });
    if (next === undefined) return;
    event.preventDefault();
    place = next;
    tell();
  });
}
