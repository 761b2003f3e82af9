//! The layer beside the breaker for a target that has told us to wait.
//!
//! A provider that answers "slow down" is healthy, so its breaker must not learn from it; it is left alone all the
//! same. A new wait never shortens the one before.

use std::time::Duration;

use sentinel_domain::outcome::{FailureClass, LONGEST_COOLDOWN};
use tokio::time::Instant;

/// How long a target is left alone, and why.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cooldown {
    active: Option<Cooling>,
}

/// A wait that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooling {
    /// When the target may be called again.
    pub until: Instant,
    /// What the target said.
    pub class: FailureClass,
}

impl Cooldown {
    /// Leaves the target alone for `wait`, at most [`LONGEST_COOLDOWN`], or as long as already decided if longer.
    pub fn extend(&mut self, wait: Duration, class: FailureClass, now: Instant) {
        let until = now + wait.min(LONGEST_COOLDOWN);
        if until > now && self.active(now).is_none_or(|cooling| cooling.until < until) {
            self.active = Some(Cooling { until, class });
        }
    }

    /// Returns the wait that is going on, if there is one.
    #[must_use]
    pub fn active(&self, now: Instant) -> Option<Cooling> {
        self.active.filter(|cooling| cooling.until > now)
    }

    /// Ends it.
    pub fn clear(&mut self) {
        self.active = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_shorter_wait_keeps_the_longer_one_and_its_reason() {
        let now = Instant::now();
        let mut cooldown = Cooldown::default();
        cooldown.extend(SECOND * 30, FailureClass::Quota, now);
        cooldown.extend(SECOND * 2, FailureClass::RateLimited, now + SECOND);
        let cooling = cooldown.active(now + SECOND * 29).unwrap();
        assert_eq!((cooling.class, cooling.until), (FailureClass::Quota, now + SECOND * 30));
        assert!(cooldown.active(now + SECOND * 30).is_none());
    }

    proptest! {
        #[test]
        fn the_end_is_the_latest_of_all_that_was_asked_for(
            waits in prop::collection::vec((0u64..1_000, 0u64..100), 1..40)
        ) {
            let start = Instant::now();
            let (mut now, mut latest) = (start, start);
            let mut cooldown = Cooldown::default();
            for (wait, pause) in waits {
                cooldown.extend(Duration::from_secs(wait), FailureClass::RateLimited, now);
                latest = latest.max(now + Duration::from_secs(wait).min(LONGEST_COOLDOWN));
                prop_assert_eq!(cooldown.active(now).map(|cooling| cooling.until), (latest > now).then_some(latest));
                now += Duration::from_secs(pause);
            }
        }
    }
}
