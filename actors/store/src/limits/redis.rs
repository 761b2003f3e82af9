//! The limits in Redis: one script checks and charges everything of a request together.

use std::time::Duration;

use redis::Value;
use sentinel_domain::ids::Caller;
use sentinel_domain::policy::CallerLimits;

use super::Limited;
use super::embedded::{Plan, refusal};
use super::gcra::Rate;
use super::grant::{Grant, Held};
use crate::error::StoreError;
use crate::redis::Redis;
use crate::redis::leases::{LEASE, LeaseKind};
use crate::redis::script::{LuaScript, Run, key};

static ACQUIRE: LuaScript = LuaScript::new(include_str!("acquire.lua"));
static RELEASE: LuaScript = LuaScript::new(include_str!("release.lua"));

/// What a grant from Redis holds there.
pub(super) struct RemoteGrant {
    redis: Redis,
    buckets: String,
    slots: String,
    slot: Option<String>,
    /// The rate, the units charged, and the bucket's drain time right after the charge.
    tokens: Option<(Rate, u64, u64)>,
    actual: Option<u64>,
}

impl RemoteGrant {
    pub(super) fn settle(&mut self, actual_tokens: u64) {
        self.actual.get_or_insert(actual_tokens);
    }

    /// Drops the claim on a slot that was not given.
    fn forget_slot(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.redis.shared().leases.remove(LeaseKind::Slot, &self.slots, &slot);
        }
    }

    fn release(&self, now: Option<u64>) -> Option<Run> {
        let settled = self.tokens.zip(self.actual).filter(|((_, charged, _), actual)| charged != actual);
        if self.slot.is_none() && settled.is_none() {
            return None;
        }
        let run = Run::default()
            .key(self.buckets.as_str())
            .key(self.slots.as_str())
            .arg(now.map(|now| now.to_string()).unwrap_or_default())
            .arg(self.slot.as_deref().unwrap_or_default());
        Some(match settled {
            Some(((rate, charged, until), actual)) => {
                run.arg(rate.window).arg(rate.increment(charged)).arg(rate.increment(actual)).arg(until)
            }
            None => run.arg(0).arg(0).arg(0).arg(0),
        })
    }
}

#[cfg(test)]
impl RemoteGrant {
    /// Ends the grant now instead of in the background, at a time of the test's own.
    pub(super) async fn release_at(mut self, now: u64) {
        if let Some(run) = self.release(Some(now)) {
            let _: i64 = self.redis.script(&RELEASE, &run).await.unwrap();
        }
        self.forget_slot();
        self.actual = None;
    }
}

impl Drop for RemoteGrant {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            self.redis.shared().leases.remove(LeaseKind::Slot, &self.slots, slot);
        }
        if let Some(run) = self.release(None) {
            // A full queue is counted by nobody: the slot's lease runs out, and the estimate stays charged.
            let _ = self.redis.defer(&RELEASE, run);
        }
    }
}

/// Checks and charges one request in Redis, by the server's clock.
pub(super) async fn acquire(
    redis: &Redis,
    caller: &Caller,
    limits: &CallerLimits,
    window: Duration,
    tokens: u64,
) -> Result<Result<Grant, Limited>, StoreError> {
    acquire_at(redis, caller, limits, window, tokens, None).await
}

/// Like [`acquire`]; `now` in ticks replaces the server's clock, so that tests can replay a trace.
pub(super) async fn acquire_at(
    redis: &Redis,
    caller: &Caller,
    limits: &CallerLimits,
    window: Duration,
    tokens: u64,
    now: Option<u64>,
) -> Result<Result<Grant, Limited>, StoreError> {
    if !redis.is_usable() {
        // Known beforehand, so there is nothing to give back.
        return Err(redis.unavailable());
    }
    let plan = Plan::new(limits, window, tokens);
    // A trace may stand still for longer than a lease, and nobody renews its slots.
    let lease = if now.is_some() { LEASE * 10_000 } else { LEASE };
    let tag = caller.store_id();
    let (buckets, slots) = (key(&tag, "limits"), key(&tag, "slots"));
    let slot = (plan.max_in_flight > 0).then(|| redis.shared().lease_id());
    let (request, request_window) = plan.requests.map_or((0, 0), |rate| (rate.increment(1), rate.window));
    let (token, token_window) =
        plan.tokens.map_or((0, 0), |(rate, units)| (rate.increment(units), rate.window));
    let run = Run::default()
        .key(buckets.as_str())
        .key(slots.as_str())
        .arg(now.map(|now| now.to_string()).unwrap_or_default())
        .arg(request)
        .arg(request_window)
        .arg(token)
        .arg(token_window)
        .arg(plan.max_in_flight)
        .arg(slot.as_deref().unwrap_or_default())
        .arg(lease.as_millis() as u64);
    if let Some(slot) = &slot {
        // Before the call, so that a renewal cannot miss it; a refusal or failure takes it out again.
        redis.shared().leases.add(LeaseKind::Slot, &slots, slot, 0);
    }
    let mut remote = RemoteGrant { redis: redis.clone(), buckets, slots, slot, tokens: None, actual: None };
    // From here on, dropping `remote` gives the slot back, also when this future is dropped half-way.
    let reply: Vec<Value> = redis.script(&ACQUIRE, &run).await?;
    let number = |index: usize| match reply.get(index) {
        Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    };
    let (admitted, now) = (number(0) == 1, number(6));
    let snapshot = plan.snapshot(number(1), number(2), now);
    if !admitted {
        remote.forget_slot();
        return Ok(Err(refusal(number(3), number(4), number(5) == 1, snapshot)));
    }
    remote.tokens = plan.tokens.map(|(rate, charged)| (rate, charged, number(2)));
    Ok(Ok(Grant::new(snapshot, Held::Remote(remote))))
}
