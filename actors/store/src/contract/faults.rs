//! A Redis that is absent, killed, hung, full, read-only, flushed or damaged: rows R01 to R13 of the fault list.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sentinel_domain::policy::{BudgetLimits, CallerLimits};
use sentinel_domain::{NanoUsd, Secret};
use tokio::time::Instant;

use super::{Bench, NOW_MS, caller, eventually, settings};
use crate::budget::{Periods, ReserveError};
use crate::cache::{CacheBody, CacheEntry, CacheKey};
use crate::limits::{AcquireError, Grant};
use crate::testing::RedisServer;
use crate::usage::{UsageEvent, UsageQuery};
use crate::{Backend, OnOutage, Stores, WorkerStores};

const WINDOW: Duration = Duration::from_secs(60);
const LIMITS: CallerLimits = CallerLimits { rpm: 1_000_000, tpm: 0, max_in_flight: 0 };

async fn acquire(worker: &WorkerStores, name: &str, limits: CallerLimits) -> Result<Grant, AcquireError> {
    worker.limits.acquire(&caller(name), &limits, WINDOW, 0, Instant::now()).await
}

fn open(server_url: &str, directory: &tempfile::TempDir) -> (std::sync::Arc<Stores>, WorkerStores) {
    let stores = Stores::open(settings(directory, Backend::Redis, server_url), Vec::new(), NOW_MS).unwrap();
    let worker = stores.worker();
    (stores, worker)
}

#[tokio::test]
async fn r01_r02_an_absent_redis_delays_nothing_and_is_used_once_it_appears() {
    let (mut server, directory) = (RedisServer::absent(), tempfile::tempdir().unwrap());
    let start = Instant::now();
    let (stores, worker) = open(&server.url(), &directory);
    drop(acquire(&worker, "a", LIMITS).await.unwrap());
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(!stores.health().up);
    assert_eq!(stores.health().fallbacks, 1);
    server.restart();
    eventually("it is used", async || stores.health().up).await;
    drop(acquire(&worker, "a", LIMITS).await.unwrap());
    assert_eq!(server.keys(), ["{sentinel:key:a}:v1:limits"]);
    assert_eq!(stores.health().degraded_for, None);
}

#[tokio::test]
async fn r03_a_killed_redis_costs_no_call_anything_and_is_used_again_when_back() {
    let mut bench = Bench::redis().await;
    drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
    bench.server.as_mut().unwrap().kill();
    let mut slowest = Duration::ZERO;
    for _ in 0..500 {
        let start = Instant::now();
        drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_millis(300), "{slowest:?}");
    eventually("it is seen to be out", async || !bench.stores.health().up).await;
    bench.server.as_mut().unwrap().restart();
    let back = Instant::now();
    eventually("it is used", async || bench.stores.health().up).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
    assert_eq!(bench.server.as_ref().unwrap().keys(), ["{sentinel:key:a}:v1:limits"]);
}

#[tokio::test]
async fn r04_a_hung_redis_is_given_up_after_few_calls_and_its_deadline_is_kept() {
    let bench = Bench::redis().await;
    drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
    bench.server.as_ref().unwrap().hang();
    let (mut late, start) = (0, Instant::now());
    for _ in 0..200 {
        let call = Instant::now();
        drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
        late += u32::from(call.elapsed() > Duration::from_millis(100));
    }
    assert!(late <= 5, "{late} calls waited");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    bench.server.as_ref().unwrap().resume();
    eventually("it is used", async || bench.worker.redis().unwrap().is_usable()).await;
}

#[tokio::test]
async fn rejecting_means_an_error_and_never_a_local_answer() {
    let mut bench = Bench::on_server(RedisServer::start(), OnOutage::Reject).await;
    drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
    bench.server.as_mut().unwrap().kill();
    for _ in 0..10 {
        let error = acquire(&bench.worker, "a", LIMITS).await.unwrap_err();
        assert!(matches!(error, AcquireError::Unavailable(_)), "{error}");
    }
    let limits = BudgetLimits { day: Some(NanoUsd::new(1)), month: None };
    let reserved = bench
        .worker
        .budgets
        .reserve(&caller("a"), &limits, &BudgetLimits::default(), NanoUsd::new(1), &Periods::at(NOW_MS))
        .await;
    assert!(matches!(reserved, Err(ReserveError::Unavailable(_))));
    // Without limits there is nothing to ask, and nothing to refuse.
    drop(acquire(&bench.worker, "a", CallerLimits::default()).await.unwrap());
}

#[tokio::test]
async fn r06_a_full_redis_still_answers_reads_and_says_that_it_refuses_writes() {
    let bench = Bench::redis().await;
    let server = bench.server.as_ref().unwrap();
    let (key, cache) = (CacheKey::new("s", "m", "1", b"r"), &bench.worker.cache);
    let entry = CacheEntry {
        body: CacheBody::Unary("{}".into()),
        provider: "p".to_owned(),
        model: "m".to_owned(),
        usage: sentinel_domain::Usage::default(),
        cost: None,
        created_ms: 0,
    };
    cache.put(&key, entry, Instant::now());
    eventually("it is stored", async || cache.get(&key, Instant::now()).await.is_some()).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..20 {
        drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
    }
    let health = bench.stores.health();
    assert!(health.up && !health.writable, "{health:?}");
    assert!(health.failures >= 20 && health.last_error.unwrap().contains("OOM"));
    assert!(cache.get(&key, Instant::now()).await.is_some(), "reads go on");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    drop(acquire(&bench.worker, "a", LIMITS).await.unwrap());
    assert!(bench.stores.health().is_well());
}

#[tokio::test]
async fn r07_values_of_a_wrong_type_or_content_are_replaced() {
    let bench = Bench::redis().await;
    let server = bench.server.as_ref().unwrap();
    let limits = CallerLimits { rpm: 10, tpm: 10, max_in_flight: 2 };
    let budget = BudgetLimits { day: Some(NanoUsd::new(10)), month: Some(NanoUsd::new(100)) };
    let periods = Periods::at(NOW_MS);
    let use_everything = async || {
        let mut grant = acquire(&bench.worker, "a", limits).await.unwrap();
        grant.settle(1, Instant::now());
        drop(grant);
        let hold = bench
            .worker
            .budgets
            .reserve(&caller("a"), &budget, &BudgetLimits::default(), NanoUsd::new(1), &periods)
            .await
            .unwrap();
        hold.settle(NanoUsd::new(1));
        bench.worker.usage.record(&UsageEvent {
            id: rand::random(),
            day: 1,
            provider: "p".into(),
            model: "m".into(),
            key: "a".into(),
            usage: sentinel_domain::Usage::default(),
            cost: Some(NanoUsd::new(1)),
            class: "c".into(),
            saved: NanoUsd::ZERO,
        });
        bench.settle().await;
    };
    use_everything().await;
    let names = server.keys();
    assert!(names.len() >= 6, "{names:?}");
    for damage in [&["LPUSH"][..], &["SET"][..], &["HSET"][..]] {
        for name in names.iter().filter(|name| !name.contains("batch")) {
            server.command(&["DEL", name]);
            match damage {
                ["HSET"] => server.command(&[
                    "HSET", name, "sum", "nonsense", "swept", "x", "r", "nan", "t", "inf", "id", "junk",
                ]),
                [command] => server.command(&[command, name, "junk"]),
                _ => unreachable!("one word each"),
            };
        }
        use_everything().await;
    }
    assert_eq!(bench.stores.undelivered(), (0, 0));
    let error = bench.stores.health();
    assert!(error.up && error.writable, "{error:?}");
}

#[tokio::test]
async fn r08_a_flushed_redis_starts_again_from_zero_without_an_error() {
    let bench = Bench::redis().await;
    let limits = CallerLimits { rpm: 2, max_in_flight: 5, ..CallerLimits::default() };
    let held = acquire(&bench.worker, "a", limits).await.unwrap();
    drop(acquire(&bench.worker, "a", limits).await.unwrap());
    acquire(&bench.worker, "a", limits).await.unwrap_err();
    bench.server.as_ref().unwrap().command(&["FLUSHALL"]);
    // The scripts are forgotten as well, and taught again.
    bench.server.as_ref().unwrap().command(&["SCRIPT", "FLUSH"]);
    drop(acquire(&bench.worker, "a", limits).await.unwrap());
    assert_eq!(bench.stores.health().fallbacks, 0);
    bench.worker.redis().unwrap().renew_leases().await;
    let slots = bench.server.as_ref().unwrap().command(&["ZCARD", "{sentinel:key:a}:v1:slots"]);
    assert_eq!(slots, "1", "the slot of the request in flight is there again");
    drop(held);
}

#[tokio::test]
async fn r09_a_refusing_redis_is_named_and_the_password_is_not() {
    let directory = tempfile::tempdir().unwrap();
    for (options, url, expected) in [
        (&["--requirepass", "s3cret-word"][..], "redis://127.0.0.1:PORT", "NOAUTH"),
        (&["--requirepass", "s3cret-word"][..], "redis://:wr0ng-word@127.0.0.1:PORT", ""),
        (
            &["--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "yes"][..],
            "redis://127.0.0.1:PORT",
            "read",
        ),
    ] {
        let server = RedisServer::start_with(options);
        let (stores, worker) = open(&url.replace("PORT", &server.port().to_string()), &directory);
        eventually("it has been tried", async || {
            drop(acquire(&worker, "a", LIMITS).await.unwrap());
            stores.health().last_error.is_some()
        })
        .await;
        let health = format!("{:?}", stores.health());
        assert!(health.to_lowercase().contains(&expected.to_lowercase()), "{health}");
        assert!(!stores.health().is_well());
        for secret in ["s3cret-word", "wr0ng-word"] {
            assert!(!health.contains(secret), "{health}");
        }
    }
}

#[tokio::test]
async fn r10_a_server_that_answers_nonsense_or_without_end_is_dropped() {
    for answer in [&b"nonsense\r\n"[..], &b"$99999999999\r\n"[..], &b"*1000000\r\n"[..], &b""[..]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().take(20).flatten() {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
                // Keeps the connection open until the other side gives up.
                let _ = stream.read(&mut request);
            }
        });
        let directory = tempfile::tempdir().unwrap();
        let (stores, worker) = open(&url, &directory);
        eventually("it has failed", async || {
            let start = Instant::now();
            drop(acquire(&worker, "a", LIMITS).await.unwrap());
            assert!(start.elapsed() < Duration::from_millis(400));
            stores.health().failures > 0
        })
        .await;
        assert!(!stores.health().up);
    }
}

#[tokio::test]
async fn money_spent_while_redis_is_out_is_delivered_when_it_is_back() {
    let mut bench = Bench::redis().await;
    let limits = BudgetLimits { day: Some(NanoUsd::new(100)), month: None };
    let periods = Periods::at(NOW_MS);
    let reserve = async |bench: &Bench| {
        bench
            .worker
            .budgets
            .reserve(&caller("a"), &limits, &BudgetLimits::default(), NanoUsd::new(10), &periods)
            .await
    };
    let before = reserve(&bench).await.unwrap();
    bench.server.as_mut().unwrap().kill();
    before.settle(NanoUsd::new(10));
    reserve(&bench).await.unwrap().settle(NanoUsd::new(30));
    bench.worker.usage.record(&UsageEvent {
        id: 1,
        day: 1,
        provider: "p".into(),
        model: "m".into(),
        key: "a".into(),
        usage: sentinel_domain::Usage::default(),
        cost: Some(NanoUsd::new(40)),
        class: "c".into(),
        saved: NanoUsd::ZERO,
    });
    assert!(bench.worker.flush().await.is_err());
    // The two amounts, and perhaps the end of a hold of which nobody knows whether it reached Redis.
    let (waiting, lost) = bench.stores.undelivered();
    assert!((2..=3).contains(&waiting) && lost == 0, "{waiting} {lost}");
    bench.server.as_mut().unwrap().restart();
    eventually("it is delivered", async || bench.worker.flush().await.is_ok()).await;
    let spent = bench
        .server
        .as_ref()
        .unwrap()
        .command(&["GET", &format!("{{sentinel:budget:key:a}}:v1:day:{}", periods.day.number)]);
    assert_eq!(spent, "40");
    let query = UsageQuery { until: 10, ..UsageQuery::default() };
    let groups = bench.worker.usage.query(&query).await.unwrap();
    assert_eq!(groups[0].totals.cost_nano, 40);
}

#[tokio::test]
async fn a_killed_daemons_slots_and_holds_run_out() {
    let bench = Bench::redis().await;
    let server = bench.server.as_ref().unwrap();
    // What a process that is gone has left behind, its leases past.
    server.command(&["ZADD", "{sentinel:key:a}:v1:slots", "1", "gone-1", "1", "gone-2"]);
    server.command(&[
        "HSET",
        "{sentinel:budget:key:a}:v1:holds",
        "gone-1",
        "1:1000",
        "sum",
        "1000",
        "swept",
        "1",
    ]);
    let limits = CallerLimits { max_in_flight: 2, ..CallerLimits::default() };
    drop(acquire(&bench.worker, "a", limits).await.unwrap());
    let budget = BudgetLimits { day: Some(NanoUsd::new(100)), month: None };
    let hold = bench
        .worker
        .budgets
        .reserve(&caller("a"), &budget, &BudgetLimits::default(), NanoUsd::new(1), &Periods::at(NOW_MS))
        .await
        .unwrap();
    assert_eq!(server.command(&["HGET", "{sentinel:budget:key:a}:v1:holds", "sum"]), "1");
    drop(hold);
}

#[tokio::test]
async fn addresses_that_cannot_be_used_are_said_without_quoting_them() {
    let directory = tempfile::tempdir().unwrap();
    for url in ["", "http://x", "rediss://:pass-word@h", "redis-cluster://", "redis://:pass-word@h:port"] {
        let settings = settings(&directory, Backend::Redis, url);
        let Err(error) = Stores::open(settings, Vec::new(), NOW_MS) else { panic!("{url} was taken") };
        assert!(!error.to_string().contains("pass-word"), "{error}");
    }
    assert!(!format!("{:?}", Secret::new("redis://:pass-word@h")).contains("pass-word"));
}

/// Two daemons, every worker hit at once: the limit holds to the request.
#[tokio::test]
async fn two_daemons_hit_in_parallel_admit_the_limit_within_one_percent() {
    let bench = Bench::redis().await;
    let (_stores, other) = bench.second_daemon().await.unwrap();
    let admitted = AtomicU64::new(0);
    let start = Instant::now();
    let limits = CallerLimits { rpm: 1000, ..CallerLimits::default() };
    let calls = (0..64).map(|client| {
        let (worker, admitted) = (if client % 2 == 0 { &bench.worker } else { &other }, &admitted);
        async move {
            for _ in 0..40 {
                if acquire(worker, "shared", limits).await.is_ok() {
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    futures_util::future::join_all(calls).await;
    let earned = start.elapsed().as_secs_f64() / 60.0 * 1000.0;
    let admitted = admitted.load(Ordering::Relaxed) as f64;
    assert!((1000.0..=(1000.0 + earned) * 1.01 + 1.0).contains(&admitted), "{admitted} with {earned} earned");
}
