//! The place in the tree of a thread that is no actor, such as a store's writer, and reports about itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::panics;
use crate::registry::{Escalation, Registry};
use crate::status::{ActorState, Status, command};

/// A plain thread's place in the tree. Dropping it marks the thread as stopped, and as failed if it is dropped by a panic.
#[derive(Debug)]
pub struct TrackedThread {
    status: Arc<Status>,
    registry: Registry,
}

impl TrackedThread {
    pub(crate) fn new(status: Arc<Status>, registry: Registry) -> Self {
        Self { status, registry }
    }

    /// Enters a state; entering [`ActorState::Down`] escalates if the thread is critical.
    pub fn enter(&self, state: ActorState) {
        self.status.enter(state);
        if state == ActorState::Down && self.status.critical {
            let failure = self.status.last_failure.lock().clone();
            self.registry.escalate(&Escalation { actor: self.status.name.to_string(), failure });
        }
    }

    /// Notes a failure and counts a restart.
    pub fn failed(&self, message: &str) {
        self.status.record_failure(panics::presentable(message), None);
        self.status.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets how many items wait in the thread's queue.
    pub fn set_depth(&self, depth: usize) {
        self.status.depth.store(depth, Ordering::Relaxed);
    }

    /// Adds to the number of items handled.
    pub fn add_handled(&self, items: u64) {
        self.status.handled.fetch_add(items, Ordering::Relaxed);
    }
}

impl Drop for TrackedThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.status.record_failure("the thread panicked".to_owned(), None);
        } else {
            self.status.command(command::STOP);
        }
        self.status.enter(ActorState::Stopped);
    }
}
