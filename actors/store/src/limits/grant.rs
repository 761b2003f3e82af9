//! The proof that a request was admitted, which always gives back what it holds.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::Snapshot;
use super::embedded::{Cell, Embedded};
use super::gcra::Rate;
use super::redis::RemoteGrant;

/// What a grant holds, and where.
pub(super) enum Held {
    /// No limits, nothing to give back.
    Nothing,
    /// Cells of this process.
    Embedded {
        cells: Arc<Embedded>,
        cell: Arc<Cell>,
        /// Whether it occupies an in-flight slot.
        slot: bool,
        /// The rate, the units charged, and the bucket's drain time right after the charge.
        tokens: Option<(Rate, u64, u64)>,
    },
    /// Redis.
    Remote(RemoteGrant),
}

/// Admission of one request. Dropping it frees the in-flight slot; the tokens stay charged as estimated unless
/// [`Grant::settle`] has been told better.
#[must_use = "dropping a grant ends the admission"]
pub struct Grant {
    snapshot: Snapshot,
    held: Held,
}

impl Grant {
    pub(super) fn new(snapshot: Snapshot, held: Held) -> Self {
        Self { snapshot, held }
    }

    /// A grant for a caller without limits.
    pub(crate) fn unlimited() -> Self {
        Self { snapshot: Snapshot::default(), held: Held::Nothing }
    }

    /// Returns the limits right after this admission, for the response headers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot
    }

    /// Replaces the estimate by the tokens really used. Only the first call counts.
    ///
    /// Too much charged is given back as far as it has not drained yet; too little is charged on top, at most
    /// up to two windows of debt.
    pub fn settle(&mut self, actual_tokens: u64, now: Instant) {
        match &mut self.held {
            Held::Nothing => {}
            Held::Embedded { cells, cell, tokens, .. } => {
                if let Some((rate, charged, until)) = tokens.take() {
                    let now = cells.ticks(now);
                    let mut buckets = cell.lock();
                    buckets.tokens = rate.settle(buckets.tokens, charged, actual_tokens, until, now);
                }
            }
            Held::Remote(remote) => remote.settle(actual_tokens),
        }
    }
}

#[cfg(test)]
impl Grant {
    /// Ends a grant from Redis now, at a time of the test's own.
    pub(super) async fn release_at(mut self, now: u64) {
        if let Held::Remote(remote) = std::mem::replace(&mut self.held, Held::Nothing) {
            remote.release_at(now).await;
        }
    }

    /// Like that, settled before.
    pub(super) async fn finish_at(mut self, tokens: u64, now: u64) {
        if let Held::Remote(remote) = &mut self.held {
            remote.settle(tokens);
        }
        self.release_at(now).await;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Held::Embedded { cell, slot: true, .. } = &self.held {
            let mut buckets = cell.lock();
            buckets.in_flight = buckets.in_flight.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}
