//! How many retries a provider gets, so that a failing one is not buried under repeated calls.
//!
//! Every request earns a share of a retry, and each second earns one, over a sliding window of ten seconds; what is not
//! used in that time is lost. A retry after a timeout costs double: the first call may still be running and billed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sentinel_domain::policy::ProviderSpec;
use tokio::time::Instant;

/// How long an earned retry stays good.
const SLOTS: usize = 10;
const SLOT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    requests: u64,
    spent: u64,
}

/// One provider's budget, as a pure machine.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    slots: [Slot; SLOTS],
    head: usize,
    head_since: Instant,
}

impl RetryBudget {
    /// Makes a budget that earns `ratio` of a retry with each request, and one each second.
    #[must_use]
    pub fn new(ratio: f64, now: Instant) -> Self {
        let ratio = if ratio.is_finite() { ratio.max(0.0) } else { 0.0 };
        Self { ratio, slots: [Slot::default(); SLOTS], head: 0, head_since: now }
    }

    /// Counts a request, which earns its share.
    pub fn deposit(&mut self, now: Instant) {
        self.advance(now);
        if let Some(slot) = self.slots.get_mut(self.head) {
            slot.requests = slot.requests.saturating_add(1);
        }
    }

    /// Spends `cost` if there is as much, and says whether there was.
    pub fn withdraw(&mut self, cost: u32, now: Instant) -> bool {
        self.advance(now);
        let (requests, spent) = self.slots.iter().fold((0u64, 0u64), |(requests, spent), slot| {
            (requests.saturating_add(slot.requests), spent.saturating_add(slot.spent))
        });
        #[expect(clippy::cast_precision_loss, reason = "ten seconds of requests are far below 2^53")]
        let left = self.ratio * requests as f64 + SLOTS as f64 - spent as f64;
        // Shares such as ten times 0.2 must add up to a whole retry in spite of rounding.
        if left + 1e-9 < f64::from(cost) {
            return false;
        }
        if let Some(slot) = self.slots.get_mut(self.head) {
            slot.spent = slot.spent.saturating_add(u64::from(cost));
        }
        true
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.head_since).as_secs();
        if passed == 0 {
            return;
        }
        for _ in 0..passed.min(SLOTS as u64) {
            self.head = (self.head + 1) % SLOTS;
            if let Some(slot) = self.slots.get_mut(self.head) {
                *slot = Slot::default();
            }
        }
        self.head_since = match u32::try_from(passed) {
            Ok(steps) if passed <= SLOTS as u64 => self.head_since + SLOT * steps,
            _ => now,
        };
    }
}

/// A provider's share, to notice a change of it, and its budget.
type Entry = (f64, Arc<Mutex<RetryBudget>>);

/// The budgets of all providers, shared by all workers. Clones share them.
#[derive(Clone, Default)]
pub struct RetryBudgets(Arc<ArcSwap<HashMap<Arc<str>, Entry>>>);

impl RetryBudgets {
    /// Takes the providers' policies. A provider whose share is unchanged keeps what it has earned and spent.
    pub fn configure(&self, providers: &[ProviderSpec], now: Instant) {
        let old = self.0.load_full();
        let new = providers.iter().map(|spec| {
            let ratio = spec.retry.budget;
            let kept = old.get(&spec.name).filter(|(old_ratio, _)| old_ratio.to_bits() == ratio.to_bits());
            let budget = match kept {
                Some((_, budget)) => Arc::clone(budget),
                None => Arc::new(Mutex::new(RetryBudget::new(ratio, now))),
            };
            (Arc::clone(&spec.name), (ratio, budget))
        });
        self.0.store(Arc::new(new.collect()));
    }

    /// Counts a request to a provider.
    pub fn deposit(&self, provider: &str, now: Instant) {
        if let Some((_, budget)) = self.0.load().get(provider) {
            budget.lock().deposit(now);
        }
    }

    /// Spends `cost` of a provider's retries if there is as much. An unknown provider has none.
    #[must_use]
    pub fn withdraw(&self, provider: &str, cost: u32, now: Instant) -> bool {
        self.0.load().get(provider).is_some_and(|(_, budget)| budget.lock().withdraw(cost, now))
    }
}

impl fmt::Debug for RetryBudgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryBudgets")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tenth_of_a_second_of_failures_gets_ten_retries_and_a_fifth_of_the_requests() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(0.2, now);
        let mut retries = 0;
        for _ in 0..100 {
            budget.deposit(now);
            retries += u32::from(budget.withdraw(1, now));
        }
        assert_eq!(retries, 30);
    }

    #[test]
    fn retries_come_back_as_time_passes_but_do_not_pile_up() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(0.0, now);
        let spend = |budget: &mut RetryBudget, now| (0..100).filter(|_| budget.withdraw(1, now)).count();
        assert_eq!(spend(&mut budget, now), 10);
        assert_eq!(spend(&mut budget, now + SLOT * 9), 0);
        assert_eq!(spend(&mut budget, now + SLOT * 10), 10);
        assert_eq!(spend(&mut budget, now + SLOT * 100_000), 10);
    }

    #[test]
    fn a_retry_after_a_timeout_costs_double() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(0.0, now);
        assert!((0..5).all(|_| budget.withdraw(2, now)));
        assert!(!budget.withdraw(1, now));
    }

    #[test]
    fn shares_add_up_to_whole_retries() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(0.1, now);
        assert!((0..10).all(|_| budget.withdraw(1, now)));
        for _ in 0..10 {
            budget.deposit(now);
        }
        assert!(budget.withdraw(1, now));
        assert!(!budget.withdraw(1, now));
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_and_one_a_second(
            ratio in 0.0f64..1.0,
            events in prop::collection::vec((0u64..400, any::<bool>()), 1..400),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut budget = RetryBudget::new(ratio, now);
            let (mut requests, mut spent) = (0.0, 0.0);
            for (pause, retry) in events {
                now += Duration::from_millis(pause);
                if retry {
                    spent += f64::from(u8::from(budget.withdraw(1, now)));
                } else {
                    budget.deposit(now);
                    requests += 1.0;
                }
                // Over the whole run: the reserve of the beginning, what requests earned, and one each second.
                let earned = ratio * requests + 10.0 + (now - start).as_secs_f64() + 1.0;
                prop_assert!(spent <= earned + 1e-6, "{spent} of {earned}");
            }
        }
    }
}
