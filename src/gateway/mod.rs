//! The gateway's state: what all workers share, what a reload replaces, and the actors of each worker thread.

pub mod build;
pub mod events;
pub mod failures;
pub mod flow;
pub mod guards;
pub mod identity;
mod live;
mod observe;
pub mod prices;
mod report;
pub mod sessions;
pub mod vitals;
mod worker;

use std::sync::Arc;

use arc_swap::ArcSwap;
use sentinel_graph::audit::AuditService;
use sentinel_graph::breaker::BreakerBoard;
use sentinel_graph::random::Random;
use sentinel_graph::retry::RetryBudgets;
use sentinel_graph::routing::Latencies;
use sentinel_runtime::{Clock, Lifecycle, Registry, Tracker, Watchdog};
use sentinel_store::Stores;
use tokio::time::Instant;

use crate::telemetry::metrics::Metrics;

pub use live::Live;
pub use worker::Worker;

/// What all workers share: one per process.
pub struct Gateway {
    /// The only source of time.
    pub clock: Clock,
    /// When the process started.
    pub started: Instant,
    /// Where the process stands in its life.
    pub lifecycle: Lifecycle,
    /// The actor tree.
    pub registry: Registry,
    /// All metrics.
    pub metrics: Metrics,
    /// Notices a worker thread that does not turn.
    pub watchdog: Watchdog,
    /// Requests in flight, streams included.
    pub in_flight: Tracker,
    /// Wrong credentials by address.
    pub failures: failures::Failures,
    /// Logins of the dashboard.
    pub sessions: sessions::Sessions,
    /// What happened lately, for the dashboard.
    pub events: Arc<events::Events>,
    /// Circuit breakers and cooldowns of all targets.
    pub breakers: BreakerBoard,
    /// What is left to spend on retries.
    pub retry_budgets: RetryBudgets,
    /// Times to first token of all targets.
    pub latencies: Latencies,
    /// The source of chance.
    pub random: Random,
    /// Limits, budgets, usage, cache, keys.
    pub stores: Arc<Stores>,
    /// The audit trail.
    pub audit: AuditService,
    /// Identical requests in flight.
    pub flights: flow::Flights,
    live: ArcSwap<Live>,
}

impl Gateway {
    /// Returns what is in force now. Hold it for one request at most.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }
}
