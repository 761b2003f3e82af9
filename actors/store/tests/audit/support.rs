//! A trail in a temporary directory with a clock that the test sets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sentinel_domain::audit::AuditRecord;
use sentinel_store::audit::{AuditConfig, AuditTrail, Intent, VerifyRange, VerifyReport, format_ms};

/// 2026-11-28T08:00:00Z, where the clocks of these tests begin.
pub(crate) const START_MS: u64 = 1_795_852_800_000;

/// A wall clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Wall(Arc<AtomicU64>);

impl Wall {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START_MS)))
    }

    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn config(&self, directory: &Path) -> AuditConfig {
        let wall = self.clone();
        AuditConfig::new(directory.to_path_buf(), Arc::new(move || wall.now()))
    }
}

pub(crate) fn intent(id: &str) -> Intent {
    Intent {
        request_id: id.to_owned(),
        timestamp: format_ms(START_MS),
        client_addr: "127.0.0.1".to_owned(),
        route: Some("gpt-4o".to_owned()),
        ..Intent::default()
    }
}

pub(crate) fn record(id: &str) -> AuditRecord {
    AuditRecord {
        request_id: id.to_owned(),
        timestamp: format_ms(START_MS),
        key: Some("team-a".to_owned()),
        client_addr: "127.0.0.1".to_owned(),
        route: Some("gpt-4o".to_owned()),
        provider: Some("openai".to_owned()),
        model: Some("gpt-4o".to_owned()),
        prompt_tokens: 17,
        completion_tokens: 5,
        cost_usd: Some(sentinel_domain::money::NanoUsd::new(12_750)),
        injection_score: Some(0.03),
        status: 200,
        ..AuditRecord::default()
    }
}

/// Appends `count` records named `prefix-N` and waits until they are on disk.
pub(crate) async fn append(trail: &AuditTrail, prefix: &str, count: usize) {
    for n in 0..count {
        let id = format!("{prefix}-{n}");
        let slot = trail.reserve(intent(&id)).unwrap();
        // Only the flush below waits.
        let _ = slot.append(record(&id));
    }
    trail.flush().written().await.unwrap();
}

pub(crate) fn verify(trail: &AuditTrail) -> VerifyReport {
    trail.reader().verify(VerifyRange::default()).unwrap()
}

/// Names of the stored requests, oldest first.
pub(crate) fn ids(trail: &AuditTrail) -> Vec<String> {
    let records = trail.reader().export().map(|row| row.unwrap().record().unwrap());
    records.filter(|record| record.event.is_none()).map(|record| record.request_id).collect()
}
