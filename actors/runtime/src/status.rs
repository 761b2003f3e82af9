//! The part of an actor that every thread may read: state, counters, last failure, and the commands waiting for its supervisor.
//!
//! It knows no actor type, so the registry can hold all of them in one table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use crate::clock::{Clock, millis};
use crate::supervisor::ActorSpec;

/// Where an actor stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ActorState {
    /// Being built; messages queue.
    Starting = 0,
    /// Handles messages.
    Running = 1,
    /// Waits before its next restart; messages queue up to the cap.
    BackingOff = 2,
    /// Failed too often; messages are refused until the next generation.
    Down = 3,
    /// Finishes what is queued and refuses what is new.
    Stopping = 4,
    /// Ended for good.
    Stopped = 5,
}

impl ActorState {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Starting,
            1 => Self::Running,
            2 => Self::BackingOff,
            3 => Self::Down,
            4 => Self::Stopping,
            _ => Self::Stopped,
        }
    }
}

/// What kind of node a row of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Holds children and has no mailbox.
    Supervisor,
    /// A supervised actor.
    Actor,
    /// A plain thread that reports itself, such as a store's writer.
    Thread,
}

/// What ended an incarnation of an actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The panic's text, shortened and with quoted content blanked, because it may hold a caller's words.
    pub message: String,
    /// Source file and line, when the panic hook is installed.
    pub location: Option<String>,
    /// Wall time in milliseconds since 1970.
    pub at_unix_ms: u64,
}

/// Commands to a supervising future, as bits because several may wait at once.
pub(crate) mod command {
    /// Builds the actor anew, keeping its queue.
    pub(crate) const RESTART: u8 = 1;
    /// Finishes the queue, then ends.
    pub(crate) const STOP: u8 = 1 << 1;
    /// Ends without finishing the queue.
    pub(crate) const KILL: u8 = 1 << 2;
    /// Panics with the next message in hand.
    pub(crate) const PANIC_HANDLER: u8 = 1 << 3;
    /// Panics inside a future of the context.
    pub(crate) const PANIC_FUTURE: u8 = 1 << 4;
    /// Panics while the next incarnation is being started.
    pub(crate) const PANIC_STARTED: u8 = 1 << 5;
}

/// The shared cell of one node.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) name: Arc<str>,
    pub(crate) parent: Option<Arc<str>>,
    pub(crate) worker: Option<usize>,
    pub(crate) kind: NodeKind,
    pub(crate) critical: bool,
    pub(crate) cap: usize,
    pub(crate) clock: Clock,
    /// Messages in the queue. Written under the queue's lock only, so it equals the queue's length.
    pub(crate) depth: AtomicUsize,
    /// Asks that wait for their answer.
    pub(crate) in_flight: AtomicUsize,
    pub(crate) handled: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) restarts: AtomicU64,
    pub(crate) generation: AtomicU64,
    pub(crate) last_failure: Mutex<Option<Failure>>,
    /// Wakes the supervising future, for a command as for a message.
    pub(crate) waker: AtomicWaker,
    /// Wakes those who wait for a change of state.
    pub(crate) changed: Notify,
    state: AtomicU8,
    commands: AtomicU8,
    running_since_ms: AtomicU64,
    epoch: tokio::time::Instant,
}

/// What a new node is made from.
pub(crate) struct NodeSpec {
    pub(crate) name: Arc<str>,
    pub(crate) parent: Option<Arc<str>>,
    pub(crate) worker: Option<usize>,
    pub(crate) kind: NodeKind,
    pub(crate) critical: bool,
    pub(crate) cap: usize,
}

impl NodeSpec {
    pub(crate) fn actor(
        name: Arc<str>,
        parent: Option<Arc<str>>,
        worker: Option<usize>,
        spec: &ActorSpec,
    ) -> Self {
        Self { name, parent, worker, kind: NodeKind::Actor, critical: spec.critical, cap: spec.cap }
    }
}

impl Status {
    pub(crate) fn new(spec: NodeSpec, clock: Clock) -> Self {
        Self {
            name: spec.name,
            parent: spec.parent,
            worker: spec.worker,
            kind: spec.kind,
            critical: spec.critical,
            cap: spec.cap,
            depth: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            handled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            last_failure: Mutex::new(None),
            waker: AtomicWaker::new(),
            changed: Notify::new(),
            state: AtomicU8::new(ActorState::Starting as u8),
            commands: AtomicU8::new(0),
            running_since_ms: AtomicU64::new(0),
            epoch: clock.now(),
            clock,
        }
    }

    pub(crate) fn state(&self) -> ActorState {
        ActorState::from_u8(self.state.load(Ordering::Acquire))
    }

    /// Enters `next`. `Stopped` is final, and only `Stopped` follows `Stopping`.
    pub(crate) fn enter(&self, next: ActorState) {
        let moved = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            let allowed = match ActorState::from_u8(now) {
                ActorState::Stopped => false,
                ActorState::Stopping => next == ActorState::Stopped,
                _ => true,
            };
            allowed.then_some(next as u8)
        });
        if moved.is_ok() {
            if next == ActorState::Running {
                self.running_since_ms
                    .store(millis(self.clock.now().saturating_duration_since(self.epoch)), Ordering::Relaxed);
            }
            self.changed.notify_waiters();
        }
    }

    /// Leaves a command for the supervising future and wakes it.
    pub(crate) fn command(&self, bit: u8) {
        self.commands.fetch_or(bit, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Says whether a command waits, without taking it.
    pub(crate) fn is_commanded(&self, bit: u8) -> bool {
        self.commands.load(Ordering::Acquire) & bit != 0
    }

    /// Takes a command. The plain load first keeps the ordinary path free of a locked instruction.
    pub(crate) fn take_command(&self, bit: u8) -> bool {
        self.is_commanded(bit) && self.commands.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Says whether the node is as it should be: it runs, or it ended because it was told to.
    pub(crate) fn is_green(&self) -> bool {
        match self.state() {
            ActorState::Running => true,
            ActorState::Stopping | ActorState::Stopped => self.is_commanded(command::STOP),
            ActorState::Starting | ActorState::BackingOff | ActorState::Down => false,
        }
    }

    /// Waits until `reached` holds for the state.
    pub(crate) async fn wait_until(&self, reached: impl Fn(ActorState) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the check, so that a change between the check and the wait is not missed.
            changed.as_mut().enable();
            if reached(self.state()) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn record_failure(&self, message: String, location: Option<String>) -> Failure {
        let failure = Failure { message, location, at_unix_ms: self.clock.unix_ms() };
        *self.last_failure.lock() = Some(failure.clone());
        failure
    }

    /// Milliseconds since the present incarnation began to run; 0 when it does not run.
    pub(crate) fn uptime_ms(&self) -> u64 {
        if matches!(self.state(), ActorState::Running | ActorState::Stopping) {
            let now = millis(self.clock.now().saturating_duration_since(self.epoch));
            now.saturating_sub(self.running_since_ms.load(Ordering::Relaxed))
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_is_final_and_stopping_only_leads_there() {
        use ActorState::{BackingOff, Down, Running, Starting, Stopped, Stopping};
        let spec = ActorSpec::new("node");
        for first in [Stopping, Stopped] {
            for next in [Starting, Running, BackingOff, Down, Stopping, Stopped] {
                let node = NodeSpec::actor(Arc::from("node"), None, None, &spec);
                let status = Status::new(node, Clock::system());
                status.enter(first);
                status.enter(next);
                let expected = if next == Stopped { Stopped } else { first };
                assert_eq!(status.state(), expected, "{first:?} then {next:?}");
            }
        }
    }
}
