//! Rate limits: one `RateLimiter` on each worker thread.
//!
//! Owns: a handle to the shared cells or to Redis, never the counts themselves. Accepts: `Acquire`. A grant settles and
//! gives back by itself when it is dropped, so no second message can be lost.
//! Mailbox: 1,024; over that, requests are refused as overload. After a restart: the cells are shared, nothing is lost.

use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use sentinel_domain::ids::Caller;
use sentinel_domain::policy::CallerLimits;
use sentinel_runtime::{ActorSpec, AskError, Handle, StopOutcome, Supervisor};
use sentinel_store::limits::{AcquireError, Grant, LimitStore};
use tokio::time::Instant;

use crate::reply::Reply;

/// Asks for one request's admission.
#[derive(Debug, Message)]
#[rtype(result = "Result<Grant, AcquireError>")]
pub struct Acquire {
    /// Who is charged.
    pub caller: Caller,
    /// The caller's limits.
    pub limits: CallerLimits,
    /// Length of the window that they count in.
    pub window: Duration,
    /// Estimated tokens, settled later.
    pub tokens: u64,
    /// Now, monotonic.
    pub now: Instant,
}

/// Admits requests on one worker thread.
pub struct RateLimiter {
    store: LimitStore,
}

impl Actor for RateLimiter {
    type Context = Context<Self>;
}

impl Handler<Acquire> for RateLimiter {
    type Result = Reply<Result<Grant, AcquireError>>;

    fn handle(&mut self, ask: Acquire, _: &mut Self::Context) -> Self::Result {
        let store = self.store.clone();
        Reply::of(
            async move { store.acquire(&ask.caller, &ask.limits, ask.window, ask.tokens, ask.now).await },
        )
    }
}

/// Why a request was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum LimiterError {
    /// A limit is used up, or the store is unavailable.
    #[error(transparent)]
    Refused(#[from] AcquireError),
    /// The actor could not be asked.
    #[error("rate limiter unavailable")]
    Unavailable(#[from] AskError),
}

/// Reaches this worker's [`RateLimiter`].
#[derive(Debug, Clone)]
pub struct LimiterHandle {
    actor: Handle<RateLimiter>,
    deadline: Duration,
}

impl LimiterHandle {
    /// Starts the actor on the present thread, below the worker's supervisor. An answer is waited for at most `deadline`.
    #[must_use]
    pub fn start(supervisor: &Supervisor, store: LimitStore, deadline: Duration) -> Self {
        let actor =
            supervisor.supervise(ActorSpec::new("limiter"), move || RateLimiter { store: store.clone() });
        Self { actor, deadline }
    }

    /// Asks for one request's admission.
    ///
    /// # Errors
    /// [`LimiterError::Refused`] by a limit or for want of a store; [`LimiterError::Unavailable`] under overload.
    pub async fn acquire(&self, ask: Acquire) -> Result<Grant, LimiterError> {
        Ok(self.actor.ask_within(ask, self.deadline).await??)
    }

    /// Ends the actor.
    pub async fn stop(&self, deadline: Duration) -> StopOutcome {
        self.actor.stop(deadline).await
    }
}
