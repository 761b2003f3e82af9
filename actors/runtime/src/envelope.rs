//! The queue in front of an actor.
//!
//! actix's own mailbox bounds nothing that matters (a fresh address always has one free slot, `do_send` ignores the capacity) and dies
//! with the context, so messages wait here instead: in a bounded queue that belongs to the handle and outlives every incarnation of
//! the actor. A pump future in the actor's context hands them to actix's ordinary [`Handler`]s.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Context, Handler, Message};
use parking_lot::Mutex;

use crate::error::TellError;
use crate::status::Status;

/// A message on its way to an actor of type `A`.
pub(crate) trait Envelope<A: Actor>: Send {
    /// Says whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Says whether somebody waits for an answer.
    fn is_ask(&self) -> bool;

    /// Lets the actor handle the message.
    fn open(self: Box<Self>, actor: &mut A, context: &mut A::Context);
}

/// A message with the place its answer goes to, if any.
pub(crate) struct Letter<M: Message> {
    pub(crate) message: M,
    pub(crate) reply: Option<OneshotSender<M::Result>>,
}

impl<A, M> Envelope<A> for Letter<M>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + Send,
    M::Result: Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(OneshotSender::is_closed)
    }

    fn is_ask(&self) -> bool {
        self.reply.is_some()
    }

    fn open(self: Box<Self>, actor: &mut A, context: &mut A::Context) {
        let Self { message, reply } = *self;
        actor.handle(message, context).handle(context, reply);
    }
}

type Queue<A> = VecDeque<Box<dyn Envelope<A>>>;

/// A bounded queue, first in first out.
pub(crate) struct Inbox<A: Actor> {
    queue: Mutex<Option<Queue<A>>>,
}

impl<A: Actor> Inbox<A> {
    pub(crate) fn new() -> Self {
        Self { queue: Mutex::new(Some(VecDeque::new())) }
    }

    /// Queues a message, or drops it and says why.
    pub(crate) fn push(&self, status: &Status, envelope: Box<dyn Envelope<A>>) -> Result<(), TellError> {
        let mut guard = self.queue.lock();
        let refused = match guard.as_mut() {
            None => TellError::Closed,
            Some(queue) if queue.len() >= status.cap => TellError::Full,
            Some(queue) => {
                queue.push_back(envelope);
                let depth = queue.len();
                status.depth.store(depth, Ordering::Relaxed);
                drop(guard);
                // With more than one in the queue the pump is awake already, or waits for something that wakes it.
                if depth == 1 {
                    status.waker.wake();
                }
                return Ok(());
            }
        };
        // The message is dropped after the lock is released: its `Drop` may well send something.
        drop(guard);
        Err(refused)
    }

    pub(crate) fn pop(&self, status: &Status) -> Option<Box<dyn Envelope<A>>> {
        let mut guard = self.queue.lock();
        let queue = guard.as_mut()?;
        let envelope = queue.pop_front()?;
        status.depth.store(queue.len(), Ordering::Relaxed);
        Some(envelope)
    }

    /// Drops the asks in the queue, whose callers learn it at once, and keeps the rest for the next generation.
    pub(crate) fn drop_asks(&self, status: &Status) {
        let mut asks = Queue::new();
        if let Some(queue) = self.queue.lock().as_mut() {
            let (dropped, kept) = std::mem::take(queue).into_iter().partition(|envelope| envelope.is_ask());
            *queue = kept;
            asks = dropped;
            status.depth.store(queue.len(), Ordering::Relaxed);
        }
        drop_each(asks);
    }

    /// Refuses everything from now on and drops what is queued.
    pub(crate) fn close(&self, status: &Status) {
        let queue = self.queue.lock().take();
        status.depth.store(0, Ordering::Relaxed);
        drop_each(queue.unwrap_or_default());
    }
}

/// Drops messages one by one, so that a panicking `Drop` costs no other message its own.
fn drop_each<A: Actor>(queue: Queue<A>) {
    for envelope in queue {
        crate::supervise::contain(|| drop(envelope)).ok();
    }
}
