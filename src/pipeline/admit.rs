//! Admission: may this caller send this request now, and is there money for it?

use std::time::Duration;

use sentinel_domain::usage::estimate_tokens;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd, Usage};
use sentinel_graph::cost::{CostError, Reserve};
use sentinel_graph::limiter::{Acquire, LimiterError};
use sentinel_store::budget::{Exceeded, Periods, ReserveError};
use sentinel_store::limits::{AcquireError, Snapshot};
use sentinel_wire::ChatRequest;

use super::receipt::Receipt;
use crate::gateway::identity::Identity;
use crate::gateway::{Live, Worker};

/// Completion tokens that a request without `max_tokens` is expected to use, for reservations.
const USUAL_COMPLETION: u64 = 256;
/// The soonest retry after an actor could not be asked.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// What a request will probably use.
#[must_use]
pub fn estimate(request: &ChatRequest) -> Usage {
    let completion = request.max_tokens().unwrap_or(USUAL_COMPLETION).saturating_mul(u64::from(request.n()));
    Usage { input: estimate_tokens(request.text_chars()), output: completion, ..Usage::default() }
}

/// Charges the caller's rate limits. Returns them as they stand after it, for the response headers.
///
/// # Errors
/// `rate_limit_exceeded` with `param` naming the limit; `store_unavailable`; `overloaded`.
pub async fn limit(
    worker: &Worker,
    live: &Live,
    identity: &Identity,
    usage: &Usage,
    receipt: &Receipt,
) -> Result<Snapshot, (ApiError, Snapshot)> {
    let limits = identity.limits(live.config.limits.caller);
    let ask = Acquire {
        caller: identity.caller.clone(),
        limits,
        window: live.config.limits.window,
        // More than a whole window holds could never be admitted; what is really used is settled later.
        tokens: if limits.tpm > 0 { usage.total().min(limits.tpm) } else { usage.total() },
        now: worker.gateway.clock.now(),
    };
    let metrics = &worker.gateway.metrics;
    match worker.limiter.acquire(ask).await {
        Ok(grant) => {
            let snapshot = grant.snapshot();
            receipt.granted(grant);
            Ok(snapshot)
        }
        Err(LimiterError::Refused(AcquireError::Limited(limited))) => {
            let which = limited.which.as_str();
            metrics.rate_limited.with_label_values(&[which]).inc();
            receipt.step("limiter", which);
            let wait = limited.retry_after;
            let message = format!(
                "the limit of {} is used up; the next request can pass in {} ms",
                which.replace('_', " "),
                wait.as_millis()
            );
            let error = ApiError::new(ErrorCode::RateLimitExceeded, message).param(which).retry_after(wait);
            Err((error, limited.snapshot))
        }
        Err(LimiterError::Refused(AcquireError::Unavailable(_))) => Err((unavailable(), Snapshot::default())),
        Err(LimiterError::Unavailable(_)) => Err((busy(worker, "limiter"), Snapshot::default())),
    }
}

/// Holds the estimated cost on the caller's budget and on the whole gateway's.
///
/// # Errors
/// `budget_exceeded` with what is left and when it resets; `store_unavailable`; `overloaded`.
pub async fn budget(
    worker: &Worker,
    live: &Live,
    identity: &Identity,
    estimate: Option<NanoUsd>,
    receipt: &Receipt,
) -> Result<(), ApiError> {
    let ask = Reserve {
        caller: identity.caller.clone(),
        limits: identity.budget(),
        global: live.config.cost.budget,
        estimate: estimate.unwrap_or_default(),
        periods: Periods::at(worker.gateway.clock.unix_ms()),
    };
    match worker.cost.reserve(ask).await {
        Ok(hold) => {
            receipt.held(hold);
            Ok(())
        }
        Err(CostError::Refused(ReserveError::Exceeded(exceeded))) => {
            worker.gateway.metrics.rate_limited.with_label_values(&["budget"]).inc();
            receipt.step("limiter", "budget");
            Err(exhausted(&exceeded, worker.gateway.clock.unix_ms()))
        }
        Err(CostError::Refused(ReserveError::Unavailable(_))) => Err(unavailable()),
        Err(CostError::Unavailable(_)) => Err(busy(worker, "cost")),
    }
}

fn exhausted(exceeded: &Exceeded, now_ms: u64) -> ApiError {
    let (scope, period) = (exceeded.scope.as_str(), exceeded.period.as_str());
    let wait = Duration::from_millis(exceeded.resets_at_ms.saturating_sub(now_ms));
    let message = format!(
        "the budget of this {scope} for the {period} is used up: {} of {} USD left; it resets in {} s",
        exceeded.left,
        exceeded.limit,
        wait.as_secs()
    );
    ApiError::new(ErrorCode::BudgetExceeded, message).param(period).no_retry()
}

fn unavailable() -> ApiError {
    ApiError::new(
        ErrorCode::StoreUnavailable,
        "the store is unavailable, and the gateway is set to refuse then",
    )
    .retry_after(BUSY_WAIT)
}

fn busy(worker: &Worker, actor: &'static str) -> ApiError {
    worker.gateway.metrics.shed.with_label_values(&[actor]).inc();
    ApiError::new(ErrorCode::Overloaded, "the gateway has no capacity left; try again").retry_after(BUSY_WAIT)
}
