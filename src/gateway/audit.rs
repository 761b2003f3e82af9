//! Takes the places of audit records and fills them.

use std::time::Duration;

use sentinel_domain::audit::AuditRecord;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_store::audit::{AuditTrail, Intent, Receipt, Slot};

/// The worker's way to the audit trail.
#[derive(Clone)]
pub struct AuditFront {
    trail: AuditTrail,
}

impl AuditFront {
    /// Makes a front of the trail.
    #[must_use]
    pub fn new(trail: AuditTrail) -> Self {
        Self { trail }
    }

    /// Takes the place of a request's record. Never waits.
    ///
    /// # Errors
    /// `store_unavailable` while records cannot be written and requests are to be refused then.
    pub fn reserve(&self, intent: Intent) -> Result<Slot, ApiError> {
        self.trail.reserve(intent).map_err(|error| {
            tracing::debug!(%error, "no place for an audit record");
            ApiError::new(
                ErrorCode::StoreUnavailable,
                "the audit trail cannot be written, and the gateway is set to refuse requests then",
            )
            .retry_after(Duration::from_secs(1))
        })
    }

    /// Fills a place.
    pub fn append(&self, slot: &Slot, record: AuditRecord) -> Receipt {
        slot.append(record)
    }
}
