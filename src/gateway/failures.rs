//! Counts wrong credentials per address, so that guessing keys gets slow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Failures that an address may have in one window.
const MOST_FAILURES: u32 = 30;
/// Length of the window.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once; beyond it the oldest windows are forgotten.
const MOST_ADDRESSES: usize = 10_000;

/// Remembers failures per address.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// Says how long an address has to wait, if it has failed too often.
    #[must_use]
    pub fn blocked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.0.lock();
        let (count, since) = failures.get(&address)?;
        let left = WINDOW.checked_sub(now.saturating_duration_since(*since))?;
        (*count >= MOST_FAILURES && !left.is_zero()).then_some(left)
    }

    /// Counts a failure.
    pub fn record(&self, address: IpAddr, now: Instant) {
        let mut failures = self.0.lock();
        if failures.len() >= MOST_ADDRESSES && !failures.contains_key(&address) {
            failures.retain(|_, (_, since)| now.saturating_duration_since(*since) < WINDOW);
            if failures.len() >= MOST_ADDRESSES {
                // A flood from very many addresses: forgetting is better than growing.
                failures.clear();
            }
        }
        let entry = failures.entry(address).or_insert((0, now));
        if now.saturating_duration_since(entry.1) >= WINDOW {
            *entry = (0, now);
        }
        entry.0 = entry.0.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_blocked_after_too_many_failures_until_the_window_ends() {
        let failures = Failures::default();
        let (address, start) = ("192.0.2.1".parse().unwrap(), Instant::now());
        for _ in 0..MOST_FAILURES {
            assert_eq!(failures.blocked(address, start), None);
            failures.record(address, start);
        }
        assert_eq!(failures.blocked(address, start + WINDOW / 4), Some(WINDOW * 3 / 4));
        assert_eq!(failures.blocked("192.0.2.2".parse().unwrap(), start), None);
        assert_eq!(failures.blocked(address, start + WINDOW), None);
        failures.record(address, start + WINDOW);
        assert_eq!(failures.blocked(address, start + WINDOW), None);
    }
}
