//! The doors to the trail: for the process, for a worker, for one request.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sentinel_domain::audit::AuditRecord;
use sentinel_runtime::{
    ActorSpec, ActorState, DurableQueue, Handle, Registry, StopOutcome, Supervisor, TrackedThread,
};
use sentinel_store::audit::{AuditError, AuditHealth, AuditReader, AuditTrail, Intent, Receipt, Slot};
use tokio::sync::oneshot;

use super::actor::{Append, AuditWriter, Content, Flush, Observe, Parcel};
use super::error::AdmitError;
use super::watcher::AuditWatcher;

/// Most records of one worker that are open or on their way; the trail's own bound is the process's.
const CAPACITY: usize = 65_536;
/// Handlings of one record after which it is a dead letter.
const ATTEMPTS: u32 = 5;

/// The process's audit trail; cheap to clone and sent to every worker.
#[derive(Clone)]
pub struct AuditService {
    trail: AuditTrail,
    thread: Arc<TrackedThread>,
}

impl AuditService {
    /// Puts an opened trail into the tree.
    #[must_use]
    pub fn new(trail: AuditTrail, registry: &Registry) -> Self {
        let thread = registry.track_thread("audit-thread", "root", CAPACITY, true);
        Self { trail, thread: Arc::new(thread) }
    }

    /// Starts the watcher, once, on the main thread.
    pub fn watch(&self, root: &Supervisor) -> Handle<AuditWatcher> {
        let Self { trail, thread } = self.clone();
        root.supervise(ActorSpec::new("audit-watcher").critical(), move || {
            AuditWatcher::new(trail.clone(), thread.clone())
        })
    }

    /// Starts the [`AuditWriter`] of a worker on the present thread.
    #[must_use]
    pub fn worker(&self, supervisor: &Supervisor) -> AuditHandle {
        let queue =
            DurableQueue::new(CAPACITY, ATTEMPTS, |letter: sentinel_runtime::DeadLetter<'_, Parcel>| {
                // The slot of a dead letter appends an `aborted` record when it is dropped.
                tracing::error!(request_id = letter.value.slot.intent().request_id, "audit record given up");
            });
        let (trail, own) = (self.trail.clone(), queue.clone());
        let spec = ActorSpec::new("audit-writer").cap(CAPACITY).critical();
        let actor = supervisor.supervise(spec, move || AuditWriter::new(trail.clone(), own.clone()));
        AuditHandle { actor, queue, trail: self.trail.clone() }
    }

    /// Returns the trail's state.
    #[must_use]
    pub fn health(&self) -> AuditHealth {
        self.trail.health()
    }

    /// Returns what answers questions; its calls block and belong on a thread for blocking work.
    #[must_use]
    pub fn reader(&self) -> AuditReader {
        self.trail.reader()
    }

    /// Writes what has been appended and ends the writer thread. Call it after the workers have stopped.
    pub async fn close(&self) {
        self.trail.close().await;
        self.thread.enter(ActorState::Stopped);
    }
}

/// Reaches this worker's [`AuditWriter`].
#[derive(Clone)]
pub struct AuditHandle {
    actor: Handle<AuditWriter>,
    queue: DurableQueue<Parcel>,
    trail: AuditTrail,
}

impl AuditHandle {
    /// Takes the place of a request's record, at its admission. Never waits.
    ///
    /// # Errors
    /// [`AdmitError`] if the request must be refused, because its record might have no place.
    pub fn admit(&self, intent: Intent) -> Result<AuditSlot, AdmitError> {
        if matches!(self.actor.state(), ActorState::Down | ActorState::Stopped) {
            return Err(AdmitError::Down);
        }
        let room = self.queue.reserve().ok_or(AdmitError::Backlog)?;
        let slot = self.trail.reserve(intent)?;
        Ok(AuditSlot { slot, room, actor: self.actor.clone() })
    }

    /// Waits until everything that this worker appended is on disk.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] if it cannot be written now, or the actor cannot be asked.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let asked = self.actor.ask(Flush).await;
        asked.map_err(|error| AuditError::Unavailable(error.to_string()))?.written().await
    }

    /// Returns the trail's state, also if the actor cannot be asked.
    pub async fn observe(&self) -> AuditHealth {
        self.actor.ask(Observe).await.unwrap_or_else(|_| self.trail.health())
    }

    /// Returns what answers questions; its calls block and belong on a thread for blocking work.
    #[must_use]
    pub fn reader(&self) -> AuditReader {
        self.trail.reader()
    }

    /// Ends the actor after the records that are queued.
    pub async fn stop(&self, deadline: Duration) -> StopOutcome {
        self.actor.stop(deadline).await
    }
}

/// The place of one request's record. Dropped without a record, it appends an `aborted` one.
#[must_use = "a slot that is dropped records the request as aborted"]
pub struct AuditSlot {
    slot: Slot,
    room: sentinel_runtime::Slot<Parcel>,
    actor: Handle<AuditWriter>,
}

impl AuditSlot {
    /// Sends the request's record on its way. With strict durability the answer waits for what this returns.
    pub fn finish(self, record: AuditRecord) -> Recorded {
        let (waiter, receipt) = oneshot::channel();
        let content = Mutex::new(Some(Content { record, waiter }));
        let parcel = self.room.fill(Parcel { slot: self.slot, content });
        // A refused record is back in the queue and is taken up by the next incarnation.
        let _ = self.actor.tell(Append(parcel));
        Recorded(receipt)
    }

    /// Gives the place back without a record, for what turned out to be no inference request.
    pub fn release(self) {
        self.slot.release();
    }

    /// Returns what the slot was taken for.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        self.slot.intent()
    }
}

/// Resolves when a record counts as written under the trail's durability.
#[must_use = "with strict durability the answer waits for it"]
pub struct Recorded(oneshot::Receiver<Receipt>);

impl Recorded {
    /// Waits for it. The record is kept and tried again even if this fails.
    ///
    /// # Errors
    /// As [`Receipt::written`].
    pub async fn written(self) -> Result<(), AuditError> {
        self.0.await.map_err(|_| AuditError::Closed)?.written().await
    }
}
