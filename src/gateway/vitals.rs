//! How each part of the gateway is, for health pages, readiness and the dashboard.

use sentinel_runtime::ActorState;
use serde::Serialize;
use serde_json::Value;

use super::Gateway;
use crate::config::settings::AuditFailure;

/// The whole in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Everything works.
    Ok,
    /// Requests are answered, but something is not as it should be.
    Degraded,
    /// Requests cannot be answered.
    Down,
}

/// How each part is.
#[derive(Debug, Clone, Serialize)]
pub struct Vitals {
    /// The whole in one word.
    pub status: Overall,
    /// The running version.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Where the process stands in its life.
    pub phase: sentinel_runtime::Phase,
    /// Each provider with its targets.
    pub providers: Vec<ProviderVitals>,
    /// The store of limits, cache, budgets, usage and keys.
    pub store: Value,
    /// The audit trail.
    pub audit: Value,
    /// The actor tree in numbers.
    pub actors: ActorVitals,
    /// Why requests should not be sent here, if they should not.
    #[serde(skip)]
    pub not_ready: Option<&'static str>,
}

/// How one provider is.
#[derive(Debug, Clone, Serialize)]
pub struct ProviderVitals {
    /// Its name.
    pub name: String,
    /// `ok`, `degraded` or `down`.
    pub status: Overall,
    /// Its targets that have been used or are configured.
    pub targets: Vec<TargetVitals>,
}

/// How one target is.
#[derive(Debug, Clone, Serialize)]
pub struct TargetVitals {
    /// The provider's model.
    pub model: String,
    /// `closed`, `half_open` or `open`.
    pub circuit_breaker: &'static str,
    /// Whether an operator holds it there.
    pub forced: bool,
    /// Seconds until the next probe, while open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_probe_s: Option<f64>,
    /// Seconds that it is still left alone, because it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_s: Option<f64>,
    /// Why it cools down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_reason: Option<&'static str>,
    /// How its last failed call ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<&'static str>,
}

/// The actor tree in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct ActorVitals {
    /// All actors.
    pub total: usize,
    /// Those that run.
    pub running: usize,
    /// Restarts since the start.
    pub restarts: u64,
    /// Worker threads that do not turn.
    pub stalled_workers: Vec<String>,
    /// Names of those that do not run.
    pub not_running: Vec<String>,
}

impl Gateway {
    /// Looks at every part.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        let actors = self.actor_vitals();
        let providers = self.provider_vitals();
        let (store, store_well) = self.store_vitals();
        let (audit, audit_well, not_ready) = self.audit_vitals();
        let all_down =
            !providers.is_empty() && providers.iter().all(|provider| provider.status == Overall::Down);
        let all_ok = providers.iter().all(|provider| provider.status == Overall::Ok);
        let status = if all_down || not_ready.is_some() {
            Overall::Down
        } else if all_ok
            && actors.not_running.is_empty()
            && actors.stalled_workers.is_empty()
            && store_well
            && audit_well
        {
            Overall::Ok
        } else {
            Overall::Degraded
        };
        Vitals {
            status,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: self.clock.now().saturating_duration_since(self.started).as_secs(),
            phase: self.lifecycle.phase(),
            providers,
            store,
            audit,
            actors,
            not_ready,
        }
    }

    fn actor_vitals(&self) -> ActorVitals {
        let stalled = self.watchdog.stalled();
        let rows = self.registry.snapshot();
        let is_running = |state| matches!(state, ActorState::Running | ActorState::Stopped);
        ActorVitals {
            total: rows.len(),
            running: rows.iter().filter(|row| is_running(row.state)).count(),
            restarts: rows.iter().map(|row| row.restarts).sum(),
            stalled_workers: stalled,
            not_running: rows
                .iter()
                .filter(|row| !is_running(row.state))
                .map(|row| row.name.to_string())
                .collect(),
        }
    }

    fn provider_vitals(&self) -> Vec<ProviderVitals> {
        let (live, now) = (self.live(), self.clock.now());
        let views = self.breakers.view();
        let seconds = |until: tokio::time::Instant| until.saturating_duration_since(now).as_secs_f64();
        live.config
            .providers
            .iter()
            .map(|spec| {
                let targets: Vec<_> = views
                    .iter()
                    .filter(|view| view.key.provider == spec.name)
                    .map(|view| TargetVitals {
                        model: view.key.model.to_string(),
                        circuit_breaker: view.breaker.phase.as_str(),
                        forced: view.breaker.forced.is_some(),
                        next_probe_s: view.breaker.next_probe.map(seconds),
                        cooldown_s: view.cooldown.as_ref().map(|cooling| seconds(cooling.until)),
                        cooldown_reason: view.cooldown.as_ref().map(|cooling| cooling.class.as_str()),
                        last_failure: view.breaker.last_failure.map(|(class, _)| class.as_str()),
                    })
                    .collect();
                let is_out =
                    |target: &TargetVitals| target.circuit_breaker == "open" || target.cooldown_s.is_some();
                let is_well =
                    |target: &TargetVitals| target.circuit_breaker == "closed" && target.cooldown_s.is_none();
                let status = if targets.iter().all(is_well) {
                    Overall::Ok
                } else if targets.iter().all(is_out) {
                    Overall::Down
                } else {
                    Overall::Degraded
                };
                ProviderVitals { name: spec.name.to_string(), status, targets }
            })
            .collect()
    }

    fn store_vitals(&self) -> (Value, bool) {
        let health = self.stores.health();
        let is_well = health.is_well();
        (serde_json::to_value(health).unwrap_or_default(), is_well)
    }

    fn audit_vitals(&self) -> (Value, bool, Option<&'static str>) {
        let health = self.audit.health();
        let refuses = self.live().config.audit.on_failure == AuditFailure::Deny;
        let not_ready = (!health.ok && refuses).then_some("the audit trail cannot be written");
        let is_well = health.ok;
        (serde_json::to_value(health).unwrap_or_default(), is_well, not_ready)
    }
}
