//! Starts supervised actors on the present thread and puts them into the tree.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context};

use crate::envelope::Inbox;
use crate::handle::{Cell, Handle};
use crate::intensity::Intensity;
use crate::registry::Registry;
use crate::status::{ActorState, NodeKind, NodeSpec};
use crate::supervise::Keeper;

/// How one actor is to be kept.
#[derive(Clone, Debug)]
pub struct ActorSpec {
    pub(crate) name: String,
    pub(crate) cap: usize,
    pub(crate) deadline: Duration,
    pub(crate) intensity: Intensity,
    pub(crate) critical: bool,
}

impl ActorSpec {
    /// Describes an actor by its name below its supervisor, such as `provider/openai`, with a cap of 1,024, a deadline of 250 ms and
    /// the default [`Intensity`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cap: 1_024,
            deadline: Duration::from_millis(250),
            intensity: Intensity::default(),
            critical: false,
        }
    }

    /// Sets the most messages in the queue, and the most asks waiting for an answer, at a time; at least 1.
    #[must_use]
    pub fn cap(mut self, cap: usize) -> Self {
        self.cap = cap.max(1);
        self
    }

    /// Sets how long an ask waits for its answer.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how often the actor may be restarted.
    #[must_use]
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// Marks an actor without which the process is of no use: when it goes down, the registry's escalation callback is called.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.critical = true;
        self
    }
}

/// A node of the tree that starts actors below itself.
///
/// One for each worker thread and one for the root. It is a name and a registry, so it can be cloned and sent; the actors it starts
/// live on the thread where [`Supervisor::supervise`] is called.
#[derive(Clone, Debug)]
pub struct Supervisor {
    registry: Registry,
    name: Arc<str>,
    worker: Option<usize>,
}

impl Supervisor {
    /// Makes the root of the tree. Its children's names have no prefix.
    pub fn root(registry: &Registry) -> Self {
        Self::node(registry, "root", None, None)
    }

    /// Makes the supervisor of worker thread `index`, named `worker-{index}`, below the root.
    pub fn worker(registry: &Registry, index: usize) -> Self {
        Self::node(registry, &format!("worker-{index}"), Some("root"), Some(index))
    }

    fn node(registry: &Registry, name: &str, parent: Option<&str>, worker: Option<usize>) -> Self {
        let status = registry.register(NodeSpec {
            name: Arc::from(name),
            parent: parent.map(Arc::from),
            worker,
            kind: NodeKind::Supervisor,
            critical: false,
            cap: 0,
        });
        status.enter(ActorState::Running);
        Self { registry: registry.clone(), name: Arc::clone(&status.name), worker }
    }

    /// Returns the registry that this supervisor's actors appear in.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Starts an actor on the present thread and keeps it alive until it is stopped or the thread ends.
    ///
    /// `factory` is called for the first incarnation and for each one after a failure, so it must build a fresh value from durable
    /// handles (shared cells, configuration), never hand out one that a failed incarnation has changed. It may panic: that counts as
    /// a failure like any other.
    ///
    /// # Panics
    /// Outside an actix or tokio `LocalSet`, as every spawn of a local task does.
    pub fn supervise<A, F>(&self, spec: ActorSpec, mut factory: F) -> Handle<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnMut() -> A + 'static,
    {
        self.supervise_with(spec, move |_| factory())
    }

    /// Starts an actor whose factory is given the actor's own handle, for tasks that it detaches and that report back to it: the handle
    /// stays good after a restart, which `ctx.address()` does not.
    ///
    /// # Panics
    /// As [`Supervisor::supervise`].
    pub fn supervise_with<A, F>(&self, spec: ActorSpec, mut factory: F) -> Handle<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnMut(&Handle<A>) -> A + 'static,
    {
        let name =
            if self.worker.is_none() { spec.name.clone() } else { format!("{}/{}", self.name, spec.name) };
        let node = NodeSpec::actor(Arc::from(name), Some(Arc::clone(&self.name)), self.worker, &spec);
        let cell = Arc::new(Cell {
            status: self.registry.register(node),
            inbox: Inbox::new(),
            deadline: spec.deadline,
        });
        let own = Handle::new(Arc::clone(&cell));
        let handle = own.clone();
        let factory = move || factory(&own);
        let keeper = Keeper { cell, factory, intensity: spec.intensity, registry: self.registry.clone() };
        actix_rt::spawn(keeper.run());
        handle
    }
}
