/** A plot on a canvas, in the colours of the page. What is drawn came from a table, as text. */

import "../vendor/chart.js";

const { Chart } = globalThis;

const LONGEST_LABEL = 22;

/** The name of each line at its end, where it can't be taken for another's. */
const NAMES = {
  id: "names",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea } = chart;
    const ends = chart.data.datasets.flatMap((dataset, number) => {
      const point = chart.getDatasetMeta(number).data.findLast(({ skip }) => !skip);
      return point ? [{ label: dataset.label, colour: dataset.borderColor, y: point.y }] : [];
    });
    ends.sort((one, other) => one.y - other.y);
    ctx.save();
    ctx.font = "12px sans-serif";
    ctx.textBaseline = "middle";
    let free = chartArea.top;
    for (const { label, colour, y } of ends) {
      const at = Math.max(free, y);
      ctx.fillStyle = colour;
      ctx.fillText(label, chartArea.right + 6, at);
      free = at + 14;
    }
    ctx.restore();
  },
};

/** The value at the end of each bar. */
const VALUES = {
  id: "values",
  afterDatasetsDraw(chart, _, { texts }) {
    const { ctx } = chart;
    ctx.save();
    ctx.font = "11px sans-serif";
    ctx.textBaseline = "middle";
    ctx.fillStyle = chart.options.color;
    const written = chart.options.indexAxis === "y" ? chart.data.datasets.map((_, number) => number) : [];
    for (const number of written) {
      chart.getDatasetMeta(number).data.forEach((bar, place) => {
        const text = texts[number][place];
        if (text) ctx.fillText(text, bar.x + 4, bar.y);
      });
    }
    ctx.restore();
  },
};

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(name).trim();
  return { series: [named("--series-1"), named("--series-2")], text: named("--body-fg"), grid: named("--plot-grid") };
}

const shortened = (text) => (text.length > LONGEST_LABEL ? `${text.slice(0, LONGEST_LABEL - 1)}…` : text);

function written(value, unit) {
  const text = value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 2 });
  if (unit === "$") return `$${text}`;
  return unit ? `${text} ${unit}` : text;
}

/** What a bar of a breakdown says at its end; of bars in one row, the last says it for all. */
function textsOf({ series }, drawn) {
  if (drawn === "lines") return series.map(({ texts }) => texts);
  const last = series.length - 1;
  return series.map((_, number) => {
    if (drawn === "part" ? number !== 0 : number !== last) return [];
    return series[0].texts.map((_, place) => series.map(({ texts }) => texts[place]).join(" / "));
  });
}

function datasetsOf({ series }, drawn, isList) {
  return series.map(({ label, values }, number) => ({
    label,
    data: values,
    ...(drawn === "lines" && !isList
      ? { type: "line", borderWidth: 2, borderDash: number ? [6, 3] : [], pointRadius: values.length > 40 ? 1 : 2.5, pointHitRadius: 8 }
      : { type: "bar", grouped: drawn === "lines", stack: drawn === "sum" ? "all" : label, order: drawn === "part" ? -number : number, borderWidth: 0 }),
  }));
}

/** Draws; returns `{paint(), mark(place)}`: draw again in the colours that hold now, and show the values of a point or none. */
export function draw(canvas, data, { drawn, isList }) {
  const { unit } = data.series[0];
  const values = { ticks: { callback: (value) => written(value, unit), maxTicksLimit: 6 }, beginAtZero: true, stacked: drawn === "sum" };
  const names = {
    ticks: {
      callback(value) {
        return shortened(this.getLabelForValue(value));
      },
      maxRotation: 0,
      autoSkip: !isList,
      autoSkipPadding: 12,
    },
    grid: { display: false },
    stacked: drawn === "sum",
  };
  const isLines = drawn === "lines" && !isList;
  const longest = Math.max(0, ...data.series.map(({ label }) => label.length));
  const ends = isList ? textsOf(data, drawn) : [];
  const chart = new Chart(canvas, {
    type: "bar",
    data: { labels: data.labels, datasets: datasetsOf(data, drawn, isList) },
    options: {
      animation: false,
      maintainAspectRatio: false,
      indexAxis: isList ? "y" : "x",
      interaction: { mode: "index", intersect: false, axis: isList ? "y" : "x" },
      layout: { padding: { right: isLines ? 14 + longest * 6.5 : isList ? 14 + Math.max(0, ...ends.flat().map(({ length }) => length)) * 6 : 4 } },
      scales: isList ? { x: values, y: names } : { x: names, y: values },
      plugins: {
        legend: { display: false },
        tooltip: {
          callbacks: {
            title: ([item]) => (item ? shortened(item.label) : ""),
            label: ({ datasetIndex, dataIndex, dataset }) => `${dataset.label}: ${data.series[datasetIndex].texts[dataIndex]}`,
          },
        },
        values: { texts: ends },
      },
    },
    plugins: isLines ? [NAMES] : isList ? [VALUES] : [],
  });
  const paint = () => {
    const { series, text, grid } = colours();
    chart.data.datasets.forEach((dataset, number) => {
      dataset.borderColor = dataset.backgroundColor = dataset.pointBackgroundColor = series[number];
    });
    chart.options.color = text;
    for (const scale of Object.values(chart.options.scales)) {
      scale.ticks.color = text;
      scale.grid = { ...scale.grid, color: grid };
      scale.border = { color: grid };
    }
    chart.update();
  };
  const mark = (place) => {
    const active = place === null ? [] : data.series.map((_, datasetIndex) => ({ datasetIndex, index: place }));
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, { x: 0, y: 0 });
    chart.update();
  };
  paint();
  return { paint, mark };
}
