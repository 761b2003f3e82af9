//! Everything that is stored, opened once per process and handed to each worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::Secret;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::budget::{Accounts, BudgetStore, Outbox, Periods};
use crate::cache::{CachePolicy, CacheStore, MemoryCache};
use crate::embedded::StateFile;
use crate::error::StoreError;
use crate::health::{OnOutage, StoreHealth};
use crate::keys::{KeyBackend, KeyFile, KeyHash, KeyRecord, KeyRing};
use crate::limits::{Embedded, LimitStore};
use crate::redis::{Redis, RedisShared};
use crate::usage::{Ledger, UsageStore};

/// Where state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// In this process and its files.
    #[default]
    Embedded,
    /// In a Redis that several gateways may share.
    Redis,
}

/// Settings of all stores.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where state is kept.
    pub backend: Backend,
    /// The data directory.
    pub path: PathBuf,
    /// Address of Redis.
    pub redis_url: Secret,
    /// Longest wait for an answer of Redis.
    pub redis_timeout: Duration,
    /// What to do while Redis is out.
    pub on_outage: OnOutage,
    /// Callers with limits of their own at once, in this process.
    pub max_callers: usize,
    /// Bounds of the cache.
    pub cache: CachePolicy,
}

/// Longest wait of a command-line tool for Redis.
const CLI_PATIENCE: Duration = Duration::from_secs(3);

/// The stores of one process.
pub struct Stores {
    settings: StoreSettings,
    limits: Arc<Embedded>,
    accounts: Arc<Accounts>,
    ledger: Arc<Ledger>,
    memory: Arc<MemoryCache>,
    ring: Arc<KeyRing>,
    backing: Backing,
}

enum Backing {
    Embedded(Arc<StateFile>),
    Redis(Arc<RedisShared>, Arc<Outbox>),
}

impl Stores {
    /// Opens the embedded file, or reads the address of Redis without connecting. Blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has the data directory, [`StoreError::File`] if it cannot be used,
    /// [`StoreError::Config`] if the address is wrong.
    pub fn open(
        settings: StoreSettings,
        configured_keys: Vec<KeyRecord>,
        now_ms: u64,
    ) -> Result<Arc<Self>, StoreError> {
        let (accounts, backing) = match settings.backend {
            Backend::Embedded => {
                let file = StateFile::open(&settings.path)?;
                let accounts = Accounts::durable(Arc::clone(&file), &Periods::at(now_ms))?;
                (accounts, Backing::Embedded(file))
            }
            Backend::Redis => {
                let shared = RedisShared::new(&settings.redis_url, settings.redis_timeout)?;
                (Accounts::in_memory(), Backing::Redis(shared, Arc::default()))
            }
        };
        Ok(Arc::new(Self {
            limits: Embedded::new(settings.max_callers, Instant::now()),
            accounts,
            ledger: Arc::default(),
            memory: MemoryCache::new(settings.cache.max_bytes),
            ring: KeyRing::new(configured_keys),
            backing,
            settings,
        }))
    }

    /// Makes the handles of one worker and starts its background work. Call it inside the worker's runtime.
    #[must_use]
    pub fn worker(&self) -> WorkerStores {
        let mut tasks = Vec::new();
        let mut worker = match &self.backing {
            Backing::Embedded(file) => WorkerStores {
                limits: LimitStore::embedded(Arc::clone(&self.limits)),
                budgets: BudgetStore::embedded(Arc::clone(&self.accounts)),
                usage: UsageStore::embedded(Arc::clone(&self.ledger), Arc::clone(file)),
                cache: CacheStore::embedded(Arc::clone(&self.memory), self.settings.cache),
                keys: Arc::clone(&self.ring),
                key_backend: KeyBackend::File(Arc::new(KeyFile::new(&self.settings.path))),
                redis: None,
                outbox: None,
                _tasks: Tasks(Arc::default()),
            },
            Backing::Redis(shared, outbox) => {
                let redis = Redis::start(Arc::clone(shared));
                let policy = self.settings.on_outage;
                tasks.push(tokio::spawn(Arc::clone(outbox).run(redis.clone())));
                let usage = UsageStore::redis(Arc::clone(&self.ledger), redis.clone());
                tasks.push(tokio::spawn(usage.clone().run()));
                WorkerStores {
                    limits: LimitStore::redis(redis.clone(), policy, Arc::clone(&self.limits)),
                    budgets: BudgetStore::redis(
                        redis.clone(),
                        policy,
                        Arc::clone(&self.accounts),
                        Arc::clone(outbox),
                    ),
                    usage,
                    cache: CacheStore::redis(
                        redis.clone(),
                        policy,
                        Arc::clone(&self.memory),
                        self.settings.cache,
                    ),
                    keys: Arc::clone(&self.ring),
                    key_backend: KeyBackend::Redis(KeyHash::new(redis.clone())),
                    redis: Some(redis),
                    outbox: Some(Arc::clone(outbox)),
                    _tasks: Tasks(Arc::default()),
                }
            }
        };
        tasks.push(tokio::spawn(Arc::clone(&self.ring).run(worker.key_backend.clone())));
        worker._tasks = Tasks(Arc::new(AbortOnDrop(tasks)));
        worker
    }

    /// Returns the state for health pages and metrics.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        match &self.backing {
            Backing::Embedded(file) => file.health(),
            Backing::Redis(shared, _) => shared.health(),
        }
    }

    /// Returns the keys, also outside a worker.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Returns budget settlements that Redis does not have yet, and those lost because it was out for too long.
    #[must_use]
    pub fn undelivered(&self) -> (u64, u64) {
        match &self.backing {
            Backing::Embedded(_) => (0, 0),
            Backing::Redis(_, outbox) => (outbox.waiting(), outbox.lost()),
        }
    }
}

/// Opens only the stored keys, for `sentinel key`: works beside a running daemon.
///
/// # Errors
/// [`StoreError::Unavailable`] if Redis cannot be reached, [`StoreError::Config`] if its address is wrong.
pub async fn open_keys(settings: &StoreSettings) -> Result<KeyBackend, StoreError> {
    match settings.backend {
        Backend::Embedded => Ok(KeyBackend::File(Arc::new(KeyFile::new(&settings.path)))),
        Backend::Redis => {
            let redis = Redis::start(RedisShared::new(&settings.redis_url, settings.redis_timeout)?);
            redis.ready(CLI_PATIENCE).await?;
            Ok(KeyBackend::Redis(KeyHash::new(redis)))
        }
    }
}

/// The handles of one worker. Clones share its connection and its background work.
#[derive(Clone)]
pub struct WorkerStores {
    /// Requests, tokens and calls in flight.
    pub limits: LimitStore,
    /// Money.
    pub budgets: BudgetStore,
    /// The ledger.
    pub usage: UsageStore,
    /// Answers.
    pub cache: CacheStore,
    /// Keys, for checking.
    pub keys: Arc<KeyRing>,
    /// Keys, for changing.
    pub key_backend: KeyBackend,
    redis: Option<Redis>,
    outbox: Option<Arc<Outbox>>,
    _tasks: Tasks,
}

impl WorkerStores {
    /// Waits until everything settled so far is stored; part of an orderly end.
    ///
    /// # Errors
    /// The first failure, after everything has been tried.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let usage = self.usage.flush().await;
        if let (Some(redis), Some(outbox)) = (&self.redis, &self.outbox) {
            outbox.flush(redis).await?;
        }
        usage
    }

    /// Returns the connection to Redis, if that is where state is kept.
    #[must_use]
    pub fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }
}

#[derive(Clone)]
struct Tasks(#[expect(dead_code, reason = "held for its drop")] Arc<AbortOnDrop>);

#[derive(Default)]
struct AbortOnDrop(Vec<JoinHandle<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
