//! Measures what the stores cost a request: `cargo run --release -p sentinel-store --features testing --example measure`.
//!
//! Starts its own redis-server. The figures are wall-clock times of one thread on an otherwise quiet machine.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measuring program prints, fails loudly and reads the clock"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sentinel_domain::ids::Caller;
use sentinel_domain::policy::{BudgetLimits, CallerLimits};
use sentinel_domain::{NanoUsd, Secret, Usage};
use sentinel_store::budget::{Accounts, BudgetStore, Periods};
use sentinel_store::cache::coalesce::{CoalesceLimits, Coalescer, Joined};
use sentinel_store::cache::{CacheBody, CacheEntry, CacheKey, CachePolicy, MemoryCache};
use sentinel_store::limits::Embedded;
use sentinel_store::testing::RedisServer;
use sentinel_store::{Backend, OnOutage, StoreSettings, Stores};

const WINDOW: Duration = Duration::from_secs(60);
const LIMITS: CallerLimits =
    CallerLimits { rpm: 1_000_000_000, tpm: 1_000_000_000_000, max_in_flight: 1_000 };

fn report(what: &str, count: u32, start: Instant) {
    println!("{what:<44} {:>9.0} ns", start.elapsed().as_nanos() as f64 / f64::from(count));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        embedded().await;
        redis().await;
    });
}

async fn embedded() {
    let (caller, now) = (Caller::Key("a".into()), tokio::time::Instant::now());
    let cells = Embedded::new(1000, now);
    let start = Instant::now();
    for _ in 0..1_000_000 {
        let mut grant = Embedded::acquire(&cells, &caller, &LIMITS, WINDOW, 100, now).expect("room");
        grant.settle(50, now);
    }
    report("limits: acquire, settle, release", 1_000_000, start);

    let budgets = BudgetStore::embedded(Accounts::in_memory());
    let limits = BudgetLimits { day: Some(NanoUsd::MAX), month: None };
    let periods = Periods::at(1_795_867_200_000);
    let start = Instant::now();
    for _ in 0..1_000_000 {
        let hold = budgets.reserve(&caller, &limits, &limits, NanoUsd::new(10), &periods).await;
        hold.expect("money").settle(NanoUsd::new(5));
    }
    report("budgets: reserve and settle, key and global", 1_000_000, start);

    let body = vec![b'x'; 2048];
    let start = Instant::now();
    for number in 0..1_000_000_u32 {
        std::hint::black_box(CacheKey::new("key", "openai/gpt-4o", &number.to_string(), &body));
    }
    report("cache: key of a 2 KiB request", 1_000_000, start);

    let (cache, key) = (MemoryCache::new(64 << 20), CacheKey::new("key", "m", "1", &body));
    let entry = CacheEntry {
        body: CacheBody::Unary(body.into()),
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        usage: Usage::default(),
        cost: Some(NanoUsd::new(1000)),
        created_ms: 0,
    };
    cache.put(key, Arc::new(entry), WINDOW, now);
    let start = Instant::now();
    for _ in 0..1_000_000 {
        std::hint::black_box(cache.get(&key, now));
    }
    report("cache: hit in memory", 1_000_000, start);
    let missing = CacheKey::new("other", "m", "1", b"");
    let start = Instant::now();
    for _ in 0..1_000_000 {
        std::hint::black_box(cache.get(&missing, now));
    }
    report("cache: miss in memory", 1_000_000, start);

    let groups: Coalescer<u64, ()> = Coalescer::new(CoalesceLimits::default());
    let Joined::Lead(publisher, mut listener) = groups.join(key) else { return };
    let start = Instant::now();
    for number in 0..10_000 {
        publisher.publish(number, 100);
        let _ = listener.next().await;
    }
    report("coalescing: one event to one listener", 10_000, start);
}

async fn redis() {
    let (server, directory) = (RedisServer::start(), tempfile::tempdir().expect("a directory"));
    let settings = StoreSettings {
        backend: Backend::Redis,
        path: directory.path().to_owned(),
        redis_url: Secret::new(server.url()),
        redis_timeout: Duration::from_secs(1),
        on_outage: OnOutage::Reject,
        max_callers: 1000,
        cache: CachePolicy { ttl: WINDOW, max_bytes: 1 << 20, max_entry: 1 << 20 },
    };
    let stores = Stores::open(settings, Vec::new(), 0).expect("stores");
    let worker = stores.worker();
    worker.redis().expect("redis").ready(Duration::from_secs(5)).await.expect("a connection");
    let caller = Caller::Key("a".into());
    server.command(&["CONFIG", "RESETSTAT"]);
    let start = Instant::now();
    for _ in 0..20_000 {
        drop(worker.limits.acquire(&caller, &LIMITS, WINDOW, 100, tokio::time::Instant::now()).await);
    }
    report("redis: acquire, one after another", 20_000, start);
    let start = Instant::now();
    let calls = (0..64).map(|_| async {
        for _ in 0..500 {
            drop(worker.limits.acquire(&caller, &LIMITS, WINDOW, 100, tokio::time::Instant::now()).await);
        }
    });
    futures_util::future::join_all(calls).await;
    report("redis: acquire, 64 at once, per call", 32_000, start);
    for line in server.command(&["INFO", "commandstats"]).lines().filter(|line| line.contains("evalsha")) {
        println!("{line}");
    }
}
