//! Makes the gateway from a configuration, and takes a new one on a reload.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sentinel_domain::policy::{BudgetLimits, CallerLimits};
use sentinel_graph::audit::AuditService;
use sentinel_graph::breaker::{BreakerBoard, Phase, Transition};
use sentinel_graph::random::Random;
use sentinel_graph::retry::RetryBudgets;
use sentinel_graph::routing::Latencies;
use sentinel_runtime::{Clock, Lifecycle, Registry, Sighting, Tracker, Watchdog};
use sentinel_store::audit::{self, AuditConfig, AuditTrail};
use sentinel_store::cache::CachePolicy;
use sentinel_store::cache::coalesce::{CoalesceLimits, Coalescer};
use sentinel_store::keys::{KeyRecord, KeySpec};
use sentinel_store::{Backend, OnOutage, StoreSettings, Stores};

use super::events::{Events, Level};
use super::{Gateway, Live};
use crate::config::access::FileKey;
use crate::config::settings::{self, Durability, StoreBackend};
use crate::config::{Config, Loaded};
use crate::telemetry::metrics::Metrics;

/// Callers with limits of their own that are remembered at once.
const MOST_CALLERS: usize = 100_000;
/// How long a worker thread may not turn before it is noticed.
const STALL: std::time::Duration = std::time::Duration::from_millis(500);
/// Largest answer that is kept, bytes.
const MOST_CACHED: usize = 256 * 1024;
/// Bounds of the logs of requests in flight.
const FLIGHT_LIMITS: CoalesceLimits =
    CoalesceLimits { group_bytes: 1 << 20, total_bytes: 32 << 20, groups: 20_000 };

impl Gateway {
    /// Makes the gateway: opens the stores, builds the shared cells. Waits for nothing outside this process.
    ///
    /// # Errors
    /// A store cannot be opened, or a price file or pattern cannot be used.
    pub fn build(loaded: &Loaded, registry: Option<Registry>) -> Result<Arc<Self>, String> {
        let clock = registry.as_ref().map_or_else(Clock::system, |registry| registry.clock().clone());
        let metrics = Metrics::new().map_err(|error| format!("metrics: {error}"))?;
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics.config_reload_success.set(1);
        let transitions = metrics.breaker_transitions.clone();
        let events = Arc::new(Events::new(clock.clone()));
        let feed = Arc::clone(&events);
        let breakers = BreakerBoard::new(
            clock.clone(),
            Random::system(),
            Arc::new(move |key, change| {
                transitions.with_label_values(&[&*key.provider, &*key.model, change.to.as_str()]).inc();
                tracing::warn!(upstream = %key, from = change.from.as_str(), to = change.to.as_str(), "circuit breaker");
                let (level, text) = describe(change);
                feed.push("breaker", level, key.to_string(), text);
            }),
        );
        let config = &loaded.config;
        let live = Live::build(loaded, None)?;
        let settings = store_settings(config);
        let stores = Stores::open(settings, file_keys(&config.auth.keys), clock.unix_ms())
            .map_err(|error| format!("store: {error}"))?;
        let trail = open_trail(config, &clock)?;
        let watchdog = Watchdog::start(clock.clone(), STALL, |sighting| match sighting {
            Sighting::Stalled { worker, silent } => {
                tracing::error!(worker, silent_ms = silent.as_millis(), "worker thread does not turn");
            }
            Sighting::Recovered { worker } => tracing::info!(worker, "worker thread turns again"),
        })
        .map_err(|error| format!("watchdog: {error}"))?;
        let registry = registry.unwrap_or_else(|| {
            if config.server.chaos {
                Registry::with_chaos(clock.clone())
            } else {
                Registry::new(clock.clone())
            }
        });
        let gateway = Self {
            started: clock.now(),
            audit: AuditService::new(trail, &registry),
            registry,
            clock,
            lifecycle: Lifecycle::new(),
            metrics,
            watchdog,
            in_flight: Tracker::new(config.server.max_in_flight),
            failures: super::failures::Failures::default(),
            sessions: super::sessions::Sessions::default(),
            events,
            breakers,
            retry_budgets: RetryBudgets::default(),
            latencies: Latencies::default(),
            random: Random::system(),
            stores,
            flights: Coalescer::new(FLIGHT_LIMITS),
            live: ArcSwap::from_pointee(live),
        };
        gateway.take_live();
        Ok(Arc::new(gateway))
    }

    /// Puts a new configuration into force. Counters, breakers and limits of what is unchanged stay.
    ///
    /// # Errors
    /// A price file or pattern cannot be used, or a setting needs a restart; nothing has changed then.
    pub fn reload(&self, loaded: &Loaded) -> Result<(), String> {
        let before = self.live();
        if let Some(what) = needs_restart(&before.config, &loaded.config) {
            return Err(format!("{what} takes effect only at the next start"));
        }
        self.live.store(Arc::new(Live::build(loaded, Some(&before))?));
        self.take_live();
        Ok(())
    }

    fn take_live(&self) {
        let live = self.live();
        self.stores.keys().configure(file_keys(&live.config.auth.keys));
        self.breakers.configure(&live.config.providers, live.routes.configured_targets());
        self.retry_budgets.configure(&live.config.providers, self.clock.now());
    }
}

/// Tells people what a breaker's change means.
fn describe(change: Transition) -> (Level, &'static str) {
    match change.to {
        Phase::Open => (Level::Bad, "circuit breaker opened; the target is left alone"),
        Phase::HalfOpen => (Level::Warn, "circuit breaker half open; a few probes decide"),
        Phase::Closed => (Level::Good, "circuit breaker closed; the target takes calls again"),
    }
}

/// Names a changed setting that cannot be changed while running.
fn needs_restart(before: &Config, after: &Config) -> Option<&'static str> {
    [
        ("server.listen", before.server.listen != after.server.listen),
        ("server.admin_listen", before.server.admin_listen != after.server.admin_listen),
        ("server.workers", before.server.workers != after.server.workers),
        ("store", before.store != after.store),
        ("audit", before.audit != after.audit),
    ]
    .into_iter()
    .find_map(|(name, changed)| changed.then_some(name))
}

/// Turns the file's keys into records.
fn file_keys(keys: &[FileKey]) -> Vec<KeyRecord> {
    keys.iter()
        .map(|key| {
            let FileKey { name, sha256, limits, budget, models, injection: _ } = key;
            let (limits, budget): (CallerLimits, BudgetLimits) = (*limits, *budget);
            let spec =
                KeySpec { name: name.clone(), limits, budget, models: models.clone(), expires_ms: None };
            KeyRecord::configured(spec, *sha256)
        })
        .collect()
}

/// Turns the configuration into the stores' settings.
#[must_use]
pub fn store_settings(config: &Config) -> StoreSettings {
    let store = &config.store;
    StoreSettings {
        backend: match store.backend {
            StoreBackend::Embedded => Backend::Embedded,
            StoreBackend::Redis => Backend::Redis,
        },
        path: store.path.clone(),
        redis_url: store.redis_url.clone(),
        redis_timeout: store.redis_timeout,
        on_outage: match store.on_outage {
            settings::OnOutage::Local => OnOutage::Local,
            settings::OnOutage::Reject => OnOutage::Reject,
        },
        max_callers: MOST_CALLERS,
        cache: CachePolicy {
            ttl: config.cache.ttl,
            max_bytes: usize::try_from(config.cache.max_bytes).unwrap_or(usize::MAX),
            max_entry: MOST_CACHED,
        },
    }
}

/// Turns the configuration into the trail's settings.
#[must_use]
pub fn audit_settings(config: &Config, clock: &Clock) -> AuditConfig {
    let clock = clock.clone();
    let mut settings = AuditConfig::new(config.store.path.join("audit"), Arc::new(move || clock.unix_ms()));
    settings.retention = config.audit.retention;
    settings.durability = match config.audit.durability {
        Durability::Batched => audit::Durability::Batched,
        Durability::Strict => audit::Durability::Strict,
    };
    settings.on_failure = match config.audit.on_failure {
        settings::AuditFailure::Deny => audit::OnFailure::Deny,
        settings::AuditFailure::Allow => audit::OnFailure::Allow,
    };
    settings
}

fn open_trail(config: &Config, clock: &Clock) -> Result<AuditTrail, String> {
    AuditTrail::open_embedded(&audit_settings(config, clock)).map_err(|error| format!("audit: {error}"))
}
