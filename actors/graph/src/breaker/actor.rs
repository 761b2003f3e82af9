//! The supervised front of the board: one `CircuitBreaker` on each worker thread.
//!
//! It holds nothing but a handle to the shared board, so a restarted one goes on where the other stopped. Results do
//! not pass through it: a permit records its own when it is dropped, so none can be lost in a queue.

use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use sentinel_runtime::{ActorSpec, Clock, Handle, StopOutcome, Supervisor};

use super::board::{BreakerBoard, CallPermit, RejectReason, Rejected};
use super::phase::Override;
use crate::target::TargetKey;

/// When to come back if the actor could not be asked; it is usually restarted long before.
const RESTART_WAIT: Duration = Duration::from_secs(1);

/// Asks whether a target may be called.
#[derive(Debug, Message)]
#[rtype(result = "Result<CallPermit, Rejected>")]
struct Admit(TargetKey);

/// Asks to obey an operator. The answer says whether the target is known.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
struct Operate(TargetKey, Order);

/// What an operator wants of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Hold the breaker open or closed for this long.
    Force(Override, Duration),
    /// Forget failures, cooldown and forced state.
    Reset,
}

/// Decides on one worker thread which targets may be called.
#[derive(Debug)]
pub struct CircuitBreaker {
    board: BreakerBoard,
}

impl Actor for CircuitBreaker {
    type Context = Context<Self>;
}

impl Handler<Admit> for CircuitBreaker {
    type Result = Result<CallPermit, Rejected>;

    fn handle(&mut self, Admit(key): Admit, _: &mut Self::Context) -> Self::Result {
        self.board.admit(&key)
    }
}

impl Handler<Operate> for CircuitBreaker {
    type Result = bool;

    fn handle(&mut self, Operate(key, order): Operate, _: &mut Self::Context) -> bool {
        tracing::warn!(target = %key, ?order, "operator overrides a circuit breaker");
        match order {
            Order::Force(wanted, time) => self.board.force(&key, wanted, time),
            Order::Reset => self.board.reset(&key),
        }
    }
}

/// Reaches this worker's [`CircuitBreaker`].
#[derive(Debug, Clone)]
pub struct BreakerHandle {
    actor: Handle<CircuitBreaker>,
    board: BreakerBoard,
    clock: Clock,
}

impl BreakerHandle {
    /// Starts the actor on the present thread, below the worker's supervisor.
    #[must_use]
    pub fn start(supervisor: &Supervisor, board: BreakerBoard, clock: Clock) -> Self {
        let shared = board.clone();
        let actor =
            supervisor.supervise(ActorSpec::new("breaker"), move || CircuitBreaker { board: shared.clone() });
        Self { actor, board, clock }
    }

    /// Asks for a permit to call a target.
    ///
    /// # Errors
    /// [`Rejected`] while the target cools down, its breaker refuses, or the actor can't be asked.
    pub async fn admit(&self, key: &TargetKey) -> Result<CallPermit, Rejected> {
        self.actor.ask(Admit(key.clone())).await.unwrap_or_else(|_| {
            Err(Rejected { retry_at: self.clock.now() + RESTART_WAIT, reason: RejectReason::Unavailable })
        })
    }

    /// Leaves a target alone for as long as its failure asks for.
    pub fn cool(
        &self,
        key: &TargetKey,
        class: sentinel_domain::outcome::FailureClass,
        hint: Option<Duration>,
    ) -> Duration {
        self.board.cool(key, class, hint)
    }

    /// Obeys an operator. Returns whether the target is known and the actor could be asked.
    pub async fn operate(&self, key: &TargetKey, order: Order) -> bool {
        self.actor.ask(Operate(key.clone(), order)).await.unwrap_or(false)
    }

    /// Returns the shared board, to look at.
    #[must_use]
    pub const fn board(&self) -> &BreakerBoard {
        &self.board
    }

    /// Ends the actor.
    pub async fn stop(&self, deadline: Duration) -> StopOutcome {
        self.actor.stop(deadline).await
    }
}
