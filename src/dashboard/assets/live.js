// Whether it is healthy, how fast, what it costs and which provider is in trouble: at one look.

import { card, chip, empty, h, sparkline } from "./dom.js";
import { chart, chartTable } from "./charts.js";
import { now } from "./feed.js";
import * as fmt from "./format.js";
import { targetState } from "./providers.js";

const sum = (points, name) => points.reduce((total, point) => total + point[name], 0);

/** Mean of the points around each, to draw a calm line. */
function calm(points, value, width = 10) {
  return points.map((_, index) => {
    const around = points.slice(Math.max(0, index - width + 1), index + 1);
    return value(around);
  }).filter((_, index) => index % 4 === 3 || points.length < 40);
}

const newest = (points, name) => points.findLast((point) => point[name] !== null)?.[name] ?? null;
const all = (point) => point.ok + point.refused + point.limited + point.failed + point.gone;
const requests = (points) => points.reduce((total, point) => total + all(point), 0);

function tile(label, [value, unit], detail, how, line, tone) {
  return h("div", { class: `tile ${tone ?? ""}`, title: how },
    h("div", { class: "tile-label" }, label),
    h("div", { class: "tile-value" }, value, unit ? h("span", { class: "unit" }, ` ${unit}`) : null),
    h("div", { class: "tile-detail" }, detail),
    sparkline(line, tone || "accent"));
}

function tiles({ points, sections }) {
  const { totals } = sections;
  const minute = points.slice(-60);
  const asked = requests(minute);
  const failed = sum(minute, "failed");
  const share = asked ? failed / asked : 0;
  const ten = points.slice(-10);
  const [first, last] = [points[0], points.at(-1)];
  const perHour = last && last.t > first.t ? ((last.usd - first.usd) / (last.t - first.t)) * 3.6e6 : null;
  const [hits, looks] = [sum(points, "hits"), sum(points, "looks")];
  const meanRate = (around) => requests(around) / Math.max(around.length, 1);
  const spend = (around) => (around.length > 1
    ? ((around.at(-1).usd - around[0].usd) / (around.at(-1).t - around[0].t)) * 3.6e6 : 0);
  const times = (name) => calm(points, (around) => around.at(-1)[name]);
  return h("div", { class: "tiles" },
    tile("Requests", [fmt.rate(ten.length ? meanRate(ten) : null), "/s"], `${fmt.int(totals.requests_by_route?.["/v1/chat/completions"] ?? 0)} since start`,
      "Chat requests that ended, mean of the last 10 s", calm(points, meanRate)),
    tile("Failed", [asked ? (share * 100).toFixed(1) : "0.0", "%"],
      `${fmt.int(failed)} failed, ${fmt.int(sum(minute, "limited"))} limited, ${fmt.int(sum(minute, "refused"))} refused in 1 min`,
      "Share of chat requests of the last minute that ended with a 5xx status; limits and refusals are not failures",
      calm(points, (around) => sum(around, "failed")), share > 0.05 ? "bad" : share > 0 ? "warn" : "good"),
    tile("First token, p95", fmt.msParts(newest(points, "ttft95")), `p50 ${fmt.ms(newest(points, "ttft50"))}`,
      "Time from a request's arrival to its first meaningful event; streams only; window of 15 s", times("ttft95")),
    tile("Whole answer, p95", fmt.msParts(newest(points, "lat95")), `p50 ${fmt.ms(newest(points, "lat50"))}`,
      "Time from a request's arrival to its last byte; window of 15 s", times("lat95")),
    tile("Gateway's share, p95", fmt.msParts(newest(points, "own95")), `p50 ${fmt.ms(totals.overhead_ms?.p50)} since start`,
      "Time to the answer's head less the time spent waiting for providers; window of 15 s", times("own95")),
    tile("In flight", [fmt.int(last?.active), ""], `${fmt.int(last?.streams)} of them streams`,
      "Chat requests under way now, streams included", calm(points, (around) => around.at(-1).active)),
    tile("Spend", [fmt.usd(perHour), "/h"], `${fmt.usd(totals.total_cost_usd)} since start`,
      "What was spent in the last 5 minutes, per hour at that pace", calm(points, spend)),
    tile("Cache hits", [looks ? ((hits / looks) * 100).toFixed(0) : "–", looks ? "%" : ""], `${fmt.usd(totals.cost_saved_usd)} saved since start`,
      "Share of requests of the last 5 minutes that were answered from the cache or by sharing a call",
      calm(points, (around) => (sum(around, "looks") ? sum(around, "hits") / sum(around, "looks") : 0), 20)));
}

function strip({ sections }) {
  const providers = sections.providers ?? [];
  if (!providers.length) return empty("No provider is configured.", "OPENAI_API_KEY=… sentinel serve");
  return h("ul", { class: "strip" }, providers.map((provider) =>
    h("li", { class: "strip-provider", "data-key": provider.name },
      h("div", { class: "strip-head" },
        h("a", { href: "#/providers" }, provider.name),
        provider.status === "ok" ? chip("good", "ok") : chip(provider.status === "down" ? "bad" : "warn", provider.status)),
      provider.targets.length
        ? h("ul", { class: "strip-targets" }, provider.targets.map((target) => {
          const [tone, text] = targetState(target, now());
          return h("li", { "data-key": target.model }, h("span", { class: "model" }, target.model), chip(tone, text));
        }))
        : h("p", { class: "muted" }, "not called yet"))));
}

function feed({ events }) {
  if (!events.length) return empty("Nothing noteworthy has happened since the start.");
  const tones = { good: "good", note: "note", warn: "warn", bad: "bad" };
  return h("ol", { class: "events", tabindex: 0, "aria-label": "Events, newest first" }, events.slice(-60).reverse().map((event) =>
    h("li", { "data-key": event.sequence },
      h("time", { datetime: new Date(event.at_unix_ms).toISOString() }, fmt.clock(event.at_unix_ms)),
      chip(tones[event.level] ?? "note", event.kind),
      h("span", { class: "event-text" }, h("strong", {}, event.subject), " ", event.text))));
}

export const live = {
  title: "Live",
  render(state) {
    const { points, sections } = state;
    const nothing = !(sections.totals?.requests_by_route?.["/v1/chat/completions"] > 0);
    return [
      tiles(state),
      nothing ? empty("No chat request has arrived yet. Send the first one:",
        `curl http://${sections.about?.admin_listen ? sections.about.listen : location.host}/v1/chat/completions -H 'content-type: application/json'${sections.about?.auth === "keys" ? " -H 'authorization: Bearer KEY'" : ""} -d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}'`) : null,
      h("div", { class: "grid two" },
        card("Requests by outcome", "per second, last 5 min", chart("outcomes", "Chart: chat requests per second by outcome"), chartTable("outcomes", "Requests by outcome", points)),
        card("Time to first token and latency", "p50 and p95, window of 15 s", chart("times", "Chart: time to first token and latency"), chartTable("times", "Time to first token and latency", points))),
      h("div", { class: "grid two" },
        card("Providers", null, strip(state)),
        card("Events", "newest first", feed(state))),
    ];
  },
};
