//! How fast each target begins to answer: a moving average of the time to the first token, shared by all workers.
//!
//! It jumps up to a slow sample at once and forgets it over time, so that a target that has become slow is left
//! quickly. One that has not been measured for a while is tried again by a single request now and then, or it could
//! never become the fastest.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::target::{TargetKey, TargetMap};

/// Weight of the past: a sample this much older than the newest counts for about a third.
const DECAY: Duration = Duration::from_secs(10);

/// Without a sample for this long, a target is worth a try.
const STALE_AFTER: Duration = Duration::from_secs(30);

/// Unconfigured targets whose latency is remembered at once.
const UNCONFIGURED_TARGETS: usize = 1024;

/// The moving average of one target, as a pure machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LatencyAverage {
    measured: Option<(Duration, Instant)>,
    /// When the last exploring request was sent.
    explored_at: Option<Instant>,
}

impl LatencyAverage {
    /// Takes a sample.
    pub fn observe(&mut self, sample: Duration, now: Instant) {
        let value = match self.measured {
            Some((value, at)) if sample < value => {
                let age = now.saturating_duration_since(at).as_secs_f64();
                let past = (-age / DECAY.as_secs_f64()).exp();
                // A burst of samples in the same instant still has to count for something.
                let past = past.min(0.9);
                Duration::from_secs_f64(value.as_secs_f64() * past + sample.as_secs_f64() * (1.0 - past))
            }
            _ => sample,
        };
        self.measured = Some((value, now));
    }

    /// Returns the average; `None` before the first sample.
    #[must_use]
    pub fn value(&self) -> Option<Duration> {
        self.measured.map(|(value, _)| value)
    }

    /// Says whether this one request should find out how fast the target is now.
    pub fn claim_exploration(&mut self, now: Instant) -> bool {
        let newest = self.measured.map(|(_, at)| at).max(self.explored_at);
        let due = newest.is_none_or(|at| now.saturating_duration_since(at) >= STALE_AFTER);
        if due {
            self.explored_at = Some(now);
        }
        due
    }
}

/// The averages of all targets. Clones share them.
#[derive(Clone)]
pub struct Latencies(Arc<TargetMap<Mutex<LatencyAverage>>>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Arc::new(TargetMap::new(UNCONFIGURED_TARGETS)))
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Latencies")
    }
}

impl Latencies {
    /// Takes a sample of a target's time to first token, or to the whole answer where it does not stream.
    pub fn observe(&self, key: &TargetKey, sample: Duration, now: Instant) {
        self.with(key, |average| average.observe(sample, now));
    }

    /// Returns a target's average.
    #[must_use]
    pub fn value(&self, key: &TargetKey) -> Option<Duration> {
        self.0.get(key).and_then(|average| average.lock().value())
    }

    pub(super) fn claim_exploration(&self, key: &TargetKey, now: Instant) -> bool {
        self.with(key, |average| average.claim_exploration(now))
    }

    fn with<R>(&self, key: &TargetKey, action: impl FnOnce(&mut LatencyAverage) -> R) -> R {
        let average = self.0.get_or_insert(key, |_| true, || Mutex::new(LatencyAverage::default()));
        let mut guard = average.lock();
        action(&mut guard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_slow_sample_counts_at_once_and_is_forgotten_by_and_by() {
        let mut now = Instant::now();
        let mut average = LatencyAverage::default();
        average.observe(100 * MS, now);
        average.observe(900 * MS, now);
        assert_eq!(average.value(), Some(900 * MS));
        for _ in 0..30 {
            now += 2_000 * MS;
            average.observe(100 * MS, now);
        }
        assert!(average.value() < Some(105 * MS), "{average:?}");
    }

    #[test]
    fn a_burst_of_fast_samples_brings_it_down_too() {
        let now = Instant::now();
        let mut average = LatencyAverage::default();
        average.observe(900 * MS, now);
        for _ in 0..30 {
            average.observe(100 * MS, now);
        }
        assert!(average.value() < Some(150 * MS), "{average:?}");
    }

    #[test]
    fn one_request_in_thirty_seconds_explores_an_unmeasured_target() {
        let now = Instant::now();
        let mut average = LatencyAverage::default();
        assert!(average.claim_exploration(now));
        assert!(!average.claim_exploration(now + 29_999 * MS));
        assert!(average.claim_exploration(now + 30_000 * MS));
        average.observe(MS, now + 40_000 * MS);
        assert!(!average.claim_exploration(now + 69_999 * MS));
        assert!(average.claim_exploration(now + 70_000 * MS));
    }
}
