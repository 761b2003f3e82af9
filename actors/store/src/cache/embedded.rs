//! The cache of this process: sharded, bounded in bytes, and keeping what was expensive per byte.
//!
//! Eviction is greedy-dual size with frequency: an entry's rank is the shard's age when it was last used, plus its
//! cost and uses per byte. The lowest rank goes, and the age rises to it, so that even a dear entry goes in the
//! end if nobody asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{CacheEntry, CacheKey, CacheStats, Counters, count};

/// Bytes of a shard below which further shards would only keep large answers out.
const SHARD_BYTES: usize = 4 * 1024 * 1024;
const MAX_SHARDS: usize = 16;
/// Added to every cost, in nano-dollars, so that answers of unknown price still rank by use and size.
const BASE_COST: u64 = 1_000;

struct Slot {
    entry: Arc<CacheEntry>,
    weight: usize,
    expires: Instant,
    uses: u64,
    rank: u64,
}

#[derive(Default)]
struct Shard {
    slots: ahash::HashMap<CacheKey, Slot>,
    ranks: BTreeSet<(u64, CacheKey)>,
    bytes: usize,
    age: u64,
}

/// The answers kept by one process, shared by its workers.
pub struct MemoryCache {
    shards: Box<[Mutex<Shard>]>,
    shard_bytes: usize,
    counters: Counters,
}

impl MemoryCache {
    /// Makes an empty cache of at most `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Arc<Self> {
        let shards = (max_bytes / SHARD_BYTES).clamp(1, MAX_SHARDS);
        Arc::new(Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_bytes: max_bytes / shards,
            counters: Counters::default(),
        })
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    fn shard(&self, key: &CacheKey) -> Option<&Mutex<Shard>> {
        // The key is a hash already; any byte of it is as good as another hash.
        let [first, ..] = key.as_bytes();
        self.shards.get(usize::from(*first) % self.shards.len())
    }

    /// Returns an answer that has not expired.
    #[must_use]
    pub fn get(&self, key: &CacheKey, now: Instant) -> Option<Arc<CacheEntry>> {
        let mut shard = self.shard(key)?.lock();
        let age = shard.age;
        let slot = shard.slots.get_mut(key)?;
        if slot.expires <= now {
            shard.remove(key);
            return None;
        }
        slot.uses = slot.uses.saturating_add(1);
        let (before, after) = (slot.rank, rank(age, &slot.entry, slot.weight, slot.uses));
        slot.rank = after;
        let entry = Arc::clone(&slot.entry);
        shard.ranks.remove(&(before, *key));
        shard.ranks.insert((after, *key));
        Some(entry)
    }

    /// Stores an answer for `ttl`, making room for it if that does not cost more valuable ones than it is.
    pub fn put(&self, key: CacheKey, entry: Arc<CacheEntry>, ttl: Duration, now: Instant) {
        let weight = entry.weight();
        if weight > self.shard_bytes {
            return count(&self.counters.too_large);
        }
        let Some(shard) = self.shard(&key) else { return };
        let mut shard = shard.lock();
        shard.remove(&key);
        while shard.bytes + weight > self.shard_bytes {
            let Some((lowest, victim)) = shard.ranks.first().copied() else { break };
            shard.age = shard.age.max(lowest);
            shard.remove(&victim);
            count(&self.counters.evicted);
        }
        let rank = rank(shard.age, &entry, weight, 1);
        shard.ranks.insert((rank, key));
        shard.bytes += weight;
        shard.slots.insert(key, Slot { entry, weight, expires: now + ttl, uses: 1, rank });
        count(&self.counters.stored);
    }

    /// Removes every answer.
    pub fn clear(&self) {
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let (entries, bytes) = self.shards.iter().fold((0, 0), |(entries, bytes), shard| {
            let shard = shard.lock();
            (entries + shard.slots.len() as u64, bytes + shard.bytes as u64)
        });
        let counters = &self.counters;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&counters.hits),
            misses: read(&counters.misses),
            stored: read(&counters.stored),
            too_large: read(&counters.too_large),
            evicted: read(&counters.evicted),
            damaged: read(&counters.damaged),
            entries,
            bytes,
            saved_nano: i64::try_from(read(&counters.saved_nano)).unwrap_or(i64::MAX),
        }
    }
}

impl Shard {
    fn remove(&mut self, key: &CacheKey) {
        if let Some(slot) = self.slots.remove(key) {
            self.ranks.remove(&(slot.rank, *key));
            self.bytes -= slot.weight.min(self.bytes);
        }
    }
}

/// Nano-dollars per KiB, times uses, above the age.
fn rank(age: u64, entry: &CacheEntry, weight: usize, uses: u64) -> u64 {
    let cost = u64::try_from(entry.cost.unwrap_or_default().nano()).unwrap_or(0).saturating_add(BASE_COST);
    let value = u128::from(cost) * u128::from(uses) * 1024 / weight.max(1) as u128;
    age.saturating_add(u64::try_from(value).unwrap_or(u64::MAX))
}
