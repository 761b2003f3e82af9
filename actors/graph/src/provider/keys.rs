//! The credentials of one provider, used in turn; one that the provider refuses is left out for a while.
//!
//! Shared by all workers, so that a key that one of them has seen refused is spared by all.

use std::time::Duration;

use parking_lot::Mutex;
use sentinel_domain::secret::Secret;
use tokio::time::Instant;

/// A credential in use.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    /// Its place in the configuration, safe to log.
    pub(super) index: usize,
    pub(super) secret: Secret,
}

#[derive(Debug)]
struct Turn {
    next: usize,
    benched_until: Vec<Option<Instant>>,
}

/// The ring itself.
#[derive(Debug)]
pub(super) struct KeyRing {
    keys: Vec<Secret>,
    turn: Mutex<Turn>,
}

impl KeyRing {
    pub(super) fn new(keys: Vec<Secret>) -> Self {
        let benched_until = vec![None; keys.len()];
        Self { keys, turn: Mutex::new(Turn { next: 0, benched_until }) }
    }

    /// Takes the next credential that is not benched, or the one whose bench ends first; `None` if there are none.
    pub(super) fn pick(&self, now: Instant) -> Option<Picked> {
        let count = self.keys.len();
        let mut turn = self.turn.lock();
        let in_turn = (0..count).map(|step| (turn.next + step) % count);
        let free = in_turn.clone().find(|index| !is_benched(&turn, *index, now));
        let index = free.or_else(|| in_turn.min_by_key(|index| turn.benched_until.get(*index).copied()))?;
        turn.next = (index + 1) % count;
        Some(Picked { index, secret: self.keys.get(index)?.clone() })
    }

    /// Leaves a credential out for `time`, or for as long as already decided if longer.
    pub(super) fn bench(&self, index: usize, time: Duration, now: Instant) {
        if let Some(until) = self.turn.lock().benched_until.get_mut(index) {
            *until = (*until).max(Some(now + time));
        }
    }

    /// Says whether any credential is in order.
    pub(super) fn any_free(&self, now: Instant) -> bool {
        let turn = self.turn.lock();
        (0..self.keys.len()).any(|index| !is_benched(&turn, index, now))
    }

    /// Returns how many credentials are left out now, and how many there are.
    pub(super) fn benched(&self, now: Instant) -> (usize, usize) {
        let turn = self.turn.lock();
        let benched = (0..self.keys.len()).filter(|index| is_benched(&turn, *index, now)).count();
        (benched, self.keys.len())
    }
}

fn is_benched(turn: &Turn, index: usize, now: Instant) -> bool {
    turn.benched_until.get(index).copied().flatten().is_some_and(|until| until > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ring(count: usize) -> KeyRing {
        KeyRing::new((0..count).map(|index| Secret::new(format!("key-{index}"))).collect())
    }

    fn picks(ring: &KeyRing, count: usize, now: Instant) -> Vec<usize> {
        (0..count).filter_map(|_| ring.pick(now)).map(|picked| picked.index).collect()
    }

    #[test]
    fn keys_are_used_in_turn_and_a_benched_one_is_left_out_until_its_time() {
        let (ring, now) = (ring(3), Instant::now());
        assert_eq!(picks(&ring, 4, now), [0, 1, 2, 0]);
        ring.bench(1, 60 * SECOND, now);
        ring.bench(1, 5 * SECOND, now);
        assert_eq!(picks(&ring, 3, now + 59 * SECOND), [2, 0, 2]);
        assert_eq!(ring.benched(now), (1, 3));
        assert_eq!(picks(&ring, 3, now + 60 * SECOND), [0, 1, 2]);
    }

    #[test]
    fn when_all_are_benched_the_one_that_is_free_soonest_is_used() {
        let (ring, now) = (ring(3), Instant::now());
        for (index, seconds) in [(0, 30), (1, 10), (2, 20)] {
            ring.bench(index, seconds * SECOND, now);
        }
        assert!(!ring.any_free(now));
        assert_eq!(picks(&ring, 2, now), [1, 1]);
        assert!(ring.any_free(now + 10 * SECOND));
    }

    #[test]
    fn a_provider_without_credentials_has_none_to_pick() {
        let (ring, now) = (ring(0), Instant::now());
        assert!(ring.pick(now).is_none());
        assert!(!ring.any_free(now));
        ring.bench(0, SECOND, now);
    }
}
