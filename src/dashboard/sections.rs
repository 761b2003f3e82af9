//! What the gateway's parts look like at one moment, each part as JSON of its own so that only changes are sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_domain::ids::Caller;
use sentinel_domain::policy::{BudgetLimits, CallerLimits, ProviderSpec};
use sentinel_graph::breaker::{Override, TargetView};
use sentinel_store::WorkerStores;
use sentinel_store::budget::Periods;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::assets;
use crate::config::Config;
use crate::config::access::AuthMode;
use crate::config::guards::GuardMode;
use crate::gateway::{Gateway, Live};

/// Sections by name, each as JSON.
pub(super) type Sections = BTreeMap<&'static str, String>;

/// Keys shown at most; the command line lists all.
const MOST_KEYS: usize = 200;
/// Times are shown to half a second, so that rounding alone changes nothing.
const STEP_MS: u64 = 500;

/// Sections that change only with the configuration, kept until it is replaced.
#[derive(Default)]
pub(super) struct Fixed {
    of: Option<Arc<Live>>,
    sections: Sections,
}

impl Fixed {
    /// Builds every section.
    pub(super) fn build(&mut self, gateway: &Gateway, stores: &WorkerStores) -> Sections {
        let live = gateway.live();
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &live)) {
            self.sections =
                [("settings", settings(&live)), ("prices", prices(&live)), ("routes", routes(&live))]
                    .map(|(name, value)| (name, value.to_string()))
                    .into();
            self.of = Some(Arc::clone(&live));
        }
        let mut sections = self.sections.clone();
        let moving = [
            ("about", about(gateway, &live)),
            ("totals", totals(gateway)),
            ("providers", providers(gateway, &live)),
            ("limits", limits(gateway, &live, stores)),
            ("guards", guards(&live, stores)),
            ("store", json!(gateway.stores.health())),
            ("audit", json!(gateway.audit.health())),
            ("actors", actors(gateway)),
        ];
        sections.extend(moving.map(|(name, value)| (name, value.to_string())));
        sections
    }
}

fn about(gateway: &Gateway, live: &Live) -> Value {
    let vitals = gateway.vitals();
    let config = &live.config;
    let up_ms = vitals.uptime_s.saturating_mul(1000);
    json!({
        "version": vitals.version,
        "status": vitals.status,
        "phase": vitals.phase,
        "not_ready": vitals.not_ready,
        "started_ms": round(gateway.clock.unix_ms().saturating_sub(up_ms), 2000),
        "listen": config.server.listen.to_string(),
        "admin_listen": config.server.admin_listen.map(|address| address.to_string()),
        "login": config.auth.admin_token.is_some(),
        "auth": match config.auth.mode { AuthMode::None => "none", AuthMode::Keys => "keys" },
        "charts": assets::HAS_CHARTS,
        "store_content": config.audit.store_content,
    })
}

/// What `GET /metrics` says, without what has a section of its own.
fn totals(gateway: &Gateway) -> Value {
    let mut report = gateway.report();
    if let Some(report) = report.as_object_mut() {
        for name in ["uptime_s", "audit", "store", "circuit_breakers"] {
            report.remove(name);
        }
    }
    report
}

fn providers(gateway: &Gateway, live: &Live) -> Value {
    let statuses: BTreeMap<String, _> =
        gateway.vitals().providers.into_iter().map(|vitals| (vitals.name, vitals.status)).collect();
    let views = gateway.breakers.view();
    let shown = live.config.providers.iter().map(|spec| {
        let targets = views.iter().filter(|view| view.key.provider == spec.name);
        json!({
            "name": &*spec.name,
            "kind": spec.kind,
            "base_url": &spec.base_url,
            "status": statuses.get(&*spec.name),
            "keys": spec.api_keys.len(),
            "max_in_flight": spec.max_in_flight,
            "policy": policy(spec),
            "targets": targets.map(|view| target(gateway, view)).collect::<Vec<_>>(),
        })
    });
    Value::Array(shown.collect())
}

fn policy(spec: &ProviderSpec) -> Value {
    let (breaker, retry, waits) = (&spec.breaker, &spec.retry, &spec.timeouts);
    json!({
        "window_s": breaker.window.as_secs_f64(),
        "minimum_calls": breaker.minimum_calls,
        "failure_rate": breaker.failure_rate,
        "consecutive_failures": breaker.consecutive_failures,
        "open_for_s": breaker.open_for.as_secs_f64(),
        "half_open_probes": breaker.half_open_probes,
        "max_attempts": retry.max_attempts,
        "connect_s": waits.connect.as_secs_f64(),
        "first_byte_s": waits.first_byte.as_secs_f64(),
        "idle_s": waits.idle.as_secs_f64(),
    })
}

fn target(gateway: &Gateway, view: &TargetView) -> Value {
    let at = |instant: Instant| moment(gateway, instant);
    let breaker = &view.breaker;
    json!({
        "model": &*view.key.model,
        "phase": breaker.phase.as_str(),
        "forced": breaker.forced.map(|(wanted, until)| json!({
            "to": match wanted { Override::Open => "open", Override::Closed => "closed" },
            "until_ms": at(until),
        })),
        "opened_ms": breaker.opened_at.map(at),
        "next_probe_ms": breaker.next_probe.map(at),
        "successes": breaker.counts.successes,
        "failures": breaker.counts.failures,
        "consecutive": breaker.consecutive_failures,
        "last_failure": breaker.last_failure.map(|(class, when)| json!({ "class": class.as_str(), "at_ms": at(when) })),
        "cooldown": view.cooldown.as_ref().map(|cooling| json!({
            "class": cooling.class.as_str(), "until_ms": at(cooling.until),
        })),
    })
}

/// Turns a moment of the monotonic clock into wall time, for countdowns in the browser.
fn moment(gateway: &Gateway, instant: Instant) -> u64 {
    let (now, now_ms) = (gateway.clock.now(), gateway.clock.unix_ms());
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let ahead = millis(instant.saturating_duration_since(now));
    let behind = millis(now.saturating_duration_since(instant));
    round(now_ms.saturating_add(ahead).saturating_sub(behind), STEP_MS)
}

const fn round(ms: u64, step: u64) -> u64 {
    ms.saturating_add(step / 2) / step * step
}

fn limits(gateway: &Gateway, live: &Live, stores: &WorkerStores) -> Value {
    let config = &live.config;
    let (now_ms, keys) = (gateway.clock.unix_ms(), gateway.stores.keys().all());
    let periods = Periods::at(now_ms);
    let shown = keys.iter().take(MOST_KEYS).map(|key| {
        let (day, month) = stores.budgets.spent(&Caller::Key(key.name.as_str().into()), &periods);
        json!({
            "id": &key.id,
            "name": &key.name,
            "in_force": key.is_in_force(now_ms),
            "limits": caller(key.limits),
            "budget": budget(key.budget),
            "models": &key.models,
            "spent_day": day,
            "spent_month": month,
        })
    });
    json!({
        "general": caller(config.limits.caller),
        "window_s": config.limits.window.as_secs(),
        "budget": budget(config.cost.budget),
        "day_ends_ms": periods.day_ends_ms,
        "keys_total": keys.len(),
        "keys": shown.collect::<Vec<_>>(),
    })
}

fn caller(limits: CallerLimits) -> Value {
    json!({ "rpm": limits.rpm, "tpm": limits.tpm, "max_in_flight": limits.max_in_flight })
}

fn budget(limits: BudgetLimits) -> Value {
    json!({ "day": limits.day, "month": limits.month })
}

fn guards(live: &Live, stores: &WorkerStores) -> Value {
    let Config { pii, injection, cache, .. } = &live.config;
    let stats = stores.cache.stats();
    json!({
        "pii": {
            "mode": mode(pii.mode),
            "response_mode": mode(pii.response_mode),
            "restore": pii.restore,
            "entities": &pii.entities,
            "presidio": !pii.presidio_url.is_empty(),
        },
        "injection": { "mode": mode(injection.mode), "threshold": injection.threshold },
        "cache": {
            "enabled": cache.enabled,
            "coalesce": cache.coalesce,
            "ttl_s": cache.ttl.as_secs(),
            "max_bytes": cache.max_bytes,
            "entries": stats.entries,
            "bytes": stats.bytes,
            "stored": stats.stored,
            "evicted": stats.evicted,
        },
    })
}

const fn mode(mode: GuardMode) -> &'static str {
    match mode {
        GuardMode::Off => "off",
        GuardMode::Detect => "detect",
        GuardMode::Redact => "redact",
        GuardMode::Block => "block",
    }
}

fn actors(gateway: &Gateway) -> Value {
    let now_ms = gateway.clock.unix_ms();
    let rows = gateway.registry.snapshot().into_iter().map(|row| {
        json!({
            "name": row.name,
            "parent": row.parent,
            "kind": row.kind,
            "state": row.state,
            "critical": row.critical,
            "depth": row.depth,
            "in_flight": row.in_flight,
            "cap": row.cap,
            "handled": row.handled,
            "refused": row.refused,
            "restarts": row.restarts,
            "last_failure": row.last_failure,
            "since_ms": round(now_ms.saturating_sub(row.uptime_ms), 2 * STEP_MS),
        })
    });
    Value::Array(rows.collect())
}

fn settings(live: &Live) -> Value {
    let rows = live.settings.iter().map(|setting| {
        json!({
            "path": setting.path,
            "value": setting.shown,
            "default": setting.default,
            "source": setting.origin.to_string(),
            "doc": setting.doc,
        })
    });
    Value::Array(rows.collect())
}

fn prices(live: &Live) -> Value {
    let catalogue = live.prices.catalogue();
    let rows = catalogue.list().into_iter().map(|row| {
        let price = row.standard();
        json!({
            "model": row.name,
            "owner": row.owner,
            "provider": row.provider,
            "input": price.input,
            "output": price.output,
            "cache_read": price.cache_read,
            "cache_write": price.cache_write_5m,
        })
    });
    json!({ "version": catalogue.version().as_str(), "models": rows.collect::<Vec<_>>() })
}

fn routes(live: &Live) -> Value {
    let rows = live.config.routes.iter().map(|route| {
        let targets = route.targets.iter().map(
            |target| json!({ "provider": &*target.provider, "model": target.model.as_deref(), "weight": target.weight }),
        );
        json!({ "model": &*route.model, "strategy": route.strategy, "targets": targets.collect::<Vec<_>>() })
    });
    Value::Array(rows.collect())
}
