//! The loop itself, with the seam behind which the providers are.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::error::ApiError;
use sentinel_domain::outcome::FailureClass;
use sentinel_runtime::Clock;
use sentinel_wire::dialect::encode;
use sentinel_wire::{ChatRequest, EncodeOptions};
use tokio::time::Instant;

use crate::breaker::{BreakerHandle, CallPermit, Committed, RejectReason};
use crate::provider::{CallError, CallFailure, ProviderHandle, Reply, UpstreamCall};
use crate::random::Random;
use crate::retry::{Candidate, Failed, Planner, Refusal, RetryBudgets, Step};
use crate::routing::{Latencies, Target};

/// When to come back to a provider that could not be called for want of room.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// Makes one call. The real one is [`Providers`].
pub trait Caller {
    /// What an answered call brings.
    type Reply;

    /// Calls a target.
    ///
    /// # Errors
    /// [`CallError`] says whether the provider was called at all.
    fn call(
        &self,
        target: &Target,
        call: UpstreamCall,
    ) -> impl Future<Output = Result<Self::Reply, CallError>>;
}

/// The provider actors of one worker, by the provider's name.
#[derive(Debug, Clone, Default)]
pub struct Providers(HashMap<Arc<str>, ProviderHandle>);

impl FromIterator<ProviderHandle> for Providers {
    fn from_iter<I: IntoIterator<Item = ProviderHandle>>(handles: I) -> Self {
        Self(handles.into_iter().map(|handle| (Arc::clone(&handle.shared().spec().name), handle)).collect())
    }
}

impl Providers {
    /// Returns one provider's handle.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ProviderHandle> {
        self.0.get(name)
    }

    /// Returns every handle.
    pub fn iter(&self) -> impl Iterator<Item = &ProviderHandle> {
        self.0.values()
    }
}

impl Caller for Providers {
    type Reply = Reply;

    async fn call(&self, target: &Target, call: UpstreamCall) -> Result<Reply, CallError> {
        match self.get(&target.key.provider) {
            Some(provider) => provider.call(call).await,
            None => Err(CallError::Unavailable),
        }
    }
}

/// What is to be answered.
#[derive(Debug)]
pub struct Job<'a> {
    /// The request, as the guards have left it.
    pub request: &'a ChatRequest,
    /// How to encode it.
    pub options: &'a EncodeOptions,
    /// The targets, best first.
    pub targets: &'a [Target],
    /// When the whole request has to be over.
    pub deadline: Instant,
}

/// What the loop works with.
#[derive(Debug)]
pub struct Deps<'a, C> {
    /// This worker's breaker actor.
    pub breaker: &'a BreakerHandle,
    /// The providers' retry budgets.
    pub budgets: &'a RetryBudgets,
    /// Learns how fast the targets are.
    pub latencies: &'a Latencies,
    /// Makes the calls.
    pub caller: &'a C,
    /// Tells the time.
    pub clock: &'a Clock,
    /// Jitters the waits.
    pub random: &'a Random,
}

/// What went before a call or a skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The target at this index was called and failed.
    Failed(usize, FailureClass),
    /// The target at this index could not be called.
    Skipped(usize, Refusal),
}

/// One step of the loop, for the timeline and the metrics. Targets are given by their index.
#[derive(Debug)]
pub enum AttemptEvent<'a> {
    /// A target could not be called.
    Skipped {
        /// Which.
        target: usize,
        /// Why.
        refusal: Refusal,
        /// When it can be.
        retry_at: Instant,
    },
    /// A target can't express the request.
    Unsuitable {
        /// Which.
        target: usize,
        /// What it can't express.
        error: &'a ApiError,
    },
    /// A call begins.
    Started {
        /// Which target.
        target: usize,
        /// Number of the call, from 1.
        attempt: u32,
        /// What went before: a retry if it is the same target, else a failover. `None` for a first call.
        after: Option<After>,
    },
    /// A call failed.
    Failed {
        /// Which target.
        target: usize,
        /// How.
        failure: &'a CallFailure,
        /// How long it took.
        took: Duration,
    },
    /// The loop waits before it calls a target again.
    Waiting {
        /// Which target.
        target: usize,
        /// How long.
        delay: Duration,
    },
    /// A call is answered: wholly, or by the beginning of its stream.
    Committed {
        /// Which target.
        target: usize,
        /// How long it took from the call to here: the time to the first token of a stream.
        took: Duration,
    },
}

/// An answered request.
#[derive(Debug)]
pub struct Answered<R> {
    /// The answer.
    pub reply: R,
    /// Index of the target that gave it.
    pub target: usize,
    /// Upstream calls made.
    pub attempts: u32,
    /// Request fields that this target does not know, for `x-sentinel-ignored`.
    pub ignored: Vec<String>,
    /// When the answering call was made.
    pub called_at: Instant,
    /// How long it took to be answered: the time to the first token of a stream.
    pub took: Duration,
    /// Proof of the success that was recorded. If a stream dies later, hand its class to [`Committed::died`].
    pub committed: Committed,
}

/// A request that nobody could answer.
#[derive(Debug)]
pub struct GaveUp {
    /// What the client is told.
    pub error: ApiError,
    /// Upstream calls made.
    pub attempts: u32,
    /// Index of the target that was called last.
    pub target: Option<usize>,
}

/// Answers a request from the first target that can.
///
/// # Errors
/// [`GaveUp`] when there is nothing left to try within the request's attempts, budgets and deadline.
pub async fn run<C: Caller>(
    job: &Job<'_>,
    deps: &Deps<'_, C>,
    mut observe: impl FnMut(AttemptEvent<'_>),
) -> Result<Answered<C::Reply>, GaveUp> {
    let candidates = job.targets.iter().map(|target| Candidate {
        provider: Arc::clone(&target.key.provider),
        policy: target.provider.retry,
    });
    let mut planner = Planner::new(candidates, job.deadline);
    let mut deposited: Vec<&str> = Vec::new();
    let (mut after, mut called) = (None, None);
    loop {
        let now = deps.clock.now();
        let step = planner
            .next(now, deps.random.draw(), |provider, cost| deps.budgets.withdraw(provider, cost, now));
        let index = match step {
            Step::Call { target } => target,
            Step::Wait { target, delay } => {
                observe(AttemptEvent::Waiting { target, delay });
                tokio::time::sleep(delay).await;
                target
            }
            Step::GiveUp(error) => {
                return Err(GaveUp { error: *error, attempts: planner.attempts(), target: called });
            }
        };
        // The planner only names indices that it was given.
        let Some(target) = job.targets.get(index) else { continue };
        let permit = match deps.breaker.admit(&target.key).await {
            Ok(permit) => permit,
            Err(rejected) => {
                let refusal = refusal_of(rejected.reason);
                after = skip(&mut planner, &mut observe, index, refusal, rejected.retry_at);
                continue;
            }
        };
        let model = &target.key.model;
        let encoded = match encode(target.provider.kind, job.request, model, job.options) {
            Ok(encoded) => encoded,
            Err(error) => {
                observe(AttemptEvent::Unsuitable { target: index, error: &error });
                planner.unsuitable(index, error);
                continue;
            }
        };
        let ignored = encoded.ignored.clone();
        let call = UpstreamCall {
            encoded,
            stream: job.request.stream(),
            timeouts: target.timeouts,
            deadline: job.deadline,
        };
        let called_at = deps.clock.now();
        // Told before the call, so that a request whose client leaves meanwhile has its attempt on record.
        observe(AttemptEvent::Started { target: index, attempt: planner.attempts() + 1, after });
        let result = deps.caller.call(target, call).await;
        let now = deps.clock.now();
        let took = now.saturating_duration_since(called_at);
        if !matches!(result, Err(CallError::Full | CallError::Unavailable)) {
            planner.started(index);
            called = Some(index);
            if !deposited.contains(&&*target.key.provider) {
                deposited.push(&target.key.provider);
                deps.budgets.deposit(&target.key.provider, called_at);
            }
        }
        match result {
            Ok(reply) => {
                deps.latencies.observe(&target.key, took, now);
                observe(AttemptEvent::Committed { target: index, took });
                return Ok(Answered {
                    reply,
                    target: index,
                    attempts: planner.attempts(),
                    ignored,
                    called_at,
                    took,
                    committed: permit.succeed(),
                });
            }
            Err(CallError::Failed(failure)) => {
                observe(AttemptEvent::Failed { target: index, failure: &failure, took });
                after = Some(After::Failed(index, failure.class));
                settle(deps, target, permit, &failure);
                planner.failed(index, failed(failure), now);
            }
            Err(CallError::Full) => {
                after = skip(&mut planner, &mut observe, index, Refusal::Full, now + ROOM_WAIT);
            }
            Err(CallError::Unavailable) => {
                after = skip(&mut planner, &mut observe, index, Refusal::Unavailable, now + ROOM_WAIT);
            }
        }
    }
}

/// Notes that a target could not be called.
fn skip(
    planner: &mut Planner,
    observe: &mut impl FnMut(AttemptEvent<'_>),
    target: usize,
    refusal: Refusal,
    retry_at: Instant,
) -> Option<After> {
    observe(AttemptEvent::Skipped { target, refusal, retry_at });
    planner.refused(target, refusal, retry_at);
    Some(After::Skipped(target, refusal))
}

/// Tells the breaker and the cooldown what the outcome table says about a failure.
fn settle<C>(deps: &Deps<'_, C>, target: &Target, permit: CallPermit, failure: &CallFailure) {
    permit.fail(failure.class);
    // A refused credential benches itself; the target goes on with the others.
    if !failure.other_credential {
        deps.breaker.cool(&target.key, failure.class, failure.wait);
    }
}

fn failed(failure: CallFailure) -> Failed {
    let CallFailure { class, wait, error, other_credential, .. } = failure;
    Failed { class, wait, error, other_credential }
}

const fn refusal_of(reason: RejectReason) -> Refusal {
    match reason {
        RejectReason::Open => Refusal::Open,
        RejectReason::Cooldown(class) => Refusal::Cooldown(class),
        RejectReason::Unavailable => Refusal::Unavailable,
    }
}
