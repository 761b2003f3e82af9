// The machine room: actors, store, audit trail, configuration.

import { bar, card, chip, empty, h, table } from "./dom.js";
import { ask, now } from "./feed.js";
import * as fmt from "./format.js";

const view = { verdict: null, error: null, busy: false, filter: "", changed: false };

const STATES = { running: "good", starting: "note", backing_off: "warn", down: "bad", stopping: "note", stopped: "idle" };

/** Puts every node behind its parent, with its depth. */
function ordered(rows) {
  const children = Map.groupBy ? Map.groupBy(rows, (row) => row.parent) : group(rows);
  const known = new Set(rows.map((row) => row.name));
  const found = [];
  const visit = (row, depth) => {
    found.push({ ...row, level: depth });
    for (const child of children.get(row.name) ?? []) visit(child, depth + 1);
  };
  for (const row of rows) if (!row.parent || !known.has(row.parent)) visit(row, 0);
  return found;
}

function group(rows) {
  const groups = new Map();
  for (const row of rows) groups.set(row.parent, [...(groups.get(row.parent) ?? []), row]);
  return groups;
}

function actor(row) {
  const own = row.level && row.parent && row.name.startsWith(`${row.parent}/`) ? row.name.slice(row.parent.length + 1) : row.name;
  const isActor = row.kind === "actor";
  return {
    "data-key": row.name,
    cells: [
      h("span", { class: `tree level-${Math.min(row.level, 4)}` }, h("code", {}, own), row.critical ? h("span", { class: "tag", title: "the process ends when it goes down" }, "critical") : null),
      row.kind === "supervisor" ? h("span", { class: "muted" }, "supervisor") : chip(STATES[row.state] ?? "idle", fmt.words(row.state)),
      row.cap ? h("div", { class: "cell-bar" }, h("span", {}, `${fmt.int(row.depth)} of ${fmt.int(row.cap)}`), bar(row.depth / row.cap, row.depth / row.cap > 0.8 ? "bad" : "good")) : "",
      row.kind === "supervisor" ? "" : fmt.int(row.handled),
      row.kind === "supervisor" ? "" : row.refused ? h("strong", {}, fmt.int(row.refused)) : "0",
      row.kind === "supervisor" ? "" : row.restarts ? h("strong", {}, fmt.int(row.restarts)) : "0",
      row.last_failure ? h("span", { class: "clip", title: row.last_failure.location ?? "" }, `${fmt.clock(row.last_failure.at_unix_ms)} ${row.last_failure.message}`) : "",
      isActor ? h("button", { type: "button", class: "small", "data-action": "restart", "data-name": row.name, "aria-label": `Restart ${row.name}` }, "Restart") : "",
    ],
  };
}

function store({ store: one }) {
  if (!one) return null;
  const well = one.up && one.writable;
  return card("Store", null, h("dl", { class: "facts" },
    h("dt", {}, "Backend"), h("dd", {}, one.backend),
    h("dt", {}, "State"), h("dd", {}, well ? chip("good", "works") : chip("bad", one.up ? "takes no writes" : "not reached")),
    one.degraded_for !== null ? [h("dt", {}, "Not well for"), h("dd", {}, fmt.duration(one.degraded_for))] : null,
    h("dt", {}, "Failed operations"), h("dd", {}, fmt.int(one.failures)),
    h("dt", {}, "Answered locally"), h("dd", {}, fmt.int(one.fallbacks)),
    one.last_error ? [h("dt", {}, "Last error"), h("dd", {}, one.last_error)] : null));
}

function audit({ audit: one }) {
  if (!one) return null;
  const { verdict } = view;
  return card("Audit trail", null,
    h("dl", { class: "facts" },
      h("dt", {}, "State"), h("dd", {}, one.ok ? chip("good", "records are written") : chip("bad", "records are not written")),
      h("dt", {}, "Records"), h("dd", {}, `${fmt.int(one.entries)}, ${fmt.int(one.backlog)} waiting, ${fmt.int(one.open)} open`),
      h("dt", {}, "Lost"), h("dd", {}, one.dropped ? chip("bad", fmt.int(one.dropped)) : "0"),
      h("dt", {}, "Head"), h("dd", {}, h("code", { class: "hash" }, one.head_hash || "–"), h("div", { class: "sub" }, `row ${fmt.int(one.head_sequence)}`)),
      one.last_error ? [h("dt", {}, "Last error"), h("dd", {}, one.last_error)] : null),
    h("div", { class: "verify" },
      h("button", { type: "button", class: "primary", "data-action": "verify", disabled: view.busy }, view.busy ? "Verifying…" : "Verify the chain"),
      h("span", { role: "status" }, view.error ? chip("bad", view.error)
        : verdict ? verdict.ok
          ? chip("good", `${fmt.int(verdict.entries)} records hold, head ${String(verdict.head).slice(0, 12)}…`)
          : chip("bad", `broken: ${JSON.stringify(verdict.first_break)}`)
          : "")));
}

function settings({ settings: all = [] }, params) {
  const wanted = (params.get("setting") ?? "").toLowerCase();
  const onlyChanged = params.get("changed") === "1";
  const rows = all.filter((row) => row.path.toLowerCase().includes(wanted) && (!onlyChanged || row.source !== "default"));
  return card("Configuration in force", "with the source of each value; secrets are masked",
    h("form", { class: "filters", "data-form": "settings", "data-keep": true, role: "search" },
      h("label", {}, "Find a setting", h("input", { name: "setting", type: "search", value: params.get("setting") ?? "", autocomplete: "off", placeholder: "for example breaker" })),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "changed", value: "1", checked: onlyChanged }), "Only what is set")),
    rows.length
      ? table("Settings", [["Setting"], ["Value"], ["Source"], ["Meaning", "wide"]], rows.map((row) => ({
        "data-key": row.path,
        cells: [h("code", {}, row.path), h("code", { class: "value" }, row.value), row.source === "default" ? h("span", { class: "muted" }, "default") : h("strong", { class: "nowrap" }, row.source), h("span", { class: "doc" }, row.doc)],
      })), { class: "tall" })
      : empty("No setting matches.", "sentinel check"));
}

export const system = {
  title: "System",
  render({ sections }, params) {
    const { about, actors = [] } = sections;
    const living = actors.filter((row) => row.kind !== "supervisor");
    const down = living.filter((row) => !["running", "stopped"].includes(row.state));
    return [
      h("div", { class: "grid three" },
        card("Process", null, h("dl", { class: "facts" },
          h("dt", {}, "Version"), h("dd", {}, about?.version ?? "–"),
          h("dt", {}, "State"), h("dd", {}, about?.status === "ok" ? chip("good", "ok") : chip(about?.status === "down" ? "bad" : "warn", about?.not_ready ?? about?.status ?? "–")),
          h("dt", {}, "Phase"), h("dd", {}, fmt.words(about?.phase ?? "–")),
          h("dt", {}, "Up for"), h("dd", {}, fmt.duration((now() - (about?.started_ms ?? now())) / 1000)),
          h("dt", {}, "Listens on"), h("dd", {}, about?.listen ?? "–", about?.admin_listen ? `, operators on ${about.admin_listen}` : ""),
          h("dt", {}, "Callers need"), h("dd", {}, about?.auth === "keys" ? "a virtual key" : "nothing (mode none)"),
          h("dt", {}, "Operators need"), h("dd", {}, about?.login ? "the admin token" : "nothing (no admin token is set)"))),
        store(sections), audit(sections)),
      card("Actors", down.length ? `${down.length} of ${living.length} do not run` : `${living.length} run`,
        table("Actors", [["Name"], ["State"], ["Mailbox"], ["Handled", "num"], ["Refused", "num"], ["Restarts", "num"], ["Last failure"], ["Operator", "right"]], ordered(actors).map(actor), { class: "actors" })),
      settings(sections, params),
    ];
  },
};

/** Checks the whole chain of records. */
export async function verify(changed) {
  Object.assign(view, { busy: true, error: null });
  changed();
  try {
    view.verdict = await ask("/v1/audit/verify");
  } catch (error) {
    view.error = error.message;
  }
  view.busy = false;
  changed();
}

/** Builds an actor anew. */
export async function restart({ name }) {
  if (!confirm(`Restart ${name}? Its queue stays; the message in hand is lost.`)) return null;
  await ask(`/admin/actors/${name.split("/").map(encodeURIComponent).join("/")}/restart`, { method: "POST" });
  return `${name} is being restarted`;
}
