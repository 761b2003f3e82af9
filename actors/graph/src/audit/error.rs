//! Why a request gets no place in the trail.

use sentinel_store::audit::AuditError;

/// Says why a request gets no place in the trail. All of it is a reason to refuse the request with `store_unavailable`.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The trail itself refuses.
    #[error(transparent)]
    Trail(#[from] AuditError),
    /// Too many records of this worker are on their way.
    #[error("too many audit records are on their way")]
    Backlog,
    /// The worker's audit writer is down.
    #[error("the audit writer is down")]
    Down,
}
