//! Answers that need not be bought twice.
//!
//! Exact matches only, under the full SHA-256 of everything that changes the answer or its price. A cache
//! that fails is a miss, never an error.

pub mod coalesce;
mod embedded;
mod entry;
mod redis;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sentinel_domain::NanoUsd;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

pub use embedded::MemoryCache;
pub use entry::{CacheBody, CacheEntry};

use crate::health::OnOutage;
use crate::redis::Redis;

/// Names one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// Hashes everything that an answer depends on.
    ///
    /// `scope` keeps callers apart: the key's name, or one fixed text for a shared cache. `request` is the request in
    /// canonical form without what changes neither the answer nor its price; `model` the resolved provider and model;
    /// `policy` the version of the guard settings. Each part is preceded by its length, so that no two lists of parts
    /// run together.
    #[must_use]
    pub fn new(scope: &str, model: &str, policy: &str, request: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for part in
            [b"sentinel-cache-1".as_slice(), scope.as_bytes(), model.as_bytes(), policy.as_bytes(), request]
        {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Returns the hash in hex.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Returns the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Sizes and times of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// How long an answer may be used.
    pub ttl: Duration,
    /// Bytes of the embedded cache in all.
    pub max_bytes: usize,
    /// Largest single answer.
    pub max_entry: usize,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct CacheStats {
    /// Look-ups that found an answer.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Answers stored.
    pub stored: u64,
    /// Answers not stored because of their size.
    pub too_large: u64,
    /// Answers that made room for others.
    pub evicted: u64,
    /// Stored values that could not be used: wrong type, checksum or version.
    pub damaged: u64,
    /// Answers in the embedded cache now.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Nano-dollars that hits did not spend again.
    pub saved_nano: i64,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
    too_large: AtomicU64,
    evicted: AtomicU64,
    damaged: AtomicU64,
    saved_nano: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The cache that the rest of the gateway asks: cheap to clone, one per worker.
#[derive(Clone)]
pub struct CacheStore {
    memory: Arc<MemoryCache>,
    remote: Option<(Redis, OnOutage)>,
    policy: CachePolicy,
}

impl CacheStore {
    /// Keeps answers in this process.
    #[must_use]
    pub fn embedded(memory: Arc<MemoryCache>, policy: CachePolicy) -> Self {
        Self { memory, remote: None, policy }
    }

    /// Keeps answers in Redis; `memory` takes over while it is out, if the policy is to go on.
    #[must_use]
    pub fn redis(redis: Redis, on_outage: OnOutage, memory: Arc<MemoryCache>, policy: CachePolicy) -> Self {
        Self { memory, remote: Some((redis, on_outage)), policy }
    }

    /// Returns a stored answer, and counts the money that it saves.
    pub async fn get(&self, key: &CacheKey, now: Instant) -> Option<Arc<CacheEntry>> {
        let counters = self.memory.counters();
        let found = match &self.remote {
            Some((redis, _)) if redis.is_usable() => redis::get(redis, key, counters).await.map(Arc::new),
            Some((_, OnOutage::Reject)) => None,
            _ => self.memory.get(key, now),
        };
        match &found {
            Some(entry) => {
                count(&counters.hits);
                let saved = u64::try_from(entry.cost.unwrap_or_default().nano()).unwrap_or(0);
                counters.saved_nano.fetch_add(saved, Ordering::Relaxed);
            }
            None => count(&counters.misses),
        }
        found
    }

    /// Stores a complete answer. Waits for nothing: with Redis it is sent in the background.
    pub fn put(&self, key: &CacheKey, entry: CacheEntry, now: Instant) {
        let counters = self.memory.counters();
        if entry.weight() > self.policy.max_entry {
            return count(&counters.too_large);
        }
        match &self.remote {
            Some((redis, _)) if redis.is_usable() => {
                if redis::put(redis, key, &entry, self.policy.ttl) {
                    count(&counters.stored);
                }
            }
            Some((_, OnOutage::Reject)) => {}
            _ => self.memory.put(*key, Arc::new(entry), self.policy.ttl, now),
        }
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.memory.stats()
    }

    /// Returns the money saved by hits.
    #[must_use]
    pub fn saved(&self) -> NanoUsd {
        NanoUsd::new(self.memory.stats().saved_nano)
    }
}
