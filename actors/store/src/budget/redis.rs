//! The budgets in Redis: one script holds, one settles, and what could not be delivered yet waits in an outbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use sentinel_domain::policy::BudgetLimits;
use tokio::sync::Notify;

use super::Balance;
use super::period::Periods;
use crate::error::StoreError;
use crate::redis::Redis;
use crate::redis::leases::{LEASE, LeaseKind};
use crate::redis::script::{LuaScript, Run, key};

static RESERVE: LuaScript = LuaScript::new(include_str!("reserve.lua"));
static SETTLE: LuaScript = LuaScript::new(include_str!("settle.lua"));

/// How long a settled hold is remembered, so that settling it again does nothing.
const MARK: Duration = Duration::from_secs(300);
const KEEP_DAY: Duration = Duration::from_secs(3 * 24 * 3600);
const KEEP_MONTH: Duration = Duration::from_secs(65 * 24 * 3600);
/// Settlements that may wait for Redis; past it the oldest are lost, and counted.
const WAITING: usize = 100_000;
/// Settlements sent at once.
const AT_ONCE: usize = 32;
/// Between two attempts while Redis is out.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at what another worker is delivering.
const POLL_EVERY: Duration = Duration::from_millis(1);

/// Hold on one budget in Redis.
pub(super) struct RemoteHold {
    outbox: Arc<Outbox>,
    redis: Redis,
    name: Arc<str>,
    id: String,
    amount: i64,
    settled: bool,
}

impl RemoteHold {
    /// Ends the hold; the amount travels in the background and is not lost if Redis goes away meanwhile.
    pub(super) fn settle(mut self, actual: i64, period: &Periods) {
        self.finish(actual, Some(period));
    }

    fn finish(&mut self, actual: i64, period: Option<&Periods>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        // Renewing ends here: a renewal after the settlement must not bring the hold back.
        self.redis.shared().leases.remove(LeaseKind::Hold, &holds_key(&self.name), &self.id);
        self.outbox.held.fetch_sub(self.amount, Ordering::Relaxed);
        let (day, month) = period.map_or_else(
            || (String::from("none"), String::from("none")),
            |period| (period.day.name(), period.month.name()),
        );
        self.outbox.push(Settlement {
            name: Arc::clone(&self.name),
            id: self.id.clone(),
            actual,
            day,
            month,
        });
    }
}

/// A hold that was sent for but never handed out, for instance since the request went away, spends nothing.
impl Drop for RemoteHold {
    fn drop(&mut self) {
        self.finish(0, None);
    }
}

#[derive(Debug, Clone)]
struct Settlement {
    name: Arc<str>,
    id: String,
    actual: i64,
    day: String,
    month: String,
}

/// Settlements on their way to Redis, shared by all workers of the process.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<VecDeque<Settlement>>,
    added: Notify,
    /// Taken from the queue and not yet answered.
    under_way: AtomicU64,
    held: AtomicI64,
    lost: AtomicU64,
    next_owed: AtomicU64,
}

impl Outbox {
    /// Leaves an amount that was spent while Redis was out.
    pub(super) fn owe(&self, name: &Arc<str>, actual: i64, period: &Periods) {
        // No hold stands behind it, so any id that nobody else has will do.
        let id = format!(
            "owed-{:016x}-{:x}",
            rand::random::<u64>(),
            self.next_owed.fetch_add(1, Ordering::Relaxed)
        );
        self.push(Settlement {
            name: Arc::clone(name),
            id,
            actual,
            day: period.day.name(),
            month: period.month.name(),
        });
    }

    pub(super) fn held(&self) -> i64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns the settlements that were lost because Redis was out for too long.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns the settlements that Redis does not have yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.queue.lock().len() as u64 + self.under_way.load(Ordering::Acquire)
    }

    fn push(&self, settlement: Settlement) {
        let mut queue = self.queue.lock();
        if queue.len() >= WAITING {
            queue.pop_front();
            if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::error!("budget settlements are being lost: redis was out for too long");
            }
        }
        queue.push_back(settlement);
        drop(queue);
        self.added.notify_one();
    }

    /// Takes some settlements; each goes back by itself unless it is delivered, also when its future is dropped.
    fn take(&self) -> Vec<Parcel<'_>> {
        let mut queue = self.queue.lock();
        let count = queue.len().min(AT_ONCE);
        self.under_way.fetch_add(count as u64, Ordering::AcqRel);
        queue.drain(..count).map(|settlement| Parcel { outbox: self, settlement: Some(settlement) }).collect()
    }

    /// Delivers settlements until the future is dropped.
    pub(crate) async fn run(self: Arc<Self>, redis: Redis) {
        loop {
            let batch = self.take();
            if batch.is_empty() {
                self.added.notified().await;
                continue;
            }
            if !deliver(&redis, batch).await {
                tokio::time::sleep(RETRY_EVERY).await;
            }
        }
    }

    /// Delivers everything that waits, and waits for what another worker is delivering.
    pub(crate) async fn flush(&self, redis: &Redis) -> Result<(), StoreError> {
        loop {
            let batch = self.take();
            if batch.is_empty() {
                if self.waiting() == 0 {
                    return Ok(());
                }
                tokio::time::sleep(POLL_EVERY).await;
                continue;
            }
            if !deliver(redis, batch).await {
                return Err(StoreError::Unavailable(format!(
                    "{} settlements are not delivered",
                    self.waiting()
                )));
            }
        }
    }
}

/// A settlement on its way.
struct Parcel<'a> {
    outbox: &'a Outbox,
    settlement: Option<Settlement>,
}

impl Parcel<'_> {
    /// Says whether Redis has it now.
    async fn deliver(mut self, redis: &Redis) -> bool {
        let Some(settlement) = &self.settlement else { return true };
        let run = Run::default()
            .key(holds_key(&settlement.name))
            .key(spent_key(&settlement.name, &settlement.day))
            .key(spent_key(&settlement.name, &settlement.month))
            .arg(settlement.id.as_str())
            .arg(settlement.actual)
            .arg(MARK.as_millis() as u64)
            .arg(KEEP_DAY.as_millis() as u64)
            .arg(KEEP_MONTH.as_millis() as u64);
        let delivered = redis.script::<i64>(&SETTLE, &run).await.is_ok();
        if delivered {
            self.settlement = None;
        }
        delivered
    }
}

impl Drop for Parcel<'_> {
    fn drop(&mut self) {
        if let Some(settlement) = self.settlement.take() {
            self.outbox.queue.lock().push_front(settlement);
        }
        self.outbox.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn deliver(redis: &Redis, parcels: Vec<Parcel<'_>>) -> bool {
    futures_util::future::join_all(parcels.into_iter().map(|parcel| parcel.deliver(redis)))
        .await
        .into_iter()
        .all(|delivered| delivered)
}

fn tag(name: &str) -> String {
    format!("budget:{name}")
}

fn holds_key(name: &str) -> String {
    key(&tag(name), "holds")
}

fn spent_key(name: &str, period: &str) -> String {
    key(&tag(name), period)
}

/// Holds an amount on one budget; no hold means that the budget is used up.
pub(super) async fn reserve(
    redis: &Redis,
    outbox: &Arc<Outbox>,
    name: &Arc<str>,
    limits: &BudgetLimits,
    amount: i64,
    now: &Periods,
) -> Result<(Balance, Option<RemoteHold>), StoreError> {
    if !redis.is_usable() {
        // Known beforehand, so there is nothing to give back.
        return Err(redis.unavailable());
    }
    let id = redis.shared().lease_id();
    let limit =
        |limit: Option<sentinel_domain::NanoUsd>| limit.map(|usd| usd.nano().to_string()).unwrap_or_default();
    let run = Run::default()
        .key(holds_key(name))
        .key(spent_key(name, &now.day.name()))
        .key(spent_key(name, &now.month.name()))
        .arg(id.as_str())
        .arg(amount)
        .arg(LEASE.as_millis() as u64)
        .arg(limit(limits.day))
        .arg(limit(limits.month));
    redis.shared().leases.add(LeaseKind::Hold, &holds_key(name), &id, amount);
    outbox.held.fetch_add(amount, Ordering::Relaxed);
    // From here on, dropping `hold` settles it at nothing, also when this future is dropped half-way.
    let mut hold = RemoteHold {
        outbox: Arc::clone(outbox),
        redis: redis.clone(),
        name: Arc::clone(name),
        id,
        amount,
        settled: false,
    };
    let reply: Vec<Value> = redis.script(&RESERVE, &run).await?;
    let number = |index: usize| match reply.get(index) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    };
    let balance = Balance { day: number(1), month: number(2), held: number(3) };
    if number(0) == 1 {
        return Ok((balance, Some(hold)));
    }
    // Nothing is held there, so there is nothing to send.
    hold.settled = true;
    redis.shared().leases.remove(LeaseKind::Hold, &holds_key(name), &hold.id);
    outbox.held.fetch_sub(amount, Ordering::Relaxed);
    Ok((balance, None))
}
