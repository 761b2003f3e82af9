//! One upstream call for identical requests in flight, streams included.
//!
//! The first to ask becomes the one who fetches: it gets a [`Publisher`], to be moved into a task of its own, and a
//! [`Listener`] like everybody else. So the fetch belongs to the group, not to the request that happened to be first:
//! that one may leave while others listen. Who joins late reads the log of what was sent, then the live tail. When the
//! fetch ends before its first event in a way that says nothing about the others (its task panicked, its worker
//! stopped), exactly one listener is promoted to fetch. The key contains the scope, so callers who may not share
//! an answer never share a call.

mod group;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

pub use group::{Event, Listener, Publisher};

use self::group::Group;
use super::CacheKey;

/// Bounds of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoalesceLimits {
    /// Bytes that one group may be ahead of its slowest listener, and that late joiners may be given. Past it nobody
    /// can join, and a listener that is still further behind is cut off.
    pub group_bytes: usize,
    /// Bytes of all logs together, past which groups keep no history and nobody can join them.
    pub total_bytes: usize,
    /// Groups at once; past it requests go alone.
    pub groups: usize,
}

impl Default for CoalesceLimits {
    fn default() -> Self {
        Self { group_bytes: 4 * 1024 * 1024, total_bytes: 32 * 1024 * 1024, groups: 10_000 }
    }
}

/// What the groups of one process share.
struct Shared<E, F> {
    groups: Mutex<ahash::HashMap<CacheKey, Arc<Group<E, F>>>>,
    limits: CoalesceLimits,
    /// Bytes of all logs.
    bytes: AtomicUsize,
    joined: AtomicU64,
}

/// What a request is told on joining.
pub enum Joined<E, F> {
    /// It is the first: it has to see that the answer is fetched and published, and listens like the others.
    Lead(Publisher<E, F>, Listener<E, F>),
    /// Somebody else fetches already.
    Follow(Listener<E, F>),
    /// There are too many groups; it goes alone.
    Alone,
}

/// The groups of identical requests in flight. Clones share them; one per process.
pub struct Coalescer<E, F> {
    shared: Arc<Shared<E, F>>,
}

impl<E, F> Clone for Coalescer<E, F> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<E: Clone, F: Clone> Coalescer<E, F> {
    /// Makes an empty set of groups.
    #[must_use]
    pub fn new(limits: CoalesceLimits) -> Self {
        Self {
            shared: Arc::new(Shared {
                groups: Mutex::default(),
                limits,
                bytes: AtomicUsize::new(0),
                joined: AtomicU64::new(0),
            }),
        }
    }

    /// Joins the group of `key`, or starts it.
    #[must_use]
    pub fn join(&self, key: CacheKey) -> Joined<E, F> {
        let mut groups = self.shared.groups.lock();
        if let Some(group) = groups.get(&key)
            && let Some(listener) = group::join(group)
        {
            self.shared.joined.fetch_add(1, Ordering::Relaxed);
            return Joined::Follow(listener);
        }
        if groups.len() >= self.shared.limits.groups {
            return Joined::Alone;
        }
        let (group, publisher, listener) = group::start(key, &self.shared);
        groups.insert(key, group);
        Joined::Lead(publisher, listener)
    }

    /// Returns how many requests have shared another's call.
    #[must_use]
    pub fn coalesced(&self) -> u64 {
        self.shared.joined.load(Ordering::Relaxed)
    }

    /// Returns how many groups are open to join.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.shared.groups.lock().len()
    }

    /// Returns the bytes of all logs.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl<E, F> Shared<E, F> {
    /// Takes a group off the list, so that nobody joins it any more. A newer group under the same key stays.
    fn retire(&self, key: &CacheKey, group: &Group<E, F>) {
        let mut groups = self.groups.lock();
        if groups.get(key).is_some_and(|listed| std::ptr::eq(Arc::as_ptr(listed), group)) {
            groups.remove(key);
        }
    }
}
