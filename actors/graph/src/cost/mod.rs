//! Cost: one `CostAccumulator` on each worker thread.
//!
//! Owns: handles to the shared budgets and ledger, never the sums themselves. Accepts: `Reserve` before a call, `Settle`
//! after it. A settlement is durable: it comes back if the actor dies with it, and the ledger counts each id once. Room
//! for it is taken at admission, so settling can't meet a full queue.
//! Mailbox: 8,192. After a restart: what came back is drained first; sums are in the store.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use parking_lot::Mutex;
use sentinel_domain::NanoUsd;
use sentinel_domain::ids::Caller;
use sentinel_domain::policy::BudgetLimits;
use sentinel_runtime::{ActorSpec, AskError, Durable, DurableQueue, Handle, Slot, StopOutcome, Supervisor};
use sentinel_store::budget::{BudgetStore, Hold, Periods, ReserveError};
use sentinel_store::usage::{UsageEvent, UsageStore};

use crate::reply::Reply;

/// Settlements that may be under way on one worker: open requests and those not yet in the ledger.
const MOST_SETTLEMENTS: usize = 65_536;
/// Panics that a settlement may be part of before it is given up, loudly.
const MOST_ATTEMPTS: u32 = 5;
/// Settlements that came back and are taken in one go.
const DRAIN_BATCH: usize = 256;

/// Asks for money to be held for one request.
#[derive(Debug, Message)]
#[rtype(result = "Result<Hold, ReserveError>")]
pub struct Reserve {
    /// Who pays.
    pub caller: Caller,
    /// The caller's budget.
    pub limits: BudgetLimits,
    /// The whole gateway's budget.
    pub global: BudgetLimits,
    /// What the request will probably cost.
    pub estimate: NanoUsd,
    /// The day and month of now.
    pub periods: Periods,
}

/// What a request came to in the end.
pub struct Settlement {
    /// The ledger's row; `None` if no call was made.
    pub event: Option<UsageEvent>,
    /// The money held for it.
    pub hold: Mutex<Option<Hold>>,
}

/// Room for one settlement.
pub type SettleSlot = Slot<Settlement>;

#[derive(Message)]
#[rtype(result = "()")]
struct Settle(Durable<Settlement>);

/// Holds, settles and adds up on one worker thread.
pub struct CostAccumulator {
    budgets: BudgetStore,
    ledger: UsageStore,
    queue: DurableQueue<Settlement>,
}

impl CostAccumulator {
    fn settle(&self, settlement: Durable<Settlement>) {
        if let Some(event) = &settlement.event {
            self.ledger.record(event);
        }
        if let Some(hold) = settlement.hold.lock().take() {
            hold.settle(settlement.event.as_ref().and_then(|event| event.cost).unwrap_or_default());
        }
        settlement.ack();
    }
}

impl Actor for CostAccumulator {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        for settlement in self.queue.drain(DRAIN_BATCH) {
            self.settle(settlement);
        }
        // What could not be delivered while the actor was full or down has come back to the queue without a message.
        context.run_interval(Duration::from_millis(250), |actor, _| {
            if actor.queue.waiting() > 0 {
                for settlement in actor.queue.drain(DRAIN_BATCH) {
                    actor.settle(settlement);
                }
            }
        });
    }
}

impl Handler<Reserve> for CostAccumulator {
    type Result = Reply<Result<Hold, ReserveError>>;

    fn handle(&mut self, ask: Reserve, _: &mut Self::Context) -> Self::Result {
        let budgets = self.budgets.clone();
        Reply::of(async move {
            budgets.reserve(&ask.caller, &ask.limits, &ask.global, ask.estimate, &ask.periods).await
        })
    }
}

impl Handler<Settle> for CostAccumulator {
    type Result = ();

    fn handle(&mut self, Settle(settlement): Settle, _: &mut Self::Context) {
        self.settle(settlement);
    }
}

/// Why no money was held.
#[derive(Debug, thiserror::Error)]
pub enum CostError {
    /// A budget is used up, or the store is unavailable.
    #[error(transparent)]
    Refused(#[from] ReserveError),
    /// The actor could not be asked.
    #[error("cost accumulator unavailable")]
    Unavailable(#[from] AskError),
}

/// Reaches this worker's [`CostAccumulator`].
#[derive(Debug, Clone)]
pub struct CostHandle {
    actor: Handle<CostAccumulator>,
    queue: DurableQueue<Settlement>,
    deadline: Duration,
}

impl CostHandle {
    /// Starts the actor on the present thread, below the worker's supervisor. An answer is waited for at most `deadline`.
    #[must_use]
    pub fn start(
        supervisor: &Supervisor,
        budgets: BudgetStore,
        ledger: UsageStore,
        deadline: Duration,
    ) -> Self {
        let queue = DurableQueue::new(MOST_SETTLEMENTS, MOST_ATTEMPTS, |letter| {
            let event: &Settlement = letter.value;
            tracing::error!(event = ?event.event, "settlement given up after repeated panics");
        });
        let shared = queue.clone();
        let actor = supervisor.supervise(ActorSpec::new("cost").cap(8_192), move || CostAccumulator {
            budgets: budgets.clone(),
            ledger: ledger.clone(),
            queue: shared.clone(),
        });
        Self { actor, queue, deadline }
    }

    /// Takes room for one settlement; `None` when too many are under way.
    #[must_use]
    pub fn slot(&self) -> Option<SettleSlot> {
        self.queue.reserve()
    }

    /// Asks for money to be held.
    ///
    /// # Errors
    /// [`CostError::Refused`] by a budget or for want of a store; [`CostError::Unavailable`] under overload.
    pub async fn reserve(&self, ask: Reserve) -> Result<Hold, CostError> {
        Ok(self.actor.ask_within(ask, self.deadline).await??)
    }

    /// Settles a request. Never waits and never loses: what cannot be delivered comes back.
    pub fn settle(&self, slot: SettleSlot, settlement: Settlement) {
        if self.actor.tell(Settle(slot.fill(settlement))).is_err() {
            tracing::debug!("settlement goes back to the queue until the actor is up again");
        }
    }

    /// Returns how many settlements are open or under way.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.queue.outstanding()
    }

    /// Ends the actor after it has handled what is queued.
    pub async fn stop(&self, deadline: Duration) -> StopOutcome {
        self.actor.stop(deadline).await
    }
}
