//! Limits on every backend.

use std::time::Duration;

use sentinel_domain::policy::CallerLimits;
use tokio::time::Instant;

use super::{Bench, caller, eventually, for_every_backend};
use crate::limits::{AcquireError, Grant, LimitKind, Limited};

const WINDOW: Duration = Duration::from_secs(60);

for_every_backend! {
    requests_stop_at_the_limit;
    a_refusal_charges_nothing;
    tokens_are_reserved_and_settled;
    slots_come_back_on_drop;
    the_longest_wait_is_named;
    two_daemons_share_one_limit;
}

async fn acquire(bench: &Bench, name: &str, limits: CallerLimits, tokens: u64) -> Result<Grant, Limited> {
    match bench.worker.limits.acquire(&caller(name), &limits, WINDOW, tokens, Instant::now()).await {
        Ok(grant) => Ok(grant),
        Err(AcquireError::Limited(limited)) => Err(limited),
        Err(AcquireError::Unavailable(error)) => panic!("{error}"),
    }
}

async fn requests_stop_at_the_limit(bench: &Bench) {
    let limits = CallerLimits { rpm: 5, ..CallerLimits::default() };
    for left in (0..5).rev() {
        let grant = acquire(bench, "rpm", limits, 0).await.unwrap();
        let requests = grant.snapshot().requests.unwrap();
        assert_eq!((requests.limit, requests.remaining), (5, left));
        assert_eq!(grant.snapshot().tokens, None);
    }
    let limited = acquire(bench, "rpm", limits, 0).await.unwrap_err();
    assert_eq!(limited.which, LimitKind::Requests);
    // One in twelve seconds, less what has passed since the first.
    assert!(limited.retry_after <= Duration::from_secs(12), "{limited:?}");
    assert!(limited.retry_after > Duration::from_secs(8), "{limited:?}");
    assert!(acquire(bench, "another", limits, 0).await.is_ok(), "callers do not share");
}

async fn a_refusal_charges_nothing(bench: &Bench) {
    let limits = CallerLimits { rpm: 100, tpm: 100, max_in_flight: 50 };
    let first = acquire(bench, "all-or-nothing", limits, 90).await.unwrap();
    for _ in 0..10 {
        assert_eq!(acquire(bench, "all-or-nothing", limits, 50).await.unwrap_err().which, LimitKind::Tokens);
    }
    let second = acquire(bench, "all-or-nothing", limits, 1).await.unwrap();
    assert_eq!(second.snapshot().requests.unwrap().remaining, 98);
    drop((first, second));
}

async fn tokens_are_reserved_and_settled(bench: &Bench) {
    let limits = CallerLimits { tpm: 1000, ..CallerLimits::default() };
    let mut grant = acquire(bench, "tpm", limits, 900).await.unwrap();
    assert_eq!(acquire(bench, "tpm", limits, 200).await.unwrap_err().which, LimitKind::Tokens);
    grant.settle(100, Instant::now());
    drop(grant);
    eventually("800 tokens are given back", async || acquire(bench, "tpm", limits, 850).await.is_ok()).await;

    let mut grant = acquire(bench, "tpm-more", limits, 10).await.unwrap();
    grant.settle(1000, Instant::now());
    drop(grant);
    eventually("what was used on top is charged", async || {
        acquire(bench, "tpm-more", limits, 1).await.is_err()
    })
    .await;
}

async fn slots_come_back_on_drop(bench: &Bench) {
    let limits = CallerLimits { max_in_flight: 2, ..CallerLimits::default() };
    let first = acquire(bench, "slots", limits, 0).await.unwrap();
    let _second = acquire(bench, "slots", limits, 0).await.unwrap();
    let limited = acquire(bench, "slots", limits, 0).await.unwrap_err();
    assert_eq!((limited.which, limited.retry_after), (LimitKind::InFlight, Duration::from_secs(1)));
    drop(first);
    eventually("the slot is free", async || acquire(bench, "slots", limits, 0).await.is_ok()).await;
}

async fn the_longest_wait_is_named(bench: &Bench) {
    let limits = CallerLimits { rpm: 60, tpm: 60, max_in_flight: 0 };
    // A request larger than the limit is charged the limit, so that it is not refused for ever.
    let _grant = acquire(bench, "longest", limits, 1_000_000).await.unwrap();
    let limited = acquire(bench, "longest", limits, 30).await.unwrap_err();
    assert_eq!(limited.which, LimitKind::Tokens);
    assert!((25..=30).contains(&limited.retry_after.as_secs()), "{limited:?}");
}

async fn two_daemons_share_one_limit(bench: &Bench) {
    let Some((_stores, other)) = bench.second_daemon().await else { return };
    let limits = CallerLimits { rpm: 100, ..CallerLimits::default() };
    let mut admitted = 0;
    for _ in 0..100 {
        for worker in [&bench.worker, &other] {
            let outcome = worker.limits.acquire(&caller("shared"), &limits, WINDOW, 0, Instant::now()).await;
            admitted += u32::from(outcome.is_ok());
        }
    }
    // A hundred at once, and one each 600 ms that the loop took.
    assert!((100..=105).contains(&admitted), "{admitted}");
}
