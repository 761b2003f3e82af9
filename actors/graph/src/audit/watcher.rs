//! Watches the trail's writer thread and shows it in the actor tree.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context};
use sentinel_runtime::{ActorState, TrackedThread};
use sentinel_store::audit::{AuditHealth, AuditTrail};

const EVERY: Duration = Duration::from_millis(500);

/// Brings the state of the writer thread into the tree: its backlog, its failures, and its end.
pub struct AuditWatcher {
    trail: AuditTrail,
    thread: Arc<TrackedThread>,
    seen: AuditHealth,
}

impl AuditWatcher {
    pub(super) fn new(trail: AuditTrail, thread: Arc<TrackedThread>) -> Self {
        let seen = AuditHealth { ok: true, ..AuditHealth::default() };
        Self { trail, thread, seen }
    }

    fn look(&mut self) {
        let health = self.trail.health();
        self.thread.set_depth(health.backlog);
        self.thread.add_handled(health.head_sequence.saturating_sub(self.seen.head_sequence));
        if health.failures > self.seen.failures {
            self.thread.failed(health.last_error.as_deref().unwrap_or("the audit store fails"));
        }
        let state = |health: &AuditHealth| match (health.dead, health.ok) {
            (true, _) => ActorState::Down,
            (false, true) => ActorState::Running,
            (false, false) => ActorState::BackingOff,
        };
        // Entering `Down` once is enough: the thread is critical, and entering it tells the process.
        if state(&health) != state(&self.seen) {
            self.thread.enter(state(&health));
        }
        self.seen = health;
    }
}

impl Actor for AuditWatcher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // What happened before this incarnation is not news.
        self.seen = self.trail.health();
        self.seen.dead = false;
        self.thread.enter(ActorState::Running);
        self.look();
        context.run_interval(EVERY, |watcher, _| watcher.look());
    }
}
