//! Virtual keys: who may call, under which limits.
//!
//! Keys come from the configuration and from the store, where `sentinel key` makes and revokes them. A secret is shown
//! once and kept only as its SHA-256. Look-ups go to a snapshot in memory that is exchanged as a whole, so that a request
//! never waits for a file or for Redis, and a revocation reaches a running daemon within [`REFRESH_EVERY`].

mod file;
mod record;
mod redis;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sentinel_domain::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub use file::KeyFile;
pub use record::{KeyRecord, KeySpec};
pub use redis::KeyHash;

use crate::error::StoreError;

/// How often a running daemon looks whether keys have changed.
pub const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// Where stored keys live.
#[derive(Clone)]
pub enum KeyBackend {
    /// A file of its own beside the embedded store, which another process may change at any time.
    File(Arc<KeyFile>),
    /// Redis.
    Redis(KeyHash),
}

impl KeyBackend {
    /// Makes a key. The secret is returned here and never again.
    ///
    /// # Errors
    /// [`StoreError::Config`] if the name is taken or not usable; the store's failure.
    pub async fn create(&self, spec: KeySpec, now_ms: u64) -> Result<(KeyRecord, Secret), StoreError> {
        let (record, secret) = record::fresh(spec, now_ms)?;
        match self {
            Self::File(file) => file.insert(record.clone())?,
            Self::Redis(hash) => hash.insert(&record).await?,
        }
        Ok((record, secret))
    }

    /// Returns every stored key, revoked ones included, oldest first.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let mut keys = match self {
            Self::File(file) => file.read()?,
            Self::Redis(hash) => hash.read().await?,
        };
        keys.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(keys)
    }

    /// Revokes a key by its id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none; the store's failure.
    pub async fn revoke(&self, id: &str, now_ms: u64) -> Result<KeyRecord, StoreError> {
        match self {
            Self::File(file) => file.revoke(id, now_ms),
            Self::Redis(hash) => hash.revoke(id, now_ms).await,
        }
    }

    /// Returns something that differs whenever the keys may have changed.
    async fn version(&self) -> Result<String, StoreError> {
        match self {
            Self::File(file) => file.version(),
            Self::Redis(hash) => hash.version().await,
        }
    }
}

#[derive(Default)]
struct Snapshot {
    by_hash: ahash::HashMap<[u8; 32], Arc<KeyRecord>>,
}

/// What an offered key is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyCheck {
    /// It is valid.
    Valid(Arc<KeyRecord>),
    /// There is no such key, or it is revoked or expired. Deliberately one answer for all.
    Invalid,
}

/// The keys that the rest of the gateway asks; shared by all workers.
pub struct KeyRing {
    snapshot: ArcSwap<Snapshot>,
    configured: Mutex<Vec<KeyRecord>>,
    stored: Mutex<(Option<String>, Vec<KeyRecord>)>,
}

impl KeyRing {
    /// Makes a ring of the keys in the configuration; stored ones come with [`KeyRing::refresh`].
    #[must_use]
    pub fn new(configured: Vec<KeyRecord>) -> Arc<Self> {
        let ring = Self {
            snapshot: ArcSwap::default(),
            configured: Mutex::new(configured),
            stored: Mutex::default(),
        };
        ring.rebuild();
        Arc::new(ring)
    }

    /// Replaces the keys of the configuration, after it was read again.
    pub fn configure(&self, configured: Vec<KeyRecord>) {
        *self.configured.lock() = configured;
        self.rebuild();
    }

    /// Takes over the stored keys if they may have changed. On failure the ring keeps what it has.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn refresh(&self, backend: &KeyBackend) -> Result<(), StoreError> {
        let version = backend.version().await?;
        if self.stored.lock().0.as_ref() == Some(&version) {
            return Ok(());
        }
        let keys = backend.list().await?;
        *self.stored.lock() = (Some(version), keys);
        self.rebuild();
        Ok(())
    }

    /// Keeps refreshing until the future is dropped. One worker runs it.
    pub async fn run(self: Arc<Self>, backend: KeyBackend) {
        let mut was_well = true;
        loop {
            let outcome = self.refresh(&backend).await;
            if let (true, Err(error)) = (was_well, &outcome) {
                tracing::warn!(%error, "stored keys cannot be read; those known stay in force");
            }
            was_well = outcome.is_ok();
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    }

    fn rebuild(&self) {
        let mut by_hash = ahash::HashMap::default();
        // Configured keys come last: on the same hash, the file that the operator wrote wins.
        for record in self.stored.lock().1.iter().chain(self.configured.lock().iter()) {
            by_hash.insert(record.sha256, Arc::new(record.clone()));
        }
        self.snapshot.store(Arc::new(Snapshot { by_hash }));
    }

    /// Checks an offered key.
    #[must_use]
    pub fn check(&self, offered: &str, now_ms: u64) -> KeyCheck {
        let hash: [u8; 32] = Sha256::digest(offered.as_bytes()).into();
        let snapshot = self.snapshot.load();
        // The table is asked by a hash that the caller cannot aim, so its timing tells nothing about other keys; the
        // comparison that decides is constant in time.
        match snapshot.by_hash.get(&hash) {
            Some(record) if bool::from(record.sha256.ct_eq(&hash)) && record.is_in_force(now_ms) => {
                KeyCheck::Valid(Arc::clone(record))
            }
            _ => KeyCheck::Invalid,
        }
    }

    /// Returns every key, configured and stored.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<KeyRecord>> {
        self.snapshot.load().by_hash.values().cloned().collect()
    }

    /// Says whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshot.load().by_hash.is_empty()
    }
}
