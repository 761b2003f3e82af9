//! Notices changes of counters and states between two seconds and turns them into events.
//!
//! What is noticed here is summed up per second, so that a burst is one line and not a flood.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use sentinel_runtime::Phase;

use crate::gateway::Gateway;
use crate::gateway::events::Level;

/// What was there a second ago.
#[derive(Debug, Default)]
pub(super) struct Watch {
    failovers: BTreeMap<(String, String), u64>,
    restarts: BTreeMap<String, u64>,
    store_up: Option<bool>,
    audit_ok: Option<bool>,
    phase: Option<Phase>,
}

impl Watch {
    /// Compares with the second before.
    pub(super) fn look(&mut self, gateway: &Gateway) {
        let events = &gateway.events;
        for ((from, to), count) in failovers(gateway) {
            let before = self.failovers.insert((from.clone(), to.clone()), count).unwrap_or(0);
            let more = count.saturating_sub(before);
            if more > 0 {
                let noun = if more == 1 { "request" } else { "requests" };
                events.push("failover", Level::Note, from, format!("{more} {noun} failed over to {to}"));
            }
        }
        for row in gateway.registry.snapshot() {
            let before = self.restarts.insert(row.name.clone(), row.restarts).unwrap_or(0);
            if row.restarts > before {
                let why = row.last_failure.map_or_else(
                    || "restarted by the operator".to_owned(),
                    |failure| format!("restarted after: {}", failure.message),
                );
                events.push("actor", Level::Warn, row.name, why);
            }
        }
        let store = gateway.stores.health();
        self.part(
            "store",
            store.backend,
            store.is_well(),
            store.last_error,
            |watch| &mut watch.store_up,
            gateway,
        );
        let audit = gateway.audit.health();
        self.part("audit", "audit trail", audit.ok, audit.last_error, |watch| &mut watch.audit_ok, gateway);
        let phase = gateway.lifecycle.phase();
        if self.phase.replace(phase).is_some_and(|before| before != phase) {
            let text = match phase {
                Phase::LameDuck => "shutting down: not ready, still accepting",
                Phase::Draining => "draining: finishing what is in flight",
                _ => "ready",
            };
            events.push("process", Level::Note, "gateway", text);
        }
    }

    /// Tells when a part stops or starts to work. A part that works from the beginning is no news.
    fn part(
        &mut self,
        kind: &'static str,
        subject: &str,
        is_well: bool,
        last_error: Option<String>,
        state: fn(&mut Self) -> &mut Option<bool>,
        gateway: &Gateway,
    ) {
        let before = state(self).replace(is_well).unwrap_or(true);
        if before && !is_well {
            let why = last_error.unwrap_or_else(|| "no reason is known".to_owned());
            gateway.events.push(kind, Level::Bad, subject, format!("does not work: {why}"));
        } else if !before && is_well {
            gateway.events.push(kind, Level::Good, subject, "works again");
        }
    }
}

fn failovers(gateway: &Gateway) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for metric in gateway.metrics.failovers.collect().iter().flat_map(|family| family.get_metric()) {
        let label = |name: &str| {
            let pair = metric.get_label().iter().find(|pair| pair.name() == name);
            pair.map(|pair| pair.value().to_owned()).unwrap_or_default()
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter of whole things"
        )]
        let count = metric.get_counter().get_value() as u64;
        counts.insert((label("from"), label("to")), count);
    }
    counts
}
