//! A histogram of durations with a bounded relative error, small enough to keep one for each thing measured.
//!
//! Log-linear buckets as in HDR histograms: every power of two is cut into [`STEPS`] equal steps, so a value is known
//! to better than 1 % over the whole range and percentiles need no sorting and no samples kept.

use std::time::Duration;

use serde::Serialize;

/// Steps in each power of two; 128 keep the error below 0.8 %.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Powers of two covered above the exact range: up to about 73 minutes in nanoseconds.
const POWERS: u64 = 35;

/// Durations, counted by size.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum_ns: u128,
    least_ns: u64,
    most_ns: u64,
}

/// Percentiles of a histogram, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the usual ones of percentiles")]
pub struct Summary {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = usize::try_from(STEPS * (POWERS + 1)).unwrap_or(0);
        Self { counts: vec![0; buckets], total: 0, sum_ns: 0, least_ns: u64::MAX, most_ns: 0 }
    }
}

impl Histogram {
    /// Counts one duration; longer ones than the range are counted in its last step.
    pub fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let last = self.counts.len().saturating_sub(1);
        if let Some(count) = self.counts.get_mut(bucket_of(nanos).min(last)) {
            *count += 1;
        }
        self.total += 1;
        self.sum_ns += u128::from(nanos);
        self.least_ns = self.least_ns.min(nanos);
        self.most_ns = self.most_ns.max(nanos);
    }

    /// Adds all durations of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.sum_ns += other.sum_ns;
        self.least_ns = self.least_ns.min(other.least_ns);
        self.most_ns = self.most_ns.max(other.most_ns);
    }

    /// Returns the duration below which this share (0 to 1) of all durations lies.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((share * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        let nanos = reached.map_or(0, |bucket| middle_of(bucket as u64));
        Duration::from_nanos(nanos.clamp(self.least_ns.min(self.most_ns), self.most_ns))
    }

    /// Returns the usual percentiles.
    #[must_use]
    pub fn summary(&self) -> Summary {
        if self.total == 0 {
            return Summary::default();
        }
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |share: f64| self.quantile(share).as_nanos() as f64 / 1e3;
        Summary {
            count: self.total,
            min: micros(self.least_ns),
            mean: self.sum_ns as f64 / self.total as f64 / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(self.most_ns),
        }
    }
}

/// Values below [`STEPS`] have a bucket each; above, the highest bits choose it.
fn bucket_of(nanos: u64) -> usize {
    if nanos < STEPS {
        return usize::try_from(nanos).unwrap_or(0);
    }
    let power = 63 - nanos.leading_zeros() - STEP_BITS;
    let step = (nanos >> power) - STEPS;
    usize::try_from(STEPS * u64::from(power + 1) + step).unwrap_or(usize::MAX)
}

fn middle_of(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    let start = (STEPS + bucket % STEPS) << power;
    start + (1 << power) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_hundredth() {
        let mut histogram = Histogram::default();
        for nanos in 1..=100_000_u64 {
            histogram.record(Duration::from_nanos(nanos * 1000));
        }
        for (share, expected) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let got = histogram.quantile(share).as_nanos() as f64 / 1e3;
            assert!((got - expected).abs() / expected < 0.01, "{share}: {got}");
        }
        let summary = histogram.summary();
        assert_eq!((summary.count, summary.min, summary.max), (100_000, 1.0, 100_000.0));
    }

    #[test]
    fn extremes_and_nothing_are_counted_without_harm() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.summary(), Summary::default());
        histogram.record(Duration::ZERO);
        histogram.record(Duration::MAX);
        let mut both = Histogram::default();
        both.merge(&histogram);
        assert_eq!((both.summary().count, both.quantile(0.5)), (2, Duration::ZERO));
    }

    #[test]
    fn buckets_grow_with_their_values() {
        let values = [0, 1, 127, 128, 129, 255, 256, 1 << 20, (1 << 40) + 12345];
        for pair in values.windows(2) {
            assert!(bucket_of(pair[0]) < bucket_of(pair[1]), "{pair:?}");
        }
        for value in values {
            let middle = middle_of(bucket_of(value) as u64) as f64;
            assert!((middle - value as f64).abs() <= value as f64 / 128.0 + 1.0, "{value}: {middle}");
        }
    }
}
