//! The limits of this process: one small cell per caller in a sharded map.
//!
//! A cell is a mutex around three numbers. The lock is held for some additions, never across anything that waits,
//! and it makes the all-or-nothing check exact however many workers hit the same caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sentinel_domain::ids::Caller;
use sentinel_domain::policy::CallerLimits;
use tokio::time::Instant;

use super::gcra::{self, Rate};
use super::grant::{Grant, Held};
use super::{IN_FLIGHT_RETRY, LimitKind, LimitState, Limited, Snapshot};

const SHARDS: usize = 64;
/// Shortest time between two sweeps of a full shard, so that a flood of new callers cannot make each one pay for it.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The buckets of one caller. Drain times are ticks since the store's own start.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    pub(super) requests: u64,
    pub(super) tokens: u64,
    pub(super) in_flight: u64,
}

pub(crate) type Cell = Mutex<Buckets>;

struct Shard {
    cells: RwLock<HashMap<Caller, Arc<Cell>, ahash::RandomState>>,
    /// Shared by callers beyond the bound, so that a flood of addresses costs no memory.
    overflow: Arc<Cell>,
    /// Ticks of the last sweep, plus one; zero means never.
    swept: AtomicU64,
}

/// The limiter cells of one process, shared by all its workers.
pub struct Embedded {
    start: Instant,
    hasher: ahash::RandomState,
    shards: Box<[Shard]>,
    per_shard: usize,
}

impl Embedded {
    /// Makes an empty set of cells for at most about `max_callers` callers at once. Callers beyond that share cells
    /// until idle ones have been swept out.
    #[must_use]
    pub fn new(max_callers: usize, start: Instant) -> Arc<Self> {
        let shards = (0..SHARDS)
            .map(|_| Shard { cells: RwLock::default(), overflow: Arc::default(), swept: AtomicU64::new(0) })
            .collect();
        Arc::new(Self {
            start,
            hasher: ahash::RandomState::new(),
            shards,
            per_shard: max_callers.div_ceil(SHARDS).max(1),
        })
    }

    /// Returns the number of callers with a cell of their own.
    #[must_use]
    pub fn callers(&self) -> usize {
        self.shards.iter().map(|shard| shard.cells.read().len()).sum()
    }

    pub(super) fn ticks(&self, now: Instant) -> u64 {
        gcra::ticks(now.saturating_duration_since(self.start))
    }

    /// Checks and charges one request; see [`super::LimitStore::acquire`].
    ///
    /// # Errors
    /// The limit that refused.
    pub fn acquire(
        cells: &Arc<Self>,
        caller: &Caller,
        limits: &CallerLimits,
        window: Duration,
        tokens: u64,
        now: Instant,
    ) -> Result<Grant, Limited> {
        let now = cells.ticks(now);
        let plan = Plan::new(limits, window, tokens);
        // A sweep may retire a cell between look-up and lock only while it is idle, and then losing it loses nothing.
        let cell = cells.cell(caller, now);
        let outcome = plan.run(&mut cell.lock(), now);
        outcome.map(|snapshot| {
            let held = Held::Embedded {
                cells: Arc::clone(cells),
                cell,
                slot: plan.max_in_flight > 0,
                tokens: plan.tokens.map(|(rate, charged)| (rate, charged, snapshot.1)),
            };
            Grant::new(snapshot.0, held)
        })
    }

    fn shard(&self, caller: &Caller) -> Option<&Shard> {
        let index = usize::try_from(self.hasher.hash_one(caller) % SHARDS as u64).unwrap_or(0);
        self.shards.get(index)
    }

    fn cell(&self, caller: &Caller, now: u64) -> Arc<Cell> {
        let Some(shard) = self.shard(caller) else { return Arc::default() };
        if let Some(cell) = shard.cells.read().get(caller) {
            return Arc::clone(cell);
        }
        let mut cells = shard.cells.write();
        if let Some(cell) = cells.get(caller) {
            return Arc::clone(cell);
        }
        if cells.len() >= self.per_shard {
            let due = shard.swept.load(Ordering::Relaxed).saturating_add(gcra::ticks(SWEEP_EVERY));
            if shard.swept.load(Ordering::Relaxed) == 0 || now >= due {
                shard.swept.store(now.max(1), Ordering::Relaxed);
                // A cell that a request still holds is kept: its count must be found again.
                cells.retain(|_, cell| Arc::strong_count(cell) > 1 || !is_idle(&cell.lock(), now));
            }
            if cells.len() >= self.per_shard {
                return Arc::clone(&shard.overflow);
            }
        }
        let cell: Arc<Cell> = Arc::default();
        cells.insert(caller.clone(), Arc::clone(&cell));
        cell
    }
}

fn is_idle(buckets: &Buckets, now: u64) -> bool {
    buckets.in_flight == 0 && buckets.requests <= now && buckets.tokens <= now
}

/// What one request asks of its caller's buckets.
pub(super) struct Plan {
    pub(super) requests: Option<Rate>,
    pub(super) tokens: Option<(Rate, u64)>,
    pub(super) max_in_flight: u64,
}

impl Plan {
    pub(super) fn new(limits: &CallerLimits, window: Duration, tokens: u64) -> Self {
        Self {
            requests: Rate::new(limits.rpm, window),
            tokens: Rate::new(limits.tpm, window).map(|rate| (rate, rate.charge(tokens))),
            max_in_flight: limits.max_in_flight,
        }
    }

    /// Returns the headers' numbers and the token bucket's drain time after the charge.
    fn run(&self, buckets: &mut Buckets, now: u64) -> Result<(Snapshot, u64), Limited> {
        let requests = self.requests.map(|rate| rate.admit(buckets.requests, rate.increment(1), now));
        let tokens = self.tokens.map(|(rate, units)| rate.admit(buckets.tokens, rate.increment(units), now));
        let full = self.max_in_flight > 0 && buckets.in_flight >= self.max_in_flight;
        let wait = |outcome: Option<Result<u64, u64>>| outcome.and_then(Result::err).unwrap_or(0);
        if full || wait(requests) > 0 || wait(tokens) > 0 {
            let snapshot = self.snapshot(buckets.requests, buckets.tokens, now);
            return Err(refusal(wait(requests), wait(tokens), full, snapshot));
        }
        if let Some(Ok(tat)) = requests {
            buckets.requests = tat;
        }
        if let Some(Ok(tat)) = tokens {
            buckets.tokens = tat;
        }
        if self.max_in_flight > 0 {
            buckets.in_flight += 1;
        }
        Ok((self.snapshot(buckets.requests, buckets.tokens, now), buckets.tokens))
    }

    pub(super) fn snapshot(&self, requests: u64, tokens: u64, now: u64) -> Snapshot {
        let state = |rate: Rate, tat: u64| LimitState {
            limit: rate.limit,
            remaining: rate.remaining(tat, now),
            reset: gcra::duration(rate.sane(tat, now).saturating_sub(now)),
        };
        Snapshot {
            requests: self.requests.map(|rate| state(rate, requests)),
            tokens: self.tokens.map(|(rate, _)| state(rate, tokens)),
        }
    }
}

/// Names the limit with the longest wait; the in-flight limit only when nothing else refuses, as its wait is a guess.
pub(super) fn refusal(requests: u64, tokens: u64, full: bool, snapshot: Snapshot) -> Limited {
    let (which, retry_after) = if requests == 0 && tokens == 0 {
        debug_assert!(full, "a refusal has a cause");
        (LimitKind::InFlight, IN_FLIGHT_RETRY)
    } else if requests >= tokens {
        (LimitKind::Requests, gcra::duration(requests))
    } else {
        (LimitKind::Tokens, gcra::duration(tokens))
    };
    Limited { which, retry_after, snapshot }
}
