//! Counts of the recent past, in ten buckets of a sliding time window.
//!
//! A window over time and not over calls: with little traffic a count of calls would judge a target by yesterday.

use std::time::Duration;

use tokio::time::Instant;

const BUCKETS: usize = 10;

/// Results counted over the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls that worked.
    pub successes: u32,
    /// Calls that failed.
    pub failures: u32,
}

impl Counts {
    /// Returns successes and failures together.
    #[must_use]
    pub fn calls(self) -> u32 {
        self.successes.saturating_add(self.failures)
    }

    /// Returns the share of failures, 0-1; 0 without any call.
    #[must_use]
    pub fn failure_rate(self) -> f64 {
        match self.calls() {
            0 => 0.0,
            calls => f64::from(self.failures) / f64::from(calls),
        }
    }
}

/// The sliding window itself.
#[derive(Debug, Clone)]
pub(super) struct Window {
    buckets: [Counts; BUCKETS],
    /// Index of the bucket that is being filled.
    head: usize,
    /// When that bucket began.
    head_since: Instant,
    bucket_length: Duration,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let bucket_length = (length / 10).max(Duration::from_millis(1));
        Self { buckets: [Counts::default(); BUCKETS], head: 0, head_since: now, bucket_length }
    }

    pub(super) fn clear(&mut self, now: Instant) {
        self.buckets = [Counts::default(); BUCKETS];
        self.head_since = now;
    }

    pub(super) fn success(&mut self, now: Instant) {
        let bucket = self.current(now);
        bucket.successes = bucket.successes.saturating_add(1);
    }

    pub(super) fn failure(&mut self, now: Instant) {
        let bucket = self.current(now);
        bucket.failures = bucket.failures.saturating_add(1);
    }

    /// Takes back the newest success, which has turned out to be none; does nothing if it has left the window.
    pub(super) fn retract_success(&mut self, now: Instant) {
        self.advance(now);
        for age in 0..BUCKETS {
            let index = (self.head + BUCKETS - age) % BUCKETS;
            if let Some(bucket) = self.buckets.get_mut(index).filter(|bucket| bucket.successes > 0) {
                bucket.successes -= 1;
                return;
            }
        }
    }

    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        self.advance(now);
        self.buckets.iter().fold(Counts::default(), |sum, bucket| Counts {
            successes: sum.successes.saturating_add(bucket.successes),
            failures: sum.failures.saturating_add(bucket.failures),
        })
    }

    fn current(&mut self, now: Instant) -> &mut Counts {
        self.advance(now);
        // The remainder is always a valid index.
        &mut self.buckets[self.head % BUCKETS]
    }

    /// Empties every bucket that has become too old.
    fn advance(&mut self, now: Instant) {
        let passed =
            now.saturating_duration_since(self.head_since).as_nanos() / self.bucket_length.as_nanos();
        if passed == 0 {
            return;
        }
        for _ in 0..passed.min(BUCKETS as u128) {
            self.head = (self.head + 1) % BUCKETS;
            if let Some(bucket) = self.buckets.get_mut(self.head) {
                *bucket = Counts::default();
            }
        }
        // After a long silence the old grid has no meaning any more, and a multiplication could overflow.
        self.head_since = match u32::try_from(passed) {
            Ok(steps) if passed <= BUCKETS as u128 => self.head_since + self.bucket_length * steps,
            _ => now,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn results_leave_the_window_bucket_by_bucket() {
        let start = Instant::now();
        let mut window = Window::new(10 * SECOND, start);
        for second in 0..10 {
            window.failure(start + SECOND * second);
        }
        assert_eq!(window.counts(start + SECOND * 9).failures, 10);
        assert_eq!(window.counts(start + SECOND * 10).failures, 9);
        assert_eq!(window.counts(start + SECOND * 14).failures, 5);
        assert_eq!(window.counts(start + SECOND * 19).failures, 0);
        assert_eq!(window.counts(start + SECOND * 1_000_000).calls(), 0);
    }

    #[test]
    fn a_time_before_the_head_counts_into_the_head() {
        let start = Instant::now() + SECOND * 100;
        let mut window = Window::new(10 * SECOND, start);
        window.success(start - SECOND * 50);
        assert_eq!(window.counts(start).successes, 1);
    }

    #[test]
    fn a_retracted_success_is_the_newest_one() {
        let start = Instant::now();
        let mut window = Window::new(10 * SECOND, start);
        window.success(start);
        window.success(start + SECOND * 4);
        window.retract_success(start + SECOND * 5);
        assert_eq!(window.counts(start + SECOND * 9).successes, 1);
        assert_eq!(window.counts(start + SECOND * 10).successes, 0, "the older one was kept");
        window.retract_success(start + SECOND * 10);
        assert_eq!(window.counts(start + SECOND * 10).calls(), 0);
    }

    #[test]
    fn rate_of_no_calls_is_zero() {
        assert!(Counts::default().failure_rate().abs() < f64::EPSILON);
        assert!((Counts { successes: 1, failures: 3 }.failure_rate() - 0.75).abs() < f64::EPSILON);
    }
}
