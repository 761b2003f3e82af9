//! The two background tasks of one worker's connection.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::leases::RENEW_EVERY;
use super::link::Link;
use super::{Deferred, Inner, Redis};

/// Between two looks at an open breaker, and the longest back-off while connecting.
const PING_EVERY: Duration = Duration::from_secs(1);
/// The first back-off while connecting.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Deferred operations under way at once.
const DEFERRED_AT_ONCE: usize = 64;
/// Longest wait for a connection, whatever the client library makes of its own settings.
const CONNECT_DEADLINE: Duration = Duration::from_millis(1500);

/// Keeps a connection up, and the leases of this process renewed.
pub(super) async fn keep(inner: Weak<Inner>) {
    let mut backoff = FIRST_BACKOFF;
    let mut renewed = Instant::now();
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let redis = Redis(strong);
        let wait = if redis.0.link.load().is_none() {
            if connect(&redis).await {
                backoff = FIRST_BACKOFF;
                PING_EVERY
            } else {
                let wait = backoff;
                backoff = (backoff * 2).min(PING_EVERY);
                wait
            }
        } else {
            check(&redis).await;
            PING_EVERY
        };
        if redis.is_usable() && renewed.elapsed() >= RENEW_EVERY {
            renewed = Instant::now();
            redis.renew_leases().await;
        }
        let has_link = redis.0.link.load().is_some();
        drop(redis);
        wait_for(&inner, wait, has_link).await;
    }
}

/// Sleeps, cut short when a connection is lost. Holds no strong reference, so that the task ends with its owner.
async fn wait_for(inner: &Weak<Inner>, wait: Duration, has_link: bool) {
    let sleep = tokio::time::sleep(wait);
    if !has_link {
        return sleep.await;
    }
    let lost = async {
        if let Some(inner) = inner.upgrade() {
            inner.lost.notified().await;
        }
    };
    tokio::select! {
        () = sleep => {}
        () = lost => {}
    }
}

async fn connect(redis: &Redis) -> bool {
    let shared = &redis.0.shared;
    let attempt = async {
        let link = shared.target.connect().await?;
        link.run(&redis::cmd("PING")).await?;
        Ok::<Link, redis::RedisError>(link)
    };
    let failure = match timeout(CONNECT_DEADLINE, attempt).await {
        Ok(Ok(link)) => {
            redis.0.link.store(Some(Arc::new(link)));
            shared.state.connected();
            shared.log(shared.state.answered());
            return true;
        }
        Ok(Err(error)) => shared.scrub(&error.to_string()),
        Err(_) => format!("no connection within {CONNECT_DEADLINE:?}"),
    };
    shared.log(shared.state.unreachable(&failure, Instant::now()));
    false
}

/// Looks after an existing connection: pings while the breaker is open, replaces one to a server that refuses writes
/// (it may have become a replica, and the address may lead to the new master).
async fn check(redis: &Redis) {
    let shared = &redis.0.shared;
    let Some(link) = redis.0.link.load_full() else { return };
    if !shared.state.is_up() {
        match timeout(shared.timeout, link.run(&redis::cmd("PING"))).await {
            Ok(Ok(_)) => shared.log(shared.state.answered()),
            _ => redis.drop_link(&link),
        }
    } else if shared.state.is_replica() {
        redis.drop_link(&link);
    }
}

/// Runs what nobody waits for, some at once.
pub(super) async fn drain(inner: Weak<Inner>, mut queue: mpsc::Receiver<Deferred>) {
    poll_fn(|context| queue.poll_recv(context))
        .for_each_concurrent(DEFERRED_AT_ONCE, |deferred| {
            let redis = inner.upgrade().map(Redis);
            async move {
                if let Some(redis) = redis {
                    redis.0.deferred_bytes.fetch_sub(deferred.run.size(), Ordering::Relaxed);
                    // The failure is already counted and shown; the lease behind it runs out by itself.
                    let _: Result<redis::Value, _> = redis.script(deferred.script, &deferred.run).await;
                }
            }
        })
        .await;
}
