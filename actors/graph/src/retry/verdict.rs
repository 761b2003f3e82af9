//! What a client is told when nothing has worked: which failure, when to come back, and whether it is worth it.

use std::time::Duration;

use sentinel_domain::error::{ApiError, ErrorCode, ErrorKind};
use sentinel_domain::outcome::FailureClass;
use tokio::time::Instant;

use super::planner::{Failed, Refusal, Slot, Standing};

/// A client that would have to wait longer than this is told not to retry at all.
const NOT_WORTH_WAITING: Duration = Duration::from_secs(60);

/// The shortest wait a client is told, where one has to be told.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The request's own time is over.
pub(super) fn deadline(attempts: u32) -> ApiError {
    let error = ApiError::new(ErrorCode::RequestTimeout, "the request took longer than the gateway allows");
    if attempts > 1 { error.no_retry() } else { error }
}

/// Composes the answer from what has happened to each candidate; `last` is the one that failed last.
pub(super) fn compose(slots: &[Slot], last: Option<&Slot>, attempts: u32, now: Instant) -> ApiError {
    let (mut error, class) = match last.map(|slot| &slot.standing) {
        Some(Standing::Failed { failure, .. }) => (failure.error.clone(), Some(failure.class)),
        _ => not_called(slots),
    };
    if matches!(error.code.kind(), ErrorKind::RateLimit | ErrorKind::Overloaded) {
        let soonest = slots.iter().filter_map(|slot| available_at(slot, now)).min();
        let wait = soonest.map_or(SHORTEST_WAIT, |at| at.saturating_duration_since(now));
        error.retry_after = Some(wait.max(SHORTEST_WAIT));
    }
    let hopeless = matches!(
        class,
        Some(FailureClass::Quota | FailureClass::Auth | FailureClass::Tls | FailureClass::Redirect)
    );
    let exhausted = attempts > 1 && error.retry_after.is_none() && class != Some(FailureClass::Rejected);
    let too_long = error.retry_after.is_some_and(|wait| wait > NOT_WORTH_WAITING);
    if hopeless || exhausted || too_long {
        error.should_retry = Some(false);
    }
    error
}

/// When a candidate can be called again; `None` for one that never can.
fn available_at(slot: &Slot, now: Instant) -> Option<Instant> {
    let at = match &slot.standing {
        Standing::Untried => now,
        Standing::Failed { failure: Failed { class, wait, .. }, at } => *at + class.cooldown(*wait),
        Standing::Refused { retry_at, .. } => *retry_at,
        Standing::Unsuitable(_) => return None,
    };
    Some(slot.blocked_until.map_or(at, |blocked| blocked.max(at)))
}

/// No candidate was called at all.
fn not_called(slots: &[Slot]) -> (ApiError, Option<FailureClass>) {
    let refusals: Vec<(Refusal, Instant)> = slots
        .iter()
        .filter_map(|slot| match slot.standing {
            Standing::Refused { refusal, retry_at } => Some((refusal, retry_at)),
            _ => None,
        })
        .collect();
    let Some((soonest, _)) = refusals.iter().min_by_key(|(_, retry_at)| *retry_at) else {
        let unsuitable = slots.iter().find_map(|slot| match &slot.standing {
            Standing::Unsuitable(error) => Some(error.clone()),
            _ => None,
        });
        let nothing = || ApiError::new(ErrorCode::AllTargetsUnavailable, "the route has no target to call");
        return (unsuitable.unwrap_or_else(nothing), None);
    };
    match (refusals.len(), soonest) {
        // While it cools down, the client is told the same as by the call that began it.
        (1, Refusal::Cooldown(class)) => (cooling(*class), Some(*class)),
        (1, Refusal::Open) => {
            let message = "the circuit breaker of the only target is open after repeated failures";
            (ApiError::new(ErrorCode::CircuitOpen, message), None)
        }
        (1, Refusal::Full) => {
            let message = "the provider has as many calls in flight as it may";
            (ApiError::new(ErrorCode::Overloaded, message), None)
        }
        (1, Refusal::Unavailable) => {
            let message = "the gateway can't call the provider for the moment";
            (ApiError::new(ErrorCode::Overloaded, message), None)
        }
        _ => (
            ApiError::new(ErrorCode::AllTargetsUnavailable, "no target of the route can be called now"),
            None,
        ),
    }
}

fn cooling(class: FailureClass) -> ApiError {
    let message = match class {
        FailureClass::RateLimited => "the provider's rate limit is used up",
        FailureClass::Quota => "the provider account's quota is used up",
        FailureClass::Auth => "the provider refuses the gateway's credentials",
        FailureClass::Tls => "the provider's certificate is not valid",
        FailureClass::Overloaded => "the provider is overloaded and asked to be left alone",
        _ => {
            let message = "the provider failed and asked to be left alone for a while";
            return ApiError::new(ErrorCode::AllTargetsUnavailable, message);
        }
    };
    ApiError::new(class.disposition().code, message)
}
