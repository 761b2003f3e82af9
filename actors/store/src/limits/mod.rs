//! Limits per caller: requests and tokens in a window, and requests in flight.
//!
//! One request is checked against all its limits at once and charged all or nothing. The truth is either in the cells
//! of this process ([`Embedded`]) or in Redis, where one script does the same arithmetic. A [`Grant`] gives its slot
//! back when it is dropped, whatever ended the request.

mod embedded;
mod gcra;
mod grant;
mod redis;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::ids::Caller;
use sentinel_domain::policy::CallerLimits;
use tokio::time::Instant;

pub use embedded::Embedded;
pub use grant::Grant;

use crate::error::StoreError;
use crate::health::OnOutage;
use crate::redis::Redis;

/// One limit as the response headers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// Units in one window.
    pub limit: u64,
    /// Units that may come at once right now.
    pub remaining: u64,
    /// Until the whole limit is free again.
    pub reset: Duration,
}

/// A caller's limits at one moment; `None` where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Requests.
    pub requests: Option<LimitState>,
    /// Tokens.
    pub tokens: Option<LimitState>,
}

/// Which limit refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Requests in the window.
    Requests,
    /// Tokens in the window.
    Tokens,
    /// Requests in flight at once.
    InFlight,
}

impl LimitKind {
    /// Returns the name that clients and metrics see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InFlight => "in_flight",
        }
    }
}

/// A refusal by a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// The limit that refused; of several, the one with the longest wait.
    pub which: LimitKind,
    /// The soonest time at which the same request can pass.
    pub retry_after: Duration,
    /// The limits as they stand, nothing charged.
    pub snapshot: Snapshot,
}

/// Why no grant was given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcquireError {
    /// A limit is used up.
    #[error("limit of {} used up", .0.which.as_str())]
    Limited(Limited),
    /// The store is unavailable and the policy is to refuse.
    #[error(transparent)]
    Unavailable(StoreError),
}

/// How long a caller at its in-flight limit is asked to wait. When a slot frees is unknowable, so this is a short
/// fixed time rather than a promise.
pub(crate) const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

/// The limiter that the rest of the gateway asks: cheap to clone, one per worker.
#[derive(Clone)]
pub struct LimitStore {
    local: Arc<Embedded>,
    remote: Option<(Redis, OnOutage)>,
}

impl LimitStore {
    /// Keeps the limits in this process.
    #[must_use]
    pub fn embedded(cells: Arc<Embedded>) -> Self {
        Self { local: cells, remote: None }
    }

    /// Keeps the limits in Redis; `cells` take over while it is out, if the policy is to go on.
    #[must_use]
    pub fn redis(redis: Redis, on_outage: OnOutage, cells: Arc<Embedded>) -> Self {
        Self { local: cells, remote: Some((redis, on_outage)) }
    }

    /// Checks and charges one request of an estimated number of `tokens` against all of a caller's limits.
    ///
    /// # Errors
    /// [`AcquireError::Limited`] says which limit refused, and nothing is charged then;
    /// [`AcquireError::Unavailable`] when Redis is out and the policy is to refuse.
    pub async fn acquire(
        &self,
        caller: &Caller,
        limits: &CallerLimits,
        window: Duration,
        tokens: u64,
        now: Instant,
    ) -> Result<Grant, AcquireError> {
        if *limits == CallerLimits::default() {
            return Ok(Grant::unlimited());
        }
        if let Some((redis, on_outage)) = &self.remote {
            match redis::acquire(redis, caller, limits, window, tokens).await {
                Ok(outcome) => return outcome.map_err(AcquireError::Limited),
                Err(error) if *on_outage == OnOutage::Reject => return Err(AcquireError::Unavailable(error)),
                Err(_) => redis.count_fallback(),
            }
        }
        Embedded::acquire(&self.local, caller, limits, window, tokens, now).map_err(AcquireError::Limited)
    }
}
