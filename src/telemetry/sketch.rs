//! A mergeable latency sketch: every worker adds to the same atomic buckets, percentiles come out within 2 %.
//!
//! Logarithmic buckets as in DDSketch: bucket `i` holds values up to `SMALLEST x GROWTH^i`. No locks and no samples
//! kept, so it neither forgets nor grows. Source: Masson, Rim, Lee, "DDSketch", VLDB 2019.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bound of the first bucket, seconds.
const SMALLEST: f64 = 1e-6;
/// Ratio of neighbouring bounds; the relative error is half of what it exceeds one by.
const GROWTH: f64 = 1.04;
/// Enough to reach about 20 minutes.
const BUCKETS: usize = 540;

/// Counts durations in logarithmic buckets.
#[derive(Debug)]
pub struct Sketch {
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), count: AtomicU64::new(0) }
    }
}

impl Sketch {
    /// Adds one duration.
    pub fn record(&self, duration: Duration) {
        let ratio = (duration.as_secs_f64() / SMALLEST).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 0 by the max above"
        )]
        let index = (ratio.ln() / GROWTH.ln()).ceil() as usize;
        if let Some(bucket) = self.buckets.get(index.min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many durations were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns the duration in seconds below which `share` (0-1) of all lie; `None` if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        quantile_of(&self.counts(), share)
    }

    /// Returns how many durations each bucket holds. The difference of two such lists is what came in between.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect()
    }
}

/// Returns the duration in seconds below which `share` (0-1) of the durations in a list of [`Sketch::counts`] lie; `None`
/// if there are none.
#[must_use]
pub fn quantile_of(counts: &[u64], share: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank within a count of requests"
    )]
    let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
    let mut seen = 0;
    for (index, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            let exponent = i32::try_from(index).unwrap_or(i32::MAX);
            // The middle of the bucket halves the error.
            return Some(SMALLEST * GROWTH.powi(exponent) * 2.0 / (1.0 + GROWTH));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_sketch_has_no_percentiles() {
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_two_percent(mut micros in prop::collection::vec(2u64..600_000_000, 1..200), share in 0.0f64..=1.0) {
            let sketch = Sketch::default();
            for value in &micros {
                sketch.record(Duration::from_micros(*value));
            }
            micros.sort_unstable();
            let rank = ((micros.len() as f64 * share).ceil() as usize).max(1) - 1;
            let exact = micros[rank] as f64 / 1e6;
            let found = sketch.quantile(share).unwrap();
            prop_assert!((found - exact).abs() <= exact * 0.021, "{found} for {exact}");
        }
    }
}
