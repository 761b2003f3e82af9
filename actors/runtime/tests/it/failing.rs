//! An actor that fails on request, in each place where an actor can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};

/// What the test and every incarnation share.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// Incarnations built so far.
    pub(crate) built: Arc<AtomicUsize>,
    /// Starts that are still to panic.
    pub(crate) bad_starts: Arc<AtomicUsize>,
    /// Says whether the factory panics.
    pub(crate) bad_factory: Arc<AtomicBool>,
}

impl Script {
    pub(crate) fn factory(&self) -> impl FnMut() -> FailingActor + use<> {
        let script = self.clone();
        move || {
            assert!(!script.bad_factory.load(Ordering::Relaxed), "factory failed on purpose");
            script.built.fetch_add(1, Ordering::Relaxed);
            FailingActor { script: script.clone(), count: 0 }
        }
    }

    pub(crate) fn built(&self) -> usize {
        self.built.load(Ordering::Relaxed)
    }
}

pub(crate) struct FailingActor {
    script: Script,
    count: usize,
}

impl Actor for FailingActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        let bad = &self.script.bad_starts;
        let panics =
            bad.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        assert!(!panics, "start failed on purpose");
    }
}

/// Counts up in the actor's own state and returns the count.
#[derive(Message)]
#[rtype(result = "usize")]
pub(crate) struct Count;

impl Handler<Count> for FailingActor {
    type Result = usize;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> usize {
        self.count += 1;
        self.count
    }
}

#[expect(clippy::panic, reason = "failing is what this actor is for")]
fn fail(how: &str) {
    panic!("{how}");
}

/// Panics in the handler.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PanicInHandler;

impl Handler<PanicInHandler> for FailingActor {
    type Result = ();

    fn handle(&mut self, _: PanicInHandler, _: &mut Context<Self>) {
        fail("handler failed on purpose");
    }
}

/// Panics in a future of the context, after the handler returned.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PanicInFuture;

impl Handler<PanicInFuture> for FailingActor {
    type Result = ();

    fn handle(&mut self, _: PanicInFuture, context: &mut Context<Self>) {
        context.spawn(async { fail("future failed on purpose") }.into_actor(self));
    }
}

/// Answers after a while, from a detached task.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Slow(pub(crate) Duration);

impl Handler<Slow> for FailingActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: Slow, _: &mut Context<Self>) -> ResponseFuture<()> {
        Box::pin(tokio::time::sleep(message.0))
    }
}

/// Takes no other message for a while.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Freeze(pub(crate) Duration);

impl Handler<Freeze> for FailingActor {
    type Result = ();

    fn handle(&mut self, message: Freeze, context: &mut Context<Self>) {
        context.wait(tokio::time::sleep(message.0).into_actor(self));
    }
}
