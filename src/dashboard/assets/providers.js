// Each provider with its targets: what the circuit breaker sees and does, and an operator's hand on it.

import { bar, card, chip, empty, h, table } from "./dom.js";
import { ask, now } from "./feed.js";
import * as fmt from "./format.js";

/** How a target is, in a tone and words. */
export function targetState(target, at) {
  const left = (until) => fmt.duration((until - at) / 1000);
  if (target.forced) return [target.forced.to === "open" ? "bad" : "warn", `held ${target.forced.to}, ${left(target.forced.until_ms)}`];
  if (target.phase === "open") return ["bad", target.next_probe_ms > at ? `open, probe in ${left(target.next_probe_ms)}` : "open, probe due"];
  if (target.phase === "half_open") return ["warn", "half open, probing"];
  if (target.cooldown) return ["warn", `cooling down, ${left(target.cooldown.until_ms)}`];
  return ["good", "closed"];
}

function window(target, policy) {
  const calls = target.successes + target.failures;
  if (!calls) return h("span", { class: "muted" }, "no calls");
  return h("div", { class: "cell-bar" },
    h("span", {}, `${fmt.int(target.failures)} of ${fmt.int(calls)} failed`),
    bar(target.failures / calls, target.failures / calls >= policy.failure_rate ? "bad" : target.failures ? "warn" : "good"));
}

function actions(provider, target) {
  const hold = (to, text) => h("button", {
    type: "button", class: "small", "data-action": "force", "data-provider": provider.name, "data-model": target.model, "data-to": to,
    "aria-label": `${text} ${provider.name}/${target.model}`,
  }, text);
  const isHeld = target.forced || target.phase !== "closed" || target.cooldown;
  return h("div", { class: "actions" }, hold("open", "Hold open"), hold("closed", "Hold closed"), isHeld ? hold("auto", "Reset") : null);
}

function provider(one) {
  const { policy } = one;
  const rows = one.targets.map((target) => {
    const [tone, text] = targetState(target, now());
    const failure = target.last_failure;
    return {
      "data-key": target.model,
      cells: [
        h("code", {}, target.model),
        chip(tone, text),
        window(target, policy),
        `${fmt.int(target.consecutive)} of ${fmt.int(policy.consecutive_failures)}`,
        failure ? `${fmt.words(failure.class)}, ${fmt.duration((now() - failure.at_ms) / 1000)} ago` : h("span", { class: "muted" }, "none"),
        actions(one, target),
      ],
    };
  });
  const status = one.status === "ok" ? "good" : one.status === "down" ? "bad" : "warn";
  return h("section", { class: "card", "data-key": one.name },
    h("div", { class: "card-head" },
      h("h2", {}, one.name), chip(status, one.status ?? "unknown"),
      h("p", { class: "hint" }, `${one.kind} · ${one.base_url} · ${one.keys === 1 ? "1 key" : `${one.keys} keys`} · at most ${fmt.int(one.max_in_flight)} calls at once`)),
    rows.length
      ? table(`Targets of ${one.name}`, [["Model"], ["Breaker"], [`Last ${fmt.duration(policy.window_s)}`], ["Failures in a row"], ["Last failure"], ["Operator", "right"]], rows)
      : empty("No target of this provider has been called yet."),
    h("p", { class: "fine" },
      `Opens at ${fmt.percent(policy.failure_rate, 0)} failures of at least ${policy.minimum_calls} calls, or ${policy.consecutive_failures} failures in a row; `
      + `stays open ${fmt.duration(policy.open_for_s)}, doubling while probes fail; closes after ${policy.half_open_probes} probes. `
      + `Up to ${policy.max_attempts} attempts per request. Waits: connect ${fmt.duration(policy.connect_s)}, first byte ${fmt.duration(policy.first_byte_s)}, silence ${fmt.duration(policy.idle_s)}.`));
}

export const providers = {
  title: "Providers",
  render({ sections }) {
    const list = sections.providers ?? [];
    const routes = sections.routes ?? [];
    return [
      list.length ? list.map(provider) : card("Providers", null, empty("No provider is configured.", "OPENAI_API_KEY=… sentinel serve")),
      card("Routes", "first match in this order wins", routes.length
        ? table("Routes", [["Model"], ["Strategy"], ["Targets, in order"]], routes.map((route) => [
          h("code", {}, route.model), route.strategy,
          h("div", { class: "targets" }, route.targets.map((target, index) => [
            index ? h("span", { class: "muted", "aria-hidden": "true" }, " → ") : null,
            h("code", {}, `${target.provider}/${target.model ?? "(as asked)"}`)])),
        ]))
        : empty("No explicit route. Names reach their provider as provider/model, or bare where the catalogue knows them.")),
    ];
  },
};

/** Sends an operator's order about a breaker. */
export async function force({ provider: name, model, to }) {
  const texts = {
    open: `Refuse every call to ${name}/${model} for 5 minutes?`,
    closed: `Admit every call to ${name}/${model} for 5 minutes, whatever the results?`,
    auto: `Forget failures, cooldown and any hold of ${name}/${model}?`,
  };
  if (!confirm(texts[to])) return null;
  const path = [name, ...model.split("/")].map(encodeURIComponent).join("/");
  await ask(`/admin/breakers/${path}`, { method: "POST", json: { state: to, for: "5m" } });
  return to === "auto" ? `${name}/${model} was reset` : `${name}/${model} is held ${to} for 5 minutes`;
}
