// What was spent, by whom, against which limit, and at what prices.

import { bar, card, chip, empty, h, table } from "./dom.js";
import { chart, chartTable } from "./charts.js";
import { ask, now } from "./feed.js";
import * as fmt from "./format.js";

const GROUPS = [["provider", "By provider"], ["model", "By model"], ["key", "By key"], ["day", "By day (UTC)"]];
const EVERY_MS = 10_000;
const MOST_ROWS = 12;
const view = { groups: {}, total: null, error: null, at: 0 };

async function load(changed) {
  if (Date.now() - view.at < EVERY_MS) return;
  view.at = Date.now();
  try {
    const pages = await Promise.all(GROUPS.map(([name]) => ask(`/v1/usage?group_by=${name}`)));
    GROUPS.forEach(([name], index) => { view.groups[name] = pages[index].data; });
    Object.assign(view, { total: pages[0].total, error: null });
  } catch (error) {
    view.error = error.message;
  }
  changed();
}

function group([name, title]) {
  const rows = view.groups[name] ?? [];
  const sorted = name === "day" ? [...rows].reverse() : [...rows].sort((a, b) => Number(b.cost_usd) - Number(a.cost_usd));
  const top = Math.max(...rows.map((row) => Number(row.cost_usd)), 0) || 1;
  return card(title, rows.length > MOST_ROWS ? `${MOST_ROWS} of ${rows.length}` : null, rows.length
    ? table(title, [["Name"], ["Spend", "num"], ["Share"], ["Requests", "num"], ["Tokens", "num"]], sorted.slice(0, MOST_ROWS).map((row) => [
      h("span", { class: "clip" }, row[name] ?? h("span", { class: "muted" }, name === "key" ? "no key" : "none")), fmt.usd(row.cost_usd), bar(Number(row.cost_usd) / top),
      fmt.int(row.requests), fmt.short(row.total_tokens)]))
    : empty("Nothing has been spent yet."));
}

function budget(spent, limit, until) {
  if (limit === null || limit === undefined) return h("span", { class: "muted" }, `${fmt.usd(spent)}, no budget`);
  const share = Number(limit) > 0 ? Number(spent) / Number(limit) : 1;
  const tone = share >= 1 ? "bad" : share >= 0.8 ? "warn" : "good";
  return h("div", { class: "cell-bar", title: until ? `a new day begins in ${fmt.duration((until - now()) / 1000)}` : null },
    h("span", {}, `${fmt.usd(spent)} of ${fmt.usd(limit)} (${fmt.percent(share, 0)})`), bar(share, tone));
}

const limit = (value) => (value ? fmt.int(value) : h("span", { class: "muted" }, "none"));

function limits({ sections }) {
  const { limits: all, totals } = sections;
  if (!all) return null;
  const keys = all.keys ?? [];
  const refused = Object.entries(totals?.rate_limited ?? {});
  return card("Limits and budgets", `window of ${fmt.duration(all.window_s)}`,
    keys.length
      ? table("Keys with their limits", [["Key"], ["Requests", "num"], ["Tokens", "num"], ["At once", "num"], ["Today"], ["This month"], ["Models"]], keys.map((key) => ({
        "data-key": key.id,
        cells: [
          h("div", {}, h("span", { class: "clip" }, key.name), key.in_force ? null : chip("idle", "revoked or expired")),
          limit(key.limits.rpm || all.general.rpm), limit(key.limits.tpm || all.general.tpm), limit(key.limits.max_in_flight || all.general.max_in_flight),
          budget(key.spent_day, key.budget.day, all.day_ends_ms), budget(key.spent_month, key.budget.month),
          h("span", { class: "clip" }, key.models.join(", ") || "*")],
      })))
      : empty("No virtual key exists; every caller is limited by its address.", "sentinel key create --name team-a --rpm 600 --budget-usd-day 25"),
    h("p", { class: "fine" },
      `Callers without limits of their own: ${all.general.rpm ? fmt.int(all.general.rpm) : "any number of"} requests, ${all.general.tpm ? fmt.int(all.general.tpm) : "any number of"} tokens, `
      + `${all.general.max_in_flight ? fmt.int(all.general.max_in_flight) : "any number"} at once. `
      + (refused.length ? `Refused since start: ${refused.map(([reason, count]) => `${fmt.int(count)} by ${fmt.words(reason)}`).join(", ")}.` : "Nobody has been refused since the start.")));
}

function prices({ sections }, params) {
  const { models = [], version } = sections.prices ?? {};
  const wanted = (params.get("price") ?? "").toLowerCase();
  const found = models.filter((row) => row.model.toLowerCase().includes(wanted));
  return card("Price list", `USD per million tokens · ${fmt.int(models.length)} models · version ${version ?? "–"}`,
    h("form", { class: "filters", "data-form": "prices", "data-keep": true, role: "search" },
      h("label", {}, "Find a model", h("input", { name: "price", value: params.get("price") ?? "", type: "search", placeholder: "for example gpt-4o", autocomplete: "off" }))),
    found.length
      ? table("Prices", [["Model"], ["Owner"], ["Input", "num"], ["Output", "num"], ["Cache read", "num"], ["Cache write", "num"]], found.map((row) => ({
        "data-key": row.model,
        cells: [h("code", {}, row.model), row.provider ?? row.owner ?? "any", fmt.usd(row.input), fmt.usd(row.output), fmt.usd(row.cache_read), fmt.usd(row.cache_write)],
      })), { class: "tall" })
      : empty("No model of that name has a price. Requests to it are counted as unpriced, never guessed.", '[cost]\nprices = "my-prices.toml"'));
}

export const cost = {
  title: "Cost and limits",
  render(state, params, changed) {
    load(changed);
    const { total } = view;
    const unpriced = Object.entries(state.sections.totals?.unpriced_requests ?? {}).filter(([, count]) => count > 0);
    return [
      view.error ? card("Spend", null, empty(`Usage cannot be shown: ${view.error}.`)) : null,
      total ? h("div", { class: "tiles four" },
        figure("Spend", fmt.usd(total.cost_usd), "all recorded days"), figure("Saved", fmt.usd(total.saved_usd), "by cached and shared answers"),
        figure("Tokens", fmt.short(total.total_tokens), `${fmt.short(total.prompt_tokens)} in, ${fmt.short(total.completion_tokens)} out`),
        figure("Requests", fmt.short(total.requests), `${fmt.int(total.unpriced_requests)} without a known price`)) : null,
      unpriced.length ? h("p", { class: "notice warn" }, `No price is known for ${unpriced.map(([model, count]) => `${model} (${fmt.int(count)})`).join(", ")}. Add it with cost.prices.`) : null,
      card("Pace of spending", "USD per hour, last 5 min", chart("money", "Chart: US dollars per hour"), chartTable("money", "Pace of spending", state.points)),
      h("div", { class: "grid two" }, GROUPS.map(group)),
      limits(state),
      prices(state, params),
    ];
  },
};

/** A number without a line. */
export function figure(label, value, detail, tone) {
  return h("div", { class: `tile plain ${tone ?? ""}` }, h("div", { class: "tile-label" }, label), h("div", { class: "tile-value" }, value), h("div", { class: "tile-detail" }, detail));
}
