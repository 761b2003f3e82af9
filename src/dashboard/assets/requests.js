// What the audit trail holds, newest first, with filters in the address so that a view can be shared.

import { card, chip, empty, h, table } from "./dom.js";
import { ask } from "./feed.js";
import * as fmt from "./format.js";

const FILTERS = [["provider", "Provider"], ["model", "Model"], ["key", "Key"], ["status", "Status"]];
const SINCE = [["", "Any time"], ["15", "Last 15 min"], ["60", "Last hour"], ["1440", "Last day"]];
const EVERY_MS = 3000;
const view = { rows: null, older: [], cursor: null, error: null, asked: "", at: 0, busy: false };

const tone = (status) => (status < 300 ? "good" : status === 429 || status === 499 ? "warn" : status < 500 ? "note" : "bad");

function query(params) {
  const wanted = new URLSearchParams({ limit: "50" });
  for (const [name] of FILTERS) if (params.get(name)) wanted.set(name, params.get(name));
  const minutes = Number(params.get("since"));
  if (minutes > 0) wanted.set("since", new Date(Date.now() - minutes * 60_000).toISOString());
  return wanted;
}

const isFiltered = (params) => query(params).toString() !== "limit=50";

async function load(params, changed) {
  const key = params.toString().replace(/(^|&)id=[^&]*/, "");
  if (view.asked !== key) Object.assign(view, { rows: null, older: [], cursor: null, error: null, asked: key, at: 0 });
  if (view.busy || Date.now() - view.at < EVERY_MS) return;
  Object.assign(view, { busy: true, at: Date.now() });
  try {
    const page = await ask(`/v1/audit?${query(params)}`);
    if (view.asked === key) {
      Object.assign(view, { rows: page.data, error: null });
      if (!view.older.length) view.cursor = page.next_cursor;
    }
  } catch (error) {
    view.error = error.message;
  }
  view.busy = false;
  changed();
}

/** Loads the page after the last one shown. */
export async function older(params, changed) {
  const wanted = query(params);
  wanted.set("cursor", view.cursor);
  try {
    const page = await ask(`/v1/audit?${wanted}`);
    view.older.push(...page.data);
    view.cursor = page.next_cursor;
  } catch (error) {
    view.error = error.message;
  }
  changed();
}

function filters(params) {
  return h("form", { class: "filters", "data-form": "filters", "data-keep": true, "data-key": query(params).toString().replace(/since=[^&]*/, params.get("since") ?? "") },
    FILTERS.map(([name, label]) => h("label", {}, label,
      h("input", { name, value: params.get(name) ?? "", autocomplete: "off", inputmode: name === "status" ? "numeric" : null, placeholder: "any" }))),
    h("label", {}, "Since", h("select", { name: "since" },
      SINCE.map(([value, text]) => h("option", { value, selected: (params.get("since") ?? "") === value }, text)))),
    h("button", { type: "submit", class: "primary" }, "Apply"),
    isFiltered(params) ? h("a", { class: "button", href: "#/requests" }, "Clear") : null);
}

function row(record, params) {
  const link = new URLSearchParams(params);
  link.set("id", record.request_id);
  const tokens = record.prompt_tokens + record.completion_tokens;
  return {
    "data-key": record.sequence,
    class: record.status >= 500 ? "is-bad" : null,
    cells: [
      h("a", { href: `#/requests?${link}`, "aria-label": `${fmt.stamp(record.timestamp)}, request ${record.request_id}` }, fmt.stamp(record.timestamp)),
      chip(tone(record.status), record.status),
      h("div", { class: "clip" }, record.provider ? [`${record.provider}/${record.model ?? "?"}`, h("div", { class: "sub" }, `route ${record.route ?? "–"}`)] : record.route ?? "–"),
      record.key ? h("span", { class: "clip" }, record.key) : h("span", { class: "muted" }, record.client_addr),
      fmt.ms(record.latency_ms),
      record.ttft_ms === null ? h("span", { class: "muted" }, record.stream ? "–" : "no stream") : fmt.ms(record.ttft_ms),
      record.usage_source || tokens ? fmt.int(tokens) : "–",
      record.cost_usd === null ? h("span", { class: "muted" }, record.usage_source ? "no price" : "–") : fmt.usd(record.cost_usd),
      fmt.int(record.attempts),
      record.cache ?? "–",
      record.error_code ? h("code", {}, record.error_code) : [...Object.keys(record.pii_detected ?? {}).slice(0, 1).map((name) => h("span", { class: "tag" }, fmt.words(name).toLowerCase())),
        record.injection_score > 0.8 ? h("span", { class: "tag bad" }, `injection ${record.injection_score.toFixed(2)}`) : null],
    ],
  };
}

const COLUMNS = [["Time"], ["Status"], ["Model"], ["Key or client"], ["Latency", "num"], ["First token", "num"], ["Tokens", "num"], ["Cost", "num"], ["Tries", "num"], ["Cache"], ["Notes"]];

export const requests = {
  title: "Requests",
  render(state, params, changed) {
    load(params, changed);
    const rows = view.rows === null ? null : [...view.rows, ...view.older.filter((one) => !view.rows.some((known) => known.sequence === one.sequence))];
    const filtered = isFiltered(params);
    const body = view.error
      ? empty(`The records cannot be shown: ${view.error}.`, state.sections.about?.login ? null : 'set auth.admin_token = "${SENTINEL_ADMIN_TOKEN}"')
      : rows === null ? h("p", { class: "loading" }, "Loading…")
        : rows.length ? [
          table("Requests, newest first", COLUMNS, rows.map((record) => row(record, params)), { class: "records" }),
          view.cursor ? h("button", { type: "button", "data-action": "older" }, "Older requests") : h("p", { class: "fine" }, "That is all of them."),
        ]
          : empty(filtered ? "No request matches these filters." : "No request has been recorded yet.", filtered ? null : "sentinel demo");
    return card("Requests", "from the audit trail, newest first; content is not kept unless audit.store_content is on", filters(params), body);
  },
};

const STEPS = {
  limiter: "Limits", guard: "Guard", cache: "Cache", attempt: "Attempt", wait: "Waited", skip: "Skipped", first_token: "First token", end: "End",
};

function timeline(record) {
  const steps = record.timeline ?? [];
  if (!steps.length) return empty("No steps were recorded for this request.");
  const span = Math.max(record.latency_ms, steps.at(-1).at_ms, 1);
  let before = 0;
  return h("ol", { class: "timeline" }, steps.map((step) => {
    const from = step.step === "wait" ? step.at_ms : before;
    const to = step.step === "wait" ? Math.min(span, step.at_ms + (parseFloat(step.detail) || 0)) : step.at_ms;
    before = Math.max(before, to);
    const failed = step.step === "attempt" && !/ (ok|success)$/.test(step.detail);
    const kind = failed ? "bad" : step.step === "wait" || step.step === "skip" ? "warn" : step.step === "attempt" ? "accent" : "good";
    return h("li", { class: kind },
      h("span", { class: "at" }, fmt.ms(step.at_ms)),
      h("span", { class: "what" }, h("strong", {}, STEPS[step.step] ?? fmt.words(step.step)), " ", step.detail ?? ""),
      h("svg", { class: "lane", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
        h("rect", { class: "track", width: 100, height: 6 }),
        h("rect", { class: "fill", x: ((from / span) * 100).toFixed(2), width: Math.max(((to - from) / span) * 100, 0.8).toFixed(2), height: 6 })));
  }));
}

/** Fills the drawer with one record. */
export async function openRecord(id, drawer) {
  let record;
  try {
    record = await ask(`/v1/audit/${encodeURIComponent(id)}`);
  } catch (error) {
    drawer.replaceChildren(head("Request"), empty(error.message));
    return;
  }
  const facts = [
    ["Request", h("code", {}, record.request_id)], ["Time", record.timestamp], ["Caller", record.key ?? record.client_addr],
    ["Route", record.route ?? "–"], ["Answered by", record.provider ? `${record.provider}/${record.model ?? "?"}` : "nobody"],
    ["Latency", fmt.ms(record.latency_ms)], ["First token", record.ttft_ms === null ? "–" : fmt.ms(record.ttft_ms)],
    ["Prompt", `${fmt.int(record.prompt_tokens)} tokens, ${fmt.int(record.cached_tokens)} from the provider's cache`],
    ["Completion", `${fmt.int(record.completion_tokens)} tokens, ${fmt.int(record.reasoning_tokens)} of them reasoning`],
    ["Tokens by", record.usage_source ?? "–"], ["Cost", record.cost_usd === null ? "unknown price" : fmt.usd(record.cost_usd)],
    ["Attempts", fmt.int(record.attempts)], ["Cache", record.cache ?? "–"], ["Ended with", record.finish_reason ?? record.error_code ?? "–"],
    ["Personal data", Object.entries(record.pii_detected ?? {}).map(([name, count]) => `${name} × ${count}`).join(", ") || "none found"],
    ["Injection score", record.injection_score === null ? "not scored" : record.injection_score.toFixed(2)],
    ["Place in the chain", fmt.int(record.sequence)], ["Hash", h("code", { class: "hash" }, record.hash)],
  ];
  drawer.replaceChildren(head("Request", chip(tone(record.status), record.status)),
    h("h3", {}, "Timeline"), timeline(record),
    h("h3", {}, "Record"), h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    record.content ? [h("h3", {}, "Redacted content"), h("pre", {}, record.content)] : "");
}

function head(title, mark) {
  return h("div", { class: "drawer-head" }, h("h2", { id: "drawer-title" }, title), mark,
    h("button", { type: "button", class: "close", "data-action": "close-drawer", "aria-label": "Close" }, "✕"));
}
