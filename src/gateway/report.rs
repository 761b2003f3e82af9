//! The numbers that people and scripts read: `GET /metrics` and the dashboard's feed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Gateway;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sketch::Sketch;

/// Percentiles in milliseconds; null before the first value.
fn percentiles(sketch: &Sketch) -> Value {
    let at = |share| sketch.quantile(share).map(|seconds| (seconds * 1e6).round() / 1e3);
    json!({ "count": sketch.count(), "p50": at(0.5), "p90": at(0.9), "p95": at(0.95), "p99": at(0.99) })
}

fn whole(sums: BTreeMap<String, f64>) -> BTreeMap<String, u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters of whole things")]
    sums.into_iter().map(|(name, value)| (name, value as u64)).collect()
}

impl Gateway {
    /// Sums everything up.
    #[must_use]
    pub fn report(&self) -> Value {
        let metrics = &self.metrics;
        let by_status = whole(Metrics::sum_by(&metrics.requests, "status"));
        let cost_by_provider = Metrics::sum_by(&metrics.cost, "provider");
        let audit = self.audit.health();
        let breakers: BTreeMap<String, &str> = self
            .breakers
            .view()
            .into_iter()
            .map(|view| (view.key.to_string(), view.breaker.phase.as_str()))
            .collect();
        let errors: u64 =
            by_status.iter().filter(|(status, _)| !status.starts_with('2')).map(|(_, count)| count).sum();
        json!({
            "uptime_s": self.clock.now().saturating_duration_since(self.started).as_secs(),
            "requests_total": by_status.values().sum::<u64>(),
            "requests_by_status": by_status,
            "requests_by_route": whole(Metrics::sum_by(&metrics.requests, "route")),
            "errors_total": errors,
            "active_requests": self.in_flight.count(),
            "active_streams": metrics.active_streams.get(),
            "latency_ms": percentiles(&metrics.latency),
            "ttft_ms": percentiles(&metrics.first_token),
            "overhead_ms": percentiles(&metrics.overhead_sketch),
            "tokens": whole(Metrics::sum_by(&metrics.tokens, "kind")),
            "total_cost_usd": cost_by_provider.values().sum::<f64>(),
            "cost_by_provider": cost_by_provider,
            "cost_by_model": Metrics::sum_by(&metrics.cost, "model"),
            "cost_saved_usd": metrics.cost_saved.get(),
            "unpriced_requests": whole(Metrics::sum_by(&metrics.unpriced, "model")),
            "cache": {
                "hits": metrics.cache_hits.get(),
                "misses": metrics.cache_misses.get(),
                "coalesced": metrics.cache_coalesced.get(),
            },
            "rate_limited": whole(Metrics::sum_by(&metrics.rate_limited, "reason")),
            "shed": whole(Metrics::sum_by(&metrics.shed, "reason")),
            "retries": whole(Metrics::sum_by(&metrics.retries, "reason")),
            "failovers": whole(Metrics::sum_by(&metrics.failovers, "to")),
            "pii": whole(Metrics::sum_by(&metrics.pii, "entity")),
            "injection": whole(Metrics::sum_by(&metrics.injection, "verdict")),
            "circuit_breakers": breakers,
            "client_disconnects": whole(Metrics::sum_by(&metrics.client_disconnects, "phase")),
            "audit_entries": audit.entries,
            "audit": audit,
            "store": self.stores.health(),
        })
    }
}
