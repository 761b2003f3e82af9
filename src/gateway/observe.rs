//! Gauges that are looked up rather than counted, and the orderly end of everything that is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Gateway;

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Gateway {
    /// Brings gauges that are looked up rather than counted up to date.
    pub fn observe(&self) {
        let (metrics, now) = (&self.metrics, self.clock.now());
        metrics.active_requests.set(gauge(self.in_flight.count()));
        for ((provider, model), (phase, left)) in self.worst_by_label(now) {
            metrics.breaker_state.with_label_values(&[&provider, &model]).set(phase);
            metrics.cooldown.with_label_values(&[&provider, &model]).set(left.as_secs_f64());
        }
        for row in self.registry.snapshot() {
            metrics.actor_mailbox.with_label_values(&[&row.name]).set(gauge(row.depth));
            let restarts = metrics.actor_restarts.with_label_values(&[&row.name]);
            restarts.inc_by(row.restarts.saturating_sub(restarts.get()));
        }
        let store = self.stores.health();
        metrics.store_up.with_label_values(&[store.backend]).set(i64::from(store.up));
        let audit = self.audit.health();
        metrics.audit_backlog.set(gauge(audit.backlog));
        metrics.audit_entries.inc_by(audit.head_sequence.saturating_sub(metrics.audit_entries.get()));
        metrics.audit_dropped.inc_by(audit.dropped.saturating_sub(metrics.audit_dropped.get()));
        metrics
            .log_lines_dropped
            .set(i64::try_from(crate::telemetry::logs::dropped_lines()).unwrap_or(i64::MAX));
    }

    /// Returns phase and cooldown of each provider and model. Models that a client made up share one label, and of those
    /// the worst counts.
    fn worst_by_label(&self, now: Instant) -> BTreeMap<(Arc<str>, Arc<str>), (i64, Duration)> {
        let routes = &self.live().routes;
        let mut worst = BTreeMap::new();
        for view in self.breakers.view() {
            let model = if view.configured { view.key.model } else { routes.label(&view.key.model) };
            let left =
                view.cooldown.map_or(Duration::ZERO, |cooling| cooling.until.saturating_duration_since(now));
            let (phase, longest) = worst.entry((view.key.provider, model)).or_insert((0, Duration::ZERO));
            *phase = i64::from(view.breaker.phase.gauge()).max(*phase);
            *longest = left.max(*longest);
        }
        worst
    }

    /// Writes what is still to be written and ends the actors. Returns whether it reached the disk in time.
    pub async fn close(&self, limit: Duration) -> bool {
        let flushed = tokio::time::timeout(limit, async {
            let left = self.registry.stop_all("", limit).await;
            for (actor, outcome) in &left {
                tracing::warn!(actor, ?outcome, "actor did not drain");
            }
            let stored = self.stores.worker().flush().await;
            if let Err(error) = &stored {
                tracing::error!(%error, "the ledger is not completely on disk");
            }
            self.audit.close().await;
            stored.is_ok()
        });
        flushed.await.unwrap_or(false)
    }
}
