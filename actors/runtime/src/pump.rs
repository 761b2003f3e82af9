//! The future that moves messages from a handle's queue to the actor's handlers.
//!
//! It lives in the actor's own context, so a handler sees the ordinary `&mut self` and `&mut Context<Self>`.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task;
use std::task::Poll;

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context};

use crate::handle::Cell;
use crate::status::{ActorState, command};

/// Messages handled in one turn before the other tasks of the thread get theirs. actix's mailbox has no such bound: 2,000 messages of
/// 0.2 ms hold up every timer and socket of the thread until the last one is done.
const TURN: usize = 64;

pub(crate) struct Pump<A: Actor> {
    pub(crate) cell: Arc<Cell<A>>,
}

impl<A> ActorFuture<A> for Pump<A>
where
    A: Actor<Context = Context<A>>,
{
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        context: &mut Context<A>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        let status = &self.cell.status;
        if status.take_command(command::PANIC_FUTURE) {
            injected("future");
        }
        for _ in 0..TURN {
            // A handler asked for exclusive time (`ctx.wait`) or for the end; either polls the whole context again when it is done.
            if context.waiting() {
                return Poll::Pending;
            }
            let Some(envelope) = self.cell.inbox.pop(status) else {
                if status.state() == ActorState::Stopping && status.in_flight.load(Ordering::Acquire) == 0 {
                    context.stop();
                }
                return Poll::Pending;
            };
            if envelope.is_abandoned() {
                continue;
            }
            if status.take_command(command::PANIC_HANDLER) {
                injected("handler");
            }
            envelope.open(actor, context);
            status.handled.fetch_add(1, Ordering::Relaxed);
        }
        // tokio's own yield comes back after the thread has looked for input; waking the task here would let it have up to 61 more turns
        // before that. Polled once, it has noted whom to wake and may be dropped.
        let again = pin!(tokio::task::yield_now()).poll(task);
        debug_assert!(again.is_pending());
        Poll::Pending
    }
}

/// Panics on purpose: the fault that a drill asked for.
#[expect(
    clippy::panic,
    reason = "the panic is the purpose: a drill asked for it, in a registry built with chaos enabled"
)]
pub(crate) fn injected(place: &str) {
    panic!("injected panic in {place}");
}
