//! The only door to an actor: bounded, with a deadline, and refused at once when nobody can answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::envelope::{Inbox, Letter};
use crate::error::{AskError, TellError};
use crate::status::{ActorState, NodeSpec, Status, command};
use crate::stop::{StopOutcome, stop};
use crate::supervisor::ActorSpec;
use crate::teller::Teller;

/// What handles, pump and supervising future share.
pub(crate) struct Cell<A: Actor> {
    pub(crate) status: Arc<Status>,
    pub(crate) inbox: Inbox<A>,
    pub(crate) deadline: Duration,
}

/// Reaches one supervised actor, through all its restarts and generations.
///
/// Cheap to clone and usable from any thread; from the actor's own thread an ask costs about as much as a plain actix send.
pub struct Handle<A: Actor> {
    cell: Arc<Cell<A>>,
}

impl<A: Actor> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell) }
    }
}

impl<A: Actor> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("name", &self.cell.status.name)
            .field("state", &self.cell.status.state())
            .finish_non_exhaustive()
    }
}

/// The counters of one actor at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActorStats {
    /// Where the actor stands in its life.
    pub state: ActorState,
    /// Messages in the queue.
    pub depth: usize,
    /// Asks that wait for their answer.
    pub in_flight: usize,
    /// Most messages in the queue, and most asks that wait, at a time.
    pub cap: usize,
    /// Messages given to a handler that returned.
    pub handled: u64,
    /// Messages refused because the cap was reached, the actor was down or stopped.
    pub refused: u64,
    /// Times the actor was built anew after its first start.
    pub restarts: u64,
}

impl<A: Actor<Context = Context<A>>> Handle<A> {
    pub(crate) fn new(cell: Arc<Cell<A>>) -> Self {
        Self { cell }
    }

    /// Makes a handle that nobody answers behind, in a state of the caller's choice: for tests of what a caller does with an actor that
    /// is down, stopped, or too slow.
    pub fn unattended(spec: &ActorSpec, state: ActorState) -> Self {
        let node = NodeSpec::actor(Arc::from(spec.name.as_str()), None, None, spec);
        let status = Arc::new(Status::new(node, Clock::system()));
        status.enter(state);
        Self { cell: Arc::new(Cell { status, inbox: Inbox::new(), deadline: spec.deadline }) }
    }

    /// Returns a handle that can only tell messages of one kind and does not name the actor's type.
    pub fn teller<M>(&self) -> Teller<M>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let handle = self.clone();
        Teller::new(move |message| handle.tell(message))
    }

    /// Sends a message and waits for the answer, at most for the actor's deadline.
    ///
    /// Dropping the returned future before the actor reached the message takes the message back: it is not handled.
    ///
    /// # Errors
    /// [`AskError::Full`] and [`AskError::Down`] come at once and mean that the message was not handled; [`AskError::Deadline`] and
    /// [`AskError::Closed`] leave that open.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, AskError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.ask_within(message, self.cell.deadline).await
    }

    /// Sends a message and waits for the answer, at most for `deadline`.
    ///
    /// # Errors
    /// As [`Handle::ask`].
    pub async fn ask_within<M>(&self, message: M, deadline: Duration) -> Result<M::Result, AskError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let status = &self.cell.status;
        let _in_flight = InFlight::enter(status)?;
        let (reply, answer) = oneshot::channel();
        self.push(Letter { message, reply: Some(reply) })?;
        match wait(answer, deadline).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(AskError::Closed),
            Err(_) => Err(AskError::Deadline),
        }
    }

    /// Sends a message without waiting for anything. An actor that is down or full refuses it.
    ///
    /// # Errors
    /// The message was not queued and is dropped; a [`Durable`](crate::Durable) inside goes to its redelivery queue.
    pub fn tell<M>(&self, message: M) -> Result<(), TellError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.push(Letter { message, reply: None })
    }

    fn push<M>(&self, letter: Letter<M>) -> Result<(), TellError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let status = &self.cell.status;
        let pushed = match status.state() {
            ActorState::Down => Err(TellError::Down),
            ActorState::Stopping | ActorState::Stopped => Err(TellError::Closed),
            ActorState::Starting | ActorState::Running | ActorState::BackingOff => {
                self.cell.inbox.push(status, Box::new(letter))
            }
        };
        if pushed.is_err() {
            status.refused.fetch_add(1, Ordering::Relaxed);
        }
        pushed
    }

    /// Returns where the actor stands in its life.
    pub fn state(&self) -> ActorState {
        self.cell.status.state()
    }

    /// Returns the actor's counters.
    pub fn stats(&self) -> ActorStats {
        let status = &self.cell.status;
        ActorStats {
            state: status.state(),
            depth: status.depth.load(Ordering::Relaxed),
            in_flight: status.in_flight.load(Ordering::Relaxed),
            cap: status.cap,
            handled: status.handled.load(Ordering::Relaxed),
            refused: status.refused.load(Ordering::Relaxed),
            restarts: status.restarts.load(Ordering::Relaxed),
        }
    }

    /// Returns the actor's name in the tree.
    pub fn name(&self) -> &str {
        &self.cell.status.name
    }

    /// Builds the actor anew from its factory, keeping its queue. Not counted as a failure; brings a downed actor back at once.
    pub fn restart(&self) {
        self.cell.status.command(command::RESTART);
    }

    /// Waits until the actor runs, is down or has ended, whichever comes first, and returns that state.
    pub async fn settled(&self) -> ActorState {
        let settled = |state| matches!(state, ActorState::Running | ActorState::Down | ActorState::Stopped);
        self.cell.status.wait_until(settled).await;
        self.state()
    }

    /// Refuses new messages, lets the queue and the asks in work finish, and ends the actor; cuts it off at the deadline.
    pub async fn stop(&self, deadline: Duration) -> StopOutcome {
        stop(&self.cell.status, deadline).await
    }
}

/// Waits for an answer, and arms a timer only if it does not come within one turn of the executor.
///
/// An actor on the same thread that answers from its handler has answered by then, and arming and disarming a timer would cost it more
/// than anything else does here. The turn is taken by waking the task again right away, behind the actor that was woken before it.
async fn wait<T>(
    mut answer: oneshot::Receiver<T>,
    deadline: Duration,
) -> Result<Result<T, oneshot::error::RecvError>, tokio::time::error::Elapsed> {
    let mut turned = false;
    let early = std::future::poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if turned => Poll::Ready(None),
        Poll::Pending => {
            turned = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match early.await {
        Some(answer) => Ok(answer),
        None => tokio::time::timeout(deadline, answer).await,
    }
}

/// Counts one waiting ask for as long as it lives.
struct InFlight<'a> {
    status: &'a Status,
}

impl<'a> InFlight<'a> {
    fn enter(status: &'a Status) -> Result<Self, AskError> {
        if status.in_flight.fetch_add(1, Ordering::AcqRel) >= status.cap {
            status.in_flight.fetch_sub(1, Ordering::AcqRel);
            status.refused.fetch_add(1, Ordering::Relaxed);
            // A downed actor says so even when its last asks have not left yet.
            return Err(if status.state() == ActorState::Down { AskError::Down } else { AskError::Full });
        }
        Ok(Self { status })
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        // The last ask to leave a draining actor lets its pump end.
        if self.status.in_flight.fetch_sub(1, Ordering::AcqRel) == 1
            && self.status.state() == ActorState::Stopping
        {
            self.status.waker.wake();
        }
    }
}
