//! What the process knows about its Redis: the breaker and the health, shared by the connections of all workers.
//!
//! A pure machine; the time comes in as an argument.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::health::StoreHealth;

/// Failures within [`FAILURE_WINDOW`] after which calls are refused without being tried.
pub(crate) const FAILURES_TO_OPEN: usize = 5;
/// How long a failure counts.
pub(crate) const FAILURE_WINDOW: Duration = Duration::from_secs(10);

/// What a state change says to the log, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Became usable.
    Up,
    /// Became unusable.
    Down,
    /// Takes writes again.
    Writable,
    /// Answers, but refuses writes.
    ReadOnly,
}

#[derive(Debug)]
struct Inner {
    up: bool,
    writable: bool,
    failures: VecDeque<Instant>,
    degraded_since: Option<Instant>,
    last_error: Option<String>,
    /// The last reason that was told for there being no connection.
    told: Option<String>,
    /// The last refusal said that the server is a replica.
    replica: bool,
    /// Workers that have a connection.
    connected: usize,
}

/// Shared state of one Redis.
#[derive(Debug)]
pub(crate) struct State {
    inner: Mutex<Inner>,
    failures: AtomicU64,
    fallbacks: AtomicU64,
}

impl State {
    /// Starts down: the first successful ping turns it up.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            inner: Mutex::new(Inner {
                up: false,
                writable: true,
                failures: VecDeque::with_capacity(FAILURES_TO_OPEN),
                degraded_since: Some(now),
                last_error: None,
                told: None,
                replica: false,
                connected: 0,
            }),
            failures: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.inner.lock().up
    }

    /// Says whether writes are refused because the server is a replica, so that the address should be asked again.
    pub(crate) fn is_replica(&self) -> bool {
        let inner = self.inner.lock();
        !inner.writable && inner.replica
    }

    /// Notes that one worker's connection is made.
    pub(crate) fn connected(&self) {
        self.inner.lock().connected += 1;
    }

    /// Notes that one worker's connection is gone.
    pub(crate) fn disconnected(&self) {
        let mut inner = self.inner.lock();
        inner.connected = inner.connected.saturating_sub(1);
    }

    /// Notes a call that failed on the way: counts towards opening.
    pub(crate) fn failed(&self, error: &str, now: Instant) -> Option<Change> {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        inner.last_error = Some(error.to_owned());
        while inner.failures.front().is_some_and(|at| now.saturating_duration_since(*at) > FAILURE_WINDOW) {
            inner.failures.pop_front();
        }
        inner.failures.push_back(now);
        if inner.failures.len() >= FAILURES_TO_OPEN { go_down(&mut inner, now) } else { None }
    }

    /// Notes that a worker cannot connect: down at once if no worker is connected, as there is nothing to try.
    pub(crate) fn unreachable(&self, error: &str, now: Instant) -> Option<Change> {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        inner.last_error = Some(error.to_owned());
        if inner.connected > 0 {
            return None;
        }
        let change = go_down(&mut inner, now);
        // A store that was never up has no change to tell of, but why it is not is news, once for each reason.
        let is_news = inner.told.as_deref() != Some(error);
        inner.told = Some(error.to_owned());
        if is_news { Some(Change::Down) } else { change }
    }

    /// Notes an answered ping.
    pub(crate) fn answered(&self) -> Option<Change> {
        let mut inner = self.inner.lock();
        if inner.up {
            return None;
        }
        inner.up = true;
        inner.told = None;
        inner.failures.clear();
        if inner.writable {
            inner.degraded_since = None;
        }
        Some(Change::Up)
    }

    /// Notes that a write was refused by a server that answers: full, read-only, not permitted.
    pub(crate) fn refused(&self, error: &str, replica: bool, now: Instant) -> Option<Change> {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        inner.last_error = Some(error.to_owned());
        inner.degraded_since.get_or_insert(now);
        inner.replica = replica;
        std::mem::replace(&mut inner.writable, false).then_some(Change::ReadOnly)
    }

    /// Notes a write that went through.
    pub(crate) fn wrote(&self) -> Option<Change> {
        let mut inner = self.inner.lock();
        if inner.writable {
            return None;
        }
        inner.writable = true;
        if inner.up {
            inner.degraded_since = None;
        }
        Some(Change::Writable)
    }

    /// Notes a failure that says nothing about the server, such as a damaged value.
    pub(crate) fn damaged(&self, error: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.inner.lock().last_error = Some(error.to_owned());
    }

    pub(crate) fn count_fallback(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn last_error(&self) -> String {
        self.inner.lock().last_error.clone().unwrap_or_else(|| "not connected yet".to_owned())
    }

    pub(crate) fn health(&self, now: Instant) -> StoreHealth {
        let inner = self.inner.lock();
        StoreHealth {
            backend: "redis",
            up: inner.up,
            writable: inner.writable,
            degraded_for: inner.degraded_since.map(|since| now.saturating_duration_since(since)),
            last_error: inner.last_error.clone(),
            failures: self.failures.load(Ordering::Relaxed),
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
        }
    }
}

fn go_down(inner: &mut Inner, now: Instant) -> Option<Change> {
    inner.degraded_since.get_or_insert(now);
    inner.failures.clear();
    std::mem::replace(&mut inner.up, false).then_some(Change::Down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_ten_seconds_open_it_and_an_answer_closes_it() {
        let start = Instant::now();
        let state = State::new(start);
        assert_eq!(state.answered(), Some(Change::Up));
        for second in 0..4 {
            assert_eq!(state.failed("timeout", start + Duration::from_secs(second)), None);
        }
        // The first failure is too old by now, so this is the fourth of the window, not the fifth.
        assert_eq!(state.failed("timeout", start + Duration::from_secs(11)), None);
        assert!(state.is_up());
        assert_eq!(state.failed("timeout", start + Duration::from_secs(11)), Some(Change::Down));
        let health = state.health(start + Duration::from_secs(12));
        assert_eq!((health.up, health.degraded_for), (false, Some(Duration::from_secs(1))));
        assert_eq!(state.answered(), Some(Change::Up));
        assert_eq!(state.answered(), None, "said once");
        assert!(state.health(start).is_well());
    }

    #[test]
    fn a_full_server_still_counts_as_up() {
        let start = Instant::now();
        let state = State::new(start);
        state.answered();
        assert_eq!(state.refused("OOM", false, start), Some(Change::ReadOnly));
        for _ in 0..100 {
            assert_eq!(state.refused("OOM", false, start), None, "said once");
        }
        assert!(state.is_up() && !state.health(start).writable);
        assert_eq!(state.wrote(), Some(Change::Writable));
        assert!(state.health(start).is_well());
    }
}
