//! One set of tests that every backend has to pass: embedded, one Redis, a cluster of three masters.

mod budgets;
mod caches;
mod faults;
mod keys;
mod limits;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::Secret;
use sentinel_domain::ids::Caller;
use tempfile::TempDir;

use crate::cache::CachePolicy;
use crate::testing::{RedisCluster, RedisServer};
use crate::{Backend, OnOutage, StoreSettings, Stores, WorkerStores};

/// 2026-11-28T12:00:00Z.
pub(crate) const NOW_MS: u64 = 1_795_867_200_000;

/// A backend under test with what keeps it alive.
pub(crate) struct Bench {
    pub(crate) settings: StoreSettings,
    pub(crate) stores: Arc<Stores>,
    pub(crate) worker: WorkerStores,
    pub(crate) server: Option<RedisServer>,
    _cluster: Option<RedisCluster>,
    _directory: TempDir,
}

pub(crate) fn caller(name: &str) -> Caller {
    Caller::Key(name.into())
}

pub(crate) fn settings(directory: &TempDir, backend: Backend, url: &str) -> StoreSettings {
    StoreSettings {
        backend,
        path: directory.path().to_owned(),
        redis_url: Secret::new(url),
        redis_timeout: Duration::from_millis(250),
        on_outage: OnOutage::Local,
        max_callers: 10_000,
        cache: CachePolicy { ttl: Duration::from_secs(60), max_bytes: 1024 * 1024, max_entry: 256 * 1024 },
    }
}

impl Bench {
    pub(crate) async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory, Backend::Embedded, "redis://127.0.0.1:1");
        Self::open(settings, None, None, directory).await
    }

    pub(crate) async fn redis() -> Self {
        Self::on_server(RedisServer::start(), OnOutage::Local).await
    }

    pub(crate) async fn on_server(server: RedisServer, on_outage: OnOutage) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(&directory, Backend::Redis, &server.url());
        settings.on_outage = on_outage;
        Self::open(settings, Some(server), None, directory).await
    }

    pub(crate) async fn cluster() -> Self {
        let cluster = RedisCluster::start();
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(&directory, Backend::Redis, &cluster.url());
        // Forming and learning the slots takes longer than a call on a quiet machine.
        settings.redis_timeout = Duration::from_secs(2);
        Self::open(settings, None, Some(cluster), directory).await
    }

    async fn open(
        settings: StoreSettings,
        server: Option<RedisServer>,
        cluster: Option<RedisCluster>,
        directory: TempDir,
    ) -> Self {
        let stores = Stores::open(settings.clone(), Vec::new(), NOW_MS).unwrap();
        let worker = stores.worker();
        if let Some(redis) = worker.redis() {
            redis.ready(Duration::from_secs(10)).await.unwrap();
        }
        Self { settings, stores, worker, server, _cluster: cluster, _directory: directory }
    }

    /// Another daemon on the same store, if the backend can be shared.
    pub(crate) async fn second_daemon(&self) -> Option<(Arc<Stores>, WorkerStores)> {
        if self.settings.backend == Backend::Embedded {
            return None;
        }
        let stores = Stores::open(self.settings.clone(), Vec::new(), NOW_MS).unwrap();
        let worker = stores.worker();
        worker.redis()?.ready(Duration::from_secs(10)).await.unwrap();
        Some((stores, worker))
    }

    /// Waits until what runs in the background has been done.
    pub(crate) async fn settle(&self) {
        self.worker.flush().await.unwrap();
    }
}

/// Makes the same test for every backend.
macro_rules! for_every_backend {
    ($($(#[$attribute:meta])* $name:ident;)+) => {
        mod embedded {
            $(#[tokio::test] async fn $name() { super::$name(&crate::contract::Bench::embedded().await).await; })+
        }
        mod redis {
            $(#[tokio::test] async fn $name() { super::$name(&crate::contract::Bench::redis().await).await; })+
        }
        mod cluster {
            /// One cluster for all, as starting one takes seconds.
            #[tokio::test]
            async fn all() {
                let bench = crate::contract::Bench::cluster().await;
                $(super::$name(&bench).await;)+
            }
        }
    };
}
pub(crate) use for_every_backend;

/// Polls until something is true, for work that another task or process does.
pub(crate) async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !is_true().await {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
