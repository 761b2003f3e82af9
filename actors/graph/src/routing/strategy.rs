//! In which order the targets of a route are tried.

use sentinel_domain::money::NanoUsd;
use sentinel_domain::policy::Strategy;
use tokio::time::Instant;

use super::latency::Latencies;
use super::table::Target;
use crate::random::Random;
use crate::target::TargetKey;

/// What the strategies decide by.
pub struct Choice<'a> {
    /// The present time.
    pub now: Instant,
    /// For `weighted`.
    pub random: &'a Random,
    /// For `fastest`.
    pub latencies: &'a Latencies,
    /// For `cheapest`: a comparable price of a target; `None` if it is not known, which sorts last.
    pub price: &'a dyn Fn(&TargetKey) -> Option<NanoUsd>,
}

impl std::fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Choice").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Puts the targets in the order in which they are to be tried. What a strategy does not decide stays as configured.
pub(super) fn order(strategy: Strategy, targets: &mut [Target], choice: &Choice<'_>) {
    match strategy {
        Strategy::Failover => {}
        Strategy::Weighted => weighted(targets, choice.random.draw()),
        Strategy::Cheapest => {
            // An unknown price is no low price.
            targets.sort_by_cached_key(|target| {
                let price = (choice.price)(&target.key);
                (price.is_none(), price)
            });
        }
        Strategy::Fastest => fastest(targets, choice),
    }
}

/// Draws the first by weight; the others follow as fallbacks.
fn weighted(targets: &mut [Target], random: f64) {
    let total: u64 = targets.iter().map(|target| u64::from(target.weight.max(1))).sum();
    #[expect(clippy::cast_precision_loss, reason = "a sum of 32-bit weights is far below 2^53")]
    let mut left = random.clamp(0.0, 1.0) * total as f64;
    let drawn = targets.iter().position(|target| {
        left -= f64::from(target.weight.max(1));
        left < 0.0
    });
    let first = drawn.unwrap_or(targets.len().saturating_sub(1));
    if let Some(front) = targets.get_mut(..=first) {
        front.rotate_right(1);
    }
}

/// Sorts by the measured time to first token, but lets one request try a target that was not measured for long.
fn fastest(targets: &mut [Target], choice: &Choice<'_>) {
    targets.sort_by_cached_key(|target| {
        let average = choice.latencies.value(&target.key);
        (average.is_none(), average)
    });
    let explored =
        targets.iter().position(|target| choice.latencies.claim_exploration(&target.key, choice.now));
    if let Some(front) = explored.and_then(|index| targets.get_mut(..=index)) {
        front.rotate_right(1);
    }
}
