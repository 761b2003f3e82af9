//! Gauges that are looked up rather than counted, and the orderly end of everything that is stored.

use std::time::Duration;

use super::Gateway;

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Gateway {
    /// Brings gauges that are looked up rather than counted up to date.
    pub fn observe(&self) {
        let (metrics, now) = (&self.metrics, self.clock.now());
        metrics.active_requests.set(gauge(self.in_flight.count()));
        for view in self.breakers.view() {
            let labels = [&*view.key.provider, &*view.key.model];
            metrics.breaker_state.with_label_values(&labels).set(i64::from(view.breaker.phase.gauge()));
            let left = view
                .cooldown
                .map_or(0.0, |cooling| cooling.until.saturating_duration_since(now).as_secs_f64());
            metrics.cooldown.with_label_values(&labels).set(left);
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
