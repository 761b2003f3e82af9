// Draws time series with Chart.js where it is embedded, and as a table where it is not.

import { h } from "./dom.js";
import * as fmt from "./format.js";

/** Seconds of one bar: five minutes make sixty. */
const BUCKET_S = 5;
const BUCKETS = 60;

const OUTCOMES = [
  ["ok", "answered", "--series-ok"],
  ["refused", "refused", "--series-refused"],
  ["limited", "limited", "--series-limited"],
  ["failed", "failed", "--series-failed"],
  ["gone", "client left", "--series-gone"],
];

const TIMES = [
  ["ttft50", "first token p50", "--series-1", []],
  ["ttft95", "first token p95 (dashed)", "--series-1", [5, 4]],
  ["lat50", "whole answer p50", "--series-2", []],
  ["lat95", "whole answer p95 (dashed)", "--series-2", [5, 4]],
];

const MONEY = [["usd", "USD per hour", "--series-1", []]];

const drawn = new Map();

/** Sums points up into bars, newest last. */
function buckets(points) {
  const newest = points.at(-1)?.t ?? 0;
  const end = Math.floor(newest / 1000 / BUCKET_S);
  const found = new Map();
  for (const point of points) {
    const slot = Math.floor(point.t / 1000 / BUCKET_S);
    if (!found.has(slot)) found.set(slot, []);
    found.get(slot).push(point);
  }
  // The newest bar is still filling up.
  return Array.from({ length: BUCKETS }, (_, index) => {
    const slot = end - BUCKETS + index;
    return { at: slot * BUCKET_S * 1000, points: found.get(slot) ?? [] };
  });
}

function rows(kind, points) {
  const bars = buckets(points);
  const labels = bars.map((bar) => fmt.clock(bar.at));
  const last = (bar, name) => bar.points.findLast((point) => point[name] !== null)?.[name] ?? null;
  if (kind === "outcomes") {
    const rate = (bar, name) =>
      bar.points.length ? bar.points.reduce((sum, point) => sum + point[name], 0) / bar.points.length : null;
    return { labels, series: OUTCOMES.map(([name, label, colour]) => ({ label, colour, dash: [], data: bars.map((bar) => rate(bar, name)) })) };
  }
  if (kind === "money") {
    const perHour = (bar) => (bar.points.length > 1
      ? ((bar.points.at(-1).usd - bar.points[0].usd) / (bar.points.at(-1).t - bar.points[0].t)) * 3.6e6 : null);
    return { labels, series: MONEY.map(([, label, colour, dash]) => ({ label, colour, dash, data: bars.map(perHour) })) };
  }
  return { labels, series: TIMES.map(([name, label, colour, dash]) => ({ label, colour, dash, data: bars.map((bar) => last(bar, name)) })) };
}

const WRITE = { outcomes: (value) => `${fmt.rate(value)} /s`, times: fmt.ms, money: (value) => `${fmt.usd(value)} /h` };

/** The place of a chart; `mount` fills it. */
export function chart(kind, label) {
  return h("div", { class: "chart", "data-chart": kind, "data-keep": true, role: "img", "aria-label": label });
}

/** The same values for those who do not see the chart, and where there is none. */
export function chartTable(kind, label, points) {
  const { labels, series } = rows(kind, points);
  const every = 6;
  const picked = labels.map((text, index) => index).filter((index) => (index + 1) % every === 0).slice(-6).reverse();
  const grid = h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), series.map((one) => h("th", { scope: "col", class: "num" }, one.label.replace(" (dashed)", ""))))),
    h("tbody", {}, picked.map((index) => h("tr", {},
      h("th", { scope: "row" }, labels[index]),
      series.map((one) => h("td", { class: "num" }, one.data[index] === null ? "–" : WRITE[kind](one.data[index])))))));
  const region = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, grid);
  return globalThis.Chart ? h("details", { class: "as-table" }, h("summary", {}, "As a table"), region) : region;
}

/** Draws every chart on the page, and forgets those that have gone. */
export function mount(points) {
  for (const [place, one] of drawn) {
    if (!place.isConnected) { one.destroy(); drawn.delete(place); }
  }
  for (const place of document.querySelectorAll("[data-chart]")) {
    if (!globalThis.Chart) { place.hidden = true; continue; }
    const kind = place.dataset.chart;
    const { labels, series } = rows(kind, points);
    const one = drawn.get(place) ?? create(place, kind);
    one.data.labels = labels;
    series.forEach((values, index) => {
      one.data.datasets[index] ??= dataset(kind, values);
      one.data.datasets[index].data = values.data;
    });
    one.update("none");
  }
}

/** Draws anew, in the colours of another theme. */
export function repaint(points) {
  for (const [, one] of drawn) one.destroy();
  drawn.clear();
  mount(points);
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function dataset(kind, { label, colour, dash }) {
  const tone = css(colour);
  if (kind === "outcomes") {
    return { label, data: [], backgroundColor: tone, borderWidth: 0, barPercentage: 1, categoryPercentage: 0.82, borderRadius: 1 };
  }
  return { label, data: [], borderColor: tone, backgroundColor: tone, borderWidth: 1.75, borderDash: dash, pointRadius: 0, tension: 0.25, spanGaps: true };
}

function create(place, kind) {
  const canvas = document.createElement("canvas");
  place.replaceChildren(canvas);
  const stacked = kind === "outcomes";
  const [text, grid] = [css("--muted"), css("--line")];
  const one = new globalThis.Chart(canvas, {
    type: stacked ? "bar" : "line",
    data: { labels: [], datasets: [] },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { position: "bottom", align: "start", labels: { color: text, usePointStyle: true, pointStyle: stacked ? "rect" : "line", boxWidth: 9, boxHeight: 9, pointStyleWidth: stacked ? 9 : 26, padding: 14, font: { size: 12 } } },
        tooltip: { callbacks: { label: (item) => ` ${item.dataset.label}: ${WRITE[kind](item.parsed.y)}` } },
      },
      scales: {
        x: { stacked, grid: { display: false }, border: { color: grid }, ticks: { color: text, maxTicksLimit: place.clientWidth < 420 ? 3 : 6, maxRotation: 0, font: { size: 11 } } },
        y: { stacked, beginAtZero: true, grid: { color: grid }, border: { display: false }, ticks: { color: text, maxTicksLimit: 5, font: { size: 11 }, callback: (value) => WRITE[kind](value) } },
      },
    },
  });
  drawn.set(place, one);
  return one;
}
