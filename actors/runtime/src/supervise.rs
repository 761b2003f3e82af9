//! The future that keeps one actor alive.
//!
//! `actix::Supervisor` restarts an actor that stops itself but dies with one that panics, and keeps the half-changed state. This
//! future owns the actor's context, catches what unwinds out of it (handlers, futures of the context, `started`, the factory, the
//! drops), throws the incarnation away and builds a fresh one from the factory. The queue belongs to the handle and is not touched.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use actix::dev::ContextFut;
use actix::{Actor, AsyncContext, Context};

use crate::handle::Cell;
use crate::intensity::{Intensity, RestartWindow, Verdict};
use crate::panics;
use crate::pump::{Pump, injected};
use crate::registry::{Escalation, Registry};
use crate::status::{ActorState, command};

/// Calls `action` and swallows a panic, telling what it was.
pub(crate) fn contain<T>(action: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    // Unwind safety: whatever `action` had half changed is thrown away by every caller of this function.
    catch_unwind(AssertUnwindSafe(action))
}

/// Why an incarnation ended.
enum Exit {
    /// A handler stopped the context, or the last message was handled while stopping.
    Ended,
    /// An operator or a drill asked for a fresh one.
    Restart,
    /// A stop's deadline passed.
    Killed,
    /// Something panicked.
    Panicked(Box<dyn Any + Send>),
}

/// What the time between two incarnations is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pause {
    BackOff,
    Down,
}

/// Everything that one supervised actor needs for its whole life.
pub(crate) struct Keeper<A: Actor, F> {
    pub(crate) cell: Arc<Cell<A>>,
    pub(crate) factory: F,
    pub(crate) intensity: Intensity,
    pub(crate) registry: Registry,
}

impl<A, F> Keeper<A, F>
where
    A: Actor<Context = Context<A>>,
    F: FnMut() -> A + 'static,
{
    /// Runs the actor until it is stopped. Dropped early, as when its thread ends, it closes the queue like a cut-off stop.
    pub(crate) async fn run(mut self) {
        let _closer = Closer { cell: Arc::clone(&self.cell) };
        let mut window = RestartWindow::new(self.intensity);
        loop {
            let status = Arc::clone(&self.cell.status);
            let exit = self.live().await;
            match exit {
                Exit::Killed => return,
                Exit::Ended if status.state() == ActorState::Stopping => return,
                Exit::Restart => {
                    status.restarts.fetch_add(1, Ordering::Relaxed);
                    status.enter(ActorState::Starting);
                    tracing::info!(actor = &*status.name, "actor restarted on request");
                    continue;
                }
                Exit::Ended => self.note("actor stopped itself".to_owned(), None),
                Exit::Panicked(payload) => {
                    let report = panics::describe(&*payload);
                    contain(|| drop(payload)).ok();
                    self.note(report.message, report.location);
                }
            }
            match window.record(status.clock.now()) {
                Verdict::Restart(Duration::ZERO) => {}
                Verdict::Restart(delay) => {
                    status.enter(ActorState::BackingOff);
                    if self.pause(delay, Pause::BackOff).await {
                        return;
                    }
                }
                Verdict::GiveUp => {
                    self.give_up();
                    if self.pause(self.intensity.revive_after, Pause::Down).await
                        || status.is_commanded(command::STOP)
                    {
                        return;
                    }
                    window.reset();
                    status.generation.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(actor = &*status.name, "new generation of actor");
                }
            }
            status.restarts.fetch_add(1, Ordering::Relaxed);
            status.enter(ActorState::Starting);
        }
    }

    /// Builds one incarnation and drives it to its end.
    async fn live(&mut self) -> Exit {
        let cell = Arc::clone(&self.cell);
        let build = contain(|| {
            let mut context = Context::new();
            context.spawn(Pump { cell: Arc::clone(&cell) });
            Box::new(context.into_future((self.factory)()))
        });
        let mut incarnation = match build {
            Ok(future) => Incarnation { future: Some(future) },
            Err(payload) => return Exit::Panicked(payload),
        };
        let mut started = false;
        std::future::poll_fn(move |cx| {
            let status = &cell.status;
            // Before the commands and the queue are looked at, so that neither can arrive unseen.
            status.waker.register(cx.waker());
            if status.take_command(command::KILL) {
                return Poll::Ready(Exit::Killed);
            }
            if status.is_commanded(command::STOP) && status.state() != ActorState::Stopping {
                status.enter(ActorState::Stopping);
            }
            if status.take_command(command::RESTART) {
                return Poll::Ready(Exit::Restart);
            }
            let Some(future) = incarnation.future.as_mut() else { return Poll::Ready(Exit::Ended) };
            let polled = contain(|| {
                if !started && status.take_command(command::PANIC_STARTED) {
                    injected("started");
                }
                Pin::new(&mut **future).poll(cx)
            });
            match polled {
                Ok(Poll::Pending) => {
                    if !started {
                        started = true;
                        status.enter(ActorState::Running);
                    }
                    Poll::Pending
                }
                Ok(Poll::Ready(())) => Poll::Ready(Exit::Ended),
                Err(payload) => Poll::Ready(Exit::Panicked(payload)),
            }
        })
        .await
    }

    fn note(&self, message: String, location: Option<String>) {
        let failure = self.cell.status.record_failure(message, location);
        tracing::warn!(
            actor = &*self.cell.status.name,
            failure = failure.message,
            location = failure.location,
            restarts = self.cell.status.restarts.load(Ordering::Relaxed),
            "actor failed"
        );
    }

    /// Takes the actor down: whoever waits for an answer learns it now, and a critical actor's failure is told upwards.
    fn give_up(&self) {
        let status = &self.cell.status;
        status.enter(ActorState::Down);
        self.cell.inbox.drop_asks(status);
        tracing::error!(actor = &*status.name, critical = status.critical, "actor is down");
        if status.critical {
            let failure = status.last_failure.lock().clone();
            self.registry.escalate(&Escalation { actor: status.name.to_string(), failure });
        }
    }

    /// Waits between two incarnations, listening for commands. Returns whether to end instead of going on.
    ///
    /// A stop cuts the pause of a downed actor short, which would only refuse what is queued; one that backs off still gets its restart
    /// and with it the chance to finish its queue.
    async fn pause(&self, delay: Duration, pause: Pause) -> bool {
        let status = &self.cell.status;
        let commanded = std::future::poll_fn(|cx| {
            status.waker.register(cx.waker());
            if status.take_command(command::KILL) {
                Poll::Ready(true)
            } else if status.take_command(command::RESTART)
                || (pause == Pause::Down && status.is_commanded(command::STOP))
            {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        });
        tokio::time::timeout(delay, commanded).await.unwrap_or(false)
    }
}

/// One incarnation's context and actor. Dropping it runs `stopping` and `stopped`, which may panic like anything else.
struct Incarnation<A: Actor<Context = Context<A>>> {
    future: Option<Box<ContextFut<A, Context<A>>>>,
}

impl<A: Actor<Context = Context<A>>> Drop for Incarnation<A> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            contain(|| drop(future)).ok();
        }
    }
}

/// Closes the queue when the supervising future ends, however it ends.
struct Closer<A: Actor> {
    cell: Arc<Cell<A>>,
}

impl<A: Actor> Drop for Closer<A> {
    fn drop(&mut self) {
        let status = &self.cell.status;
        if !status.is_commanded(command::STOP) {
            status.record_failure("the actor's thread ended".to_owned(), None);
        }
        status.enter(ActorState::Stopped);
        self.cell.inbox.close(status);
    }
}
