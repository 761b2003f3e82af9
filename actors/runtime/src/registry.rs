//! The tree of all supervised actors, over all threads, as an operator sees it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use serde::Serialize;

use crate::clock::Clock;
use crate::status::{ActorState, Failure, NodeKind, NodeSpec, Status, command};
use crate::stop::{StopOutcome, stop};
use crate::tracked::TrackedThread;

/// One node of the tree at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Full name, such as `worker-0/provider/openai`.
    pub name: String,
    /// Full name of the supervisor above; absent for the root.
    pub parent: Option<String>,
    /// Index of the worker thread; absent for nodes of the whole process.
    pub worker: Option<usize>,
    /// What kind of node this is.
    pub kind: NodeKind,
    /// Where the node stands in its life.
    pub state: ActorState,
    /// Says whether going down ends the process.
    pub critical: bool,
    /// Messages in the queue.
    #[serde(rename = "mailbox_depth")]
    pub depth: usize,
    /// Asks that wait for their answer.
    pub in_flight: usize,
    /// Most messages in the queue at a time; 0 for a supervisor.
    pub cap: usize,
    /// Messages given to a handler that returned.
    pub handled: u64,
    /// Messages refused.
    pub refused: u64,
    /// Times the actor was built anew.
    pub restarts: u64,
    /// Times the actor came back from being down.
    pub generation: u64,
    /// What ended the last incarnation that failed.
    pub last_failure: Option<Failure>,
    /// Milliseconds since the present incarnation began to run.
    pub uptime_ms: u64,
}

/// A critical actor went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Full name of the actor.
    pub actor: String,
    /// Its last failure.
    pub failure: Option<Failure>,
}

/// A fault that a drill can inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Panic with the next message in hand.
    Handler,
    /// Panic inside a future of the actor's context.
    Future,
    /// Panic while the actor is being started; restarts it for that purpose.
    Started,
}

/// Why a fault was not injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// The registry was built without fault injection.
    #[error("fault injection is not enabled")]
    Disabled,
    /// No running actor has this name.
    #[error("no such actor")]
    NotFound,
}

type OnEscalation = Box<dyn Fn(&Escalation) + Send + Sync>;

struct Shared {
    clock: Clock,
    chaos: bool,
    nodes: RwLock<BTreeMap<Arc<str>, Arc<Status>>>,
    on_escalation: OnceLock<OnEscalation>,
}

/// The table of all nodes; cheap to clone and shared by every thread.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("nodes", &self.shared.nodes.read().len()).finish_non_exhaustive()
    }
}

impl Registry {
    /// Makes an empty registry that refuses to inject faults.
    pub fn new(clock: Clock) -> Self {
        Self::build(clock, false)
    }

    /// Makes an empty registry whose actors can be made to panic by name, for tests and drills.
    pub fn with_chaos(clock: Clock) -> Self {
        Self::build(clock, true)
    }

    fn build(clock: Clock, chaos: bool) -> Self {
        let shared =
            Shared { clock, chaos, nodes: RwLock::new(BTreeMap::new()), on_escalation: OnceLock::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the clock that every node uses.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Sets what happens when a critical actor goes down; called on that actor's thread. Only the first call counts, and the return
    /// value says whether this was it.
    pub fn on_escalation(&self, callback: impl Fn(&Escalation) + Send + Sync + 'static) -> bool {
        self.shared.on_escalation.set(Box::new(callback)).is_ok()
    }

    pub(crate) fn escalate(&self, escalation: &Escalation) {
        if let Some(callback) = self.shared.on_escalation.get()
            && crate::supervise::contain(|| callback(escalation)).is_err()
        {
            tracing::error!(actor = escalation.actor, "escalation callback panicked");
        }
    }

    /// Adds a node. A stopped node of the same name makes room; a living one keeps its name and the new one gets `#2`, `#3`…, so that
    /// a set of actors started twice by mistake shows.
    pub(crate) fn register(&self, mut spec: NodeSpec) -> Arc<Status> {
        let mut nodes = self.shared.nodes.write();
        let wanted = Arc::clone(&spec.name);
        let mut copy = 1_usize;
        while nodes.get(&spec.name).is_some_and(|node| node.state() != ActorState::Stopped) {
            copy += 1;
            spec.name = Arc::from(format!("{wanted}#{copy}"));
        }
        let status = Arc::new(Status::new(spec, self.shared.clock.clone()));
        nodes.insert(Arc::clone(&status.name), Arc::clone(&status));
        status
    }

    /// Puts a plain thread into the tree, which then reports about itself.
    pub fn track_thread(&self, name: &str, parent: &str, cap: usize, critical: bool) -> TrackedThread {
        let status = self.register(NodeSpec {
            name: Arc::from(name),
            parent: Some(Arc::from(parent)),
            worker: None,
            kind: NodeKind::Thread,
            critical,
            cap,
        });
        TrackedThread::new(status, self.clone())
    }

    /// Returns the whole tree, sorted by name. A supervisor whose actors have all stopped is shown as stopped.
    pub fn snapshot(&self) -> Vec<Row> {
        let mut rows: Vec<_> = self.shared.nodes.read().values().map(|status| row(status)).collect();
        let living: HashSet<_> = rows
            .iter()
            .filter(|row| row.state != ActorState::Stopped)
            .filter_map(|row| row.parent.clone())
            .collect();
        let parents: HashSet<_> = rows.iter().filter_map(|row| row.parent.clone()).collect();
        for row in &mut rows {
            let childless = row.kind == NodeKind::Supervisor && parents.contains(&row.name);
            if childless && !living.contains(&row.name) {
                row.state = ActorState::Stopped;
            }
        }
        rows
    }

    /// Returns one node.
    pub fn get(&self, name: &str) -> Option<Row> {
        self.shared.nodes.read().get(name).map(|status| row(status))
    }

    /// Says whether every node runs or was stopped on purpose, which is what readiness and a drill's end look at.
    pub fn is_green(&self) -> bool {
        self.shared.nodes.read().values().all(|status| status.is_green())
    }

    /// Builds an actor anew, from any thread. Returns whether a living actor of this name was found.
    pub fn restart(&self, name: &str) -> bool {
        self.command(name, command::RESTART)
    }

    /// Makes an actor panic.
    ///
    /// # Errors
    /// [`InjectError::Disabled`] unless built with [`Registry::with_chaos`]; [`InjectError::NotFound`] when no living actor has this name.
    pub fn inject_panic(&self, name: &str, fault: Fault) -> Result<(), InjectError> {
        if !self.shared.chaos {
            return Err(InjectError::Disabled);
        }
        let bits = match fault {
            Fault::Handler => command::PANIC_HANDLER,
            Fault::Future => command::PANIC_FUTURE,
            Fault::Started => command::PANIC_STARTED | command::RESTART,
        };
        if self.command(name, bits) { Ok(()) } else { Err(InjectError::NotFound) }
    }

    fn command(&self, name: &str, bits: u8) -> bool {
        let found = self.shared.nodes.read().get(name).cloned();
        let living = |status: &Arc<Status>| {
            status.kind == NodeKind::Actor
                && !matches!(status.state(), ActorState::Stopping | ActorState::Stopped)
        };
        found.filter(living).is_some_and(|status| {
            status.command(bits);
            true
        })
    }

    /// Stops every actor below `ancestor` (such as `worker-0`; empty: all), at the same time, each within `deadline`. Returns those that
    /// did not drain, with how they ended.
    pub async fn stop_all(&self, ancestor: &str, deadline: Duration) -> Vec<(String, StopOutcome)> {
        let actors: Vec<_> = {
            let nodes = self.shared.nodes.read();
            let chosen = |status: &&Arc<Status>| {
                status.kind == NodeKind::Actor
                    && is_below(&status.name, ancestor)
                    && status.state() != ActorState::Stopped
            };
            nodes.values().filter(chosen).cloned().collect()
        };
        let stops = actors
            .iter()
            .map(|status| async move { (status.name.to_string(), stop(status, deadline).await) });
        let outcomes = futures_util::future::join_all(stops).await;
        outcomes.into_iter().filter(|(_, outcome)| *outcome != StopOutcome::Drained).collect()
    }

    /// Removes the rows of stopped nodes, as after a reload that took providers away.
    pub fn forget_stopped(&self) {
        self.shared.nodes.write().retain(|_, status| status.state() != ActorState::Stopped);
    }
}

fn is_below(name: &str, ancestor: &str) -> bool {
    ancestor.is_empty()
        || name.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn row(status: &Status) -> Row {
    Row {
        name: status.name.to_string(),
        parent: status.parent.as_deref().map(str::to_owned),
        worker: status.worker,
        kind: status.kind,
        state: status.state(),
        critical: status.critical,
        depth: status.depth.load(Ordering::Relaxed),
        in_flight: status.in_flight.load(Ordering::Relaxed),
        cap: status.cap,
        handled: status.handled.load(Ordering::Relaxed),
        refused: status.refused.load(Ordering::Relaxed),
        restarts: status.restarts.load(Ordering::Relaxed),
        generation: status.generation.load(Ordering::Relaxed),
        last_failure: status.last_failure.lock().clone(),
        uptime_ms: status.uptime_ms(),
    }
}
