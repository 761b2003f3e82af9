// What the guards found and what the cache saved.

import { bar, card, chip, empty, h, table } from "./dom.js";
import { figure } from "./cost.js";
import * as fmt from "./format.js";

function counts(label, values, tone) {
  const rows = Object.entries(values ?? {}).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  const top = Math.max(...rows.map(([, count]) => count), 1);
  if (!rows.length) return null;
  return table(label, [["Found"], ["Times", "num"], ["Share"]], rows.map(([name, count]) => [fmt.words(name), fmt.int(count), bar(count / top, tone?.(name) ?? "accent")]));
}

const MODES = {
  off: ["idle", "off"], detect: ["note", "detect: count and record"], redact: ["good", "redact: replaced by placeholders"], block: ["good", "block: the request is refused"],
};
const mode = (name) => chip(...(MODES[name] ?? ["idle", name]));

export const guards = {
  title: "Guards and cache",
  render({ sections }) {
    const { guards: all, totals } = sections;
    if (!all || !totals) return h("p", { class: "loading" }, "Loading…");
    const { pii, injection, cache } = all;
    const { hits, misses, coalesced } = totals.cache;
    const looks = hits + misses + coalesced;
    const verdict = (name) => (name === "injection" || name === "malicious" || name === "block" ? "bad" : name === "benign" || name === "clean" ? "good" : "warn");
    return [
      h("div", { class: "tiles four" },
        figure("Personal data found", fmt.int(Object.values(totals.pii).reduce((a, b) => a + b, 0)), "in requests and answers since start"),
        figure("Prompts scored", fmt.int(Object.values(totals.injection).reduce((a, b) => a + b, 0)), `threshold ${injection.threshold}`),
        figure("Cache hits", looks ? fmt.percent((hits + coalesced) / looks, 0) : "–", `${fmt.int(hits)} hits, ${fmt.int(coalesced)} shared, ${fmt.int(misses)} misses`),
        figure("Saved", fmt.usd(totals.cost_saved_usd), "by cached and shared answers since start")),
      h("div", { class: "grid three" },
        card("Personal data", null,
          h("dl", { class: "facts" },
            h("dt", {}, "Requests"), h("dd", {}, mode(pii.mode)),
            h("dt", {}, "Answers"), h("dd", {}, mode(pii.response_mode)),
            h("dt", {}, "Own values put back"), h("dd", {}, pii.restore ? "yes" : "no"),
            h("dt", {}, "Looked for"), h("dd", {}, pii.entities.join(", ")),
            h("dt", {}, "Presidio"), h("dd", {}, pii.presidio ? "asked as well" : "not used")),
          counts("Personal data by entity", totals.pii) ?? empty("Nothing has been found since the start.", "echo '{\"id\":1,\"text\":\"mail me at a@example.org\"}' | sentinel scan")),
        card("Prompt injection", null,
          h("dl", { class: "facts" },
            h("dt", {}, "Mode"), h("dd", {}, mode(injection.mode)),
            h("dt", {}, "Threshold"), h("dd", {}, `score of ${injection.threshold} of 1`)),
          counts("Prompts by verdict", totals.injection, verdict) ?? empty("No prompt has been scored since the start.")),
        card("Cache", null,
          cache.enabled ? null : h("p", { class: "notice" }, "The cache is off (cache.enabled = false)."),
          h("dl", { class: "facts" },
            h("dt", {}, "Kept now"), h("dd", {}, `${fmt.int(cache.entries)} answers`),
            h("dt", {}, "Room"), h("dd", {}, h("div", { class: "cell-bar" }, h("span", {}, `${fmt.bytes(cache.bytes)} of ${fmt.bytes(cache.max_bytes)}`), bar(cache.bytes / cache.max_bytes))),
            h("dt", {}, "Good for"), h("dd", {}, fmt.duration(cache.ttl_s)),
            h("dt", {}, "Calls in flight shared"), h("dd", {}, cache.coalesce ? "yes" : "no"),
            h("dt", {}, "Made room for others"), h("dd", {}, `${fmt.int(cache.evicted)} of ${fmt.int(cache.stored)} stored`)))),
    ];
  },
};
