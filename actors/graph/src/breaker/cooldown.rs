//! The layer beside the breaker for a target that has told us to wait.
//!
//! A provider that answers "slow down" is healthy, so its breaker must not learn from it; it is left alone all the
//! same. A new wait never shortens the one before.

use std::time::Duration;

use sentinel_domain::outcome::{Cooldown as Rule, FailureClass, LONGEST_COOLDOWN};
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

/// Returns how long a failure of this class, with this hint from the provider, is to be waited out; zero for not.
#[must_use]
pub fn wait_after(class: FailureClass, hint: Option<Duration>) -> Duration {
    match class.disposition().cooldown {
        Rule::None => Duration::ZERO,
        Rule::Hinted { default } => hint.unwrap_or(default).min(LONGEST_COOLDOWN),
        Rule::OnlyHinted => hint.unwrap_or_default().min(LONGEST_COOLDOWN),
        Rule::Fixed(wait) => wait.min(LONGEST_COOLDOWN),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_follows_the_class_and_the_hint() {
        let table = [
            (FailureClass::RateLimited, None, 5),
            (FailureClass::RateLimited, Some(2), 2),
            (FailureClass::RateLimited, Some(0), 0),
            (FailureClass::RateLimited, Some(1_000_000_000), 300),
            (FailureClass::Quota, Some(1), 300),
            (FailureClass::Auth, None, 60),
            (FailureClass::Overloaded, None, 0),
            (FailureClass::Overloaded, Some(7), 7),
            (FailureClass::ServerError, Some(400), 300),
            (FailureClass::Connect, Some(9), 0),
            (FailureClass::Rejected, Some(9), 0),
        ];
        for (class, hint, expected) in table {
            let wait = wait_after(class, hint.map(Duration::from_secs));
            assert_eq!(wait, SECOND * expected, "{class:?} {hint:?}");
        }
    }

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
