//! Names of targets, and a bounded map of what is known about each, shared by all workers.
//!
//! A model name may be a client's own bytes (routes can pass names on), so the map has a cap: what is configured is
//! kept for ever, the rest is forgotten when it has not been used for longest.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// What stands in metrics for a model that is not in the configuration, since a client may have made its name up.
pub const OTHER: &str = "other";

/// One model at one provider: what a breaker, a cooldown and a latency belong to.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// Name of the configured provider.
    pub provider: Arc<str>,
    /// The provider's own model name, as it is sent.
    pub model: Arc<str>,
}

impl TargetKey {
    /// Names a target.
    #[must_use]
    pub fn new(provider: impl Into<Arc<str>>, model: impl Into<Arc<str>>) -> Self {
        Self { provider: provider.into(), model: model.into() }
    }
}

impl fmt::Debug for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl fmt::Display for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

struct Entry<T> {
    value: Arc<T>,
    /// Kept whatever happens, because it is configured.
    pinned: bool,
    last_used: AtomicU64,
}

/// A map from targets to shared values that never holds more than `capacity` unpinned ones.
pub(crate) struct TargetMap<T> {
    entries: RwLock<HashMap<TargetKey, Entry<T>>>,
    ticks: AtomicU64,
    capacity: usize,
}

impl<T> TargetMap<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: RwLock::new(HashMap::new()), ticks: AtomicU64::new(0), capacity: capacity.max(4) }
    }

    /// Returns the value of a target, made by `make` if there is none or if `fits` refuses the present one.
    pub(crate) fn get_or_insert(
        &self,
        key: &TargetKey,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = self.entries.read().get(key)
            && fits(&entry.value)
        {
            entry.last_used.store(tick, Ordering::Relaxed);
            return Arc::clone(&entry.value);
        }
        let mut entries = self.entries.write();
        let mut pinned = false;
        if let Some(entry) = entries.get(key) {
            // Another worker may have been faster.
            if fits(&entry.value) {
                return Arc::clone(&entry.value);
            }
            pinned = entry.pinned;
        } else {
            Self::make_room(&mut entries, self.capacity);
        }
        let value = Arc::new(make());
        let entry = Entry { value: Arc::clone(&value), pinned, last_used: AtomicU64::new(tick) };
        entries.insert(key.clone(), entry);
        value
    }

    /// Keeps exactly these targets for ever; the others may be forgotten.
    pub(crate) fn pin(&self, keys: impl IntoIterator<Item = TargetKey>, make: impl Fn(&TargetKey) -> T) {
        let mut entries = self.entries.write();
        for entry in entries.values_mut() {
            entry.pinned = false;
        }
        for key in keys {
            entries.entry(key).and_modify(|entry| entry.pinned = true).or_insert_with_key(|key| Entry {
                value: Arc::new(make(key)),
                pinned: true,
                last_used: AtomicU64::new(0),
            });
        }
    }

    /// Returns the value of a target, if there is one.
    pub(crate) fn get(&self, key: &TargetKey) -> Option<Arc<T>> {
        self.entries.read().get(key).map(|entry| Arc::clone(&entry.value))
    }

    /// Says whether a target is one of those that are kept for ever.
    pub(crate) fn is_pinned(&self, key: &TargetKey) -> bool {
        self.entries.read().get(key).is_some_and(|entry| entry.pinned)
    }

    /// Returns everything, in the order of the names.
    pub(crate) fn all(&self) -> Vec<(TargetKey, Arc<T>)> {
        let mut all: Vec<_> = {
            let entries = self.entries.read();
            entries.iter().map(|(key, entry)| (key.clone(), Arc::clone(&entry.value))).collect()
        };
        all.sort_by(|left, right| left.0.cmp(&right.0));
        all
    }

    /// Forgets the longest unused quarter at once, so that a flood of new names does not pay for each.
    fn make_room(entries: &mut HashMap<TargetKey, Entry<T>>, capacity: usize) {
        let mut used: Vec<u64> = entries
            .values()
            .filter(|entry| !entry.pinned)
            .map(|entry| entry.last_used.load(Ordering::Relaxed))
            .collect();
        if used.len() < capacity {
            return;
        }
        let quarter = used.len() / 4;
        let (_, threshold, _) = used.select_nth_unstable(quarter);
        let threshold = *threshold;
        entries.retain(|_, entry| entry.pinned || entry.last_used.load(Ordering::Relaxed) > threshold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(model: &str) -> TargetKey {
        TargetKey::new("p", model)
    }

    #[test]
    fn a_flood_of_names_stays_bounded_and_spares_what_is_configured_or_in_use() {
        let map = TargetMap::<u32>::new(16);
        map.pin([key("configured")], |_| 7);
        map.get_or_insert(&key("busy"), |_| true, || 8);
        for number in 0..10_000 {
            map.get_or_insert(&key(&format!("junk-{number}")), |_| true, || 0);
            map.get_or_insert(&key("busy"), |_| true, || 0);
        }
        assert!(map.all().len() <= 17, "{}", map.all().len());
        assert_eq!(map.get(&key("configured")).as_deref(), Some(&7));
        assert_eq!(map.get(&key("busy")).as_deref(), Some(&8), "the first value was kept");
    }

    #[test]
    fn a_value_that_does_not_fit_is_replaced() {
        let map = TargetMap::<u32>::new(16);
        assert_eq!(*map.get_or_insert(&key("a"), |_| true, || 1), 1);
        assert_eq!(*map.get_or_insert(&key("a"), |value| *value == 1, || 2), 1);
        assert_eq!(*map.get_or_insert(&key("a"), |value| *value == 2, || 2), 2);
    }
}
