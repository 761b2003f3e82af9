//! Slots and the queue between the workers and the writer thread.
//!
//! A slot is taken when a request is admitted and stands for the place of its record, from then until the record is on
//! disk. All places together are bounded, so an append at the end of a request never meets a full queue, and nobody who
//! appends ever waits. A slot that is dropped without an outcome appends an `aborted` record by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use sentinel_domain::audit::AuditRecord;
use tokio::sync::oneshot;

use super::config::{AuditConfig, AuditHealth, Durability, OnFailure};
use super::error::AuditError;
use super::record::Intent;

/// The answer to one who waits for a row to be on disk.
type Waiter = oneshot::Sender<Result<(), String>>;

/// A record on its way to the writer.
pub(crate) struct Closing {
    pub(crate) ticket: u64,
    pub(crate) record: AuditRecord,
    pub(crate) waiter: Option<Waiter>,
}

/// What the writer takes out of the queue at once.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) opened: Vec<(u64, Arc<Intent>)>,
    pub(crate) closed: Vec<Closing>,
    pub(crate) released: Vec<u64>,
    pub(crate) flushes: Vec<Waiter>,
    pub(crate) stop: bool,
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.opened.is_empty()
            && self.closed.is_empty()
            && self.released.is_empty()
            && self.flushes.is_empty()
    }
}

/// What the writer is waiting for, so that a wake-up is sent only when it is of use.
#[derive(PartialEq, Eq, Default)]
enum Waiting {
    #[default]
    Nothing,
    AnyWork,
    FullBatch,
    /// It waits before another attempt, which only the end of the trail cuts short.
    Stop,
}

#[derive(Default)]
struct Queue {
    work: Work,
    waiting: Waiting,
    /// Somebody waits for a row of the queue.
    hurry: bool,
    next_ticket: u64,
    /// Slots and records that are not on disk yet.
    taken: usize,
    /// Slots without an outcome.
    open: usize,
    health: AuditHealth,
    finished: Vec<oneshot::Sender<()>>,
    ended: bool,
}

impl Queue {
    fn urgent(&self, rows: usize) -> bool {
        self.hurry || self.work.stop || !self.work.flushes.is_empty() || self.work.closed.len() >= rows
    }

    fn idle(&self) -> bool {
        self.work.is_empty() && !self.work.stop
    }
}

/// The queue and the health that workers and writer share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    capacity: usize,
    rows: usize,
    interval: Duration,
    durability: Durability,
    on_failure: OnFailure,
}

impl Shared {
    pub(crate) fn new(config: &AuditConfig) -> Arc<Self> {
        let health = AuditHealth { ok: true, ..AuditHealth::default() };
        Arc::new(Self {
            queue: Mutex::new(Queue { health, next_ticket: 1, ..Queue::default() }),
            wake: Condvar::new(),
            capacity: config.capacity.max(1),
            rows: config.commit_rows.max(1),
            interval: config.commit_interval,
            durability: config.durability,
            on_failure: config.on_failure,
        })
    }

    /// Takes a place for a request's record.
    pub(crate) fn reserve(self: &Arc<Self>, mut intent: Intent) -> Result<Slot, AuditError> {
        intent.bound();
        let mut queue = self.queue.lock();
        let allow = self.on_failure == OnFailure::Allow;
        if queue.work.stop || queue.ended {
            return Err(AuditError::Closed);
        }
        if !queue.health.ok && !allow {
            return Err(AuditError::Unavailable(queue.health.last_error.clone().unwrap_or_default()));
        }
        if queue.taken >= self.capacity || queue.health.dead {
            if !allow {
                return Err(AuditError::Full);
            }
            queue.health.dropped += 1;
            return Ok(Slot {
                ticket: 0,
                intent: Arc::new(intent),
                ended: AtomicBool::new(true),
                shared: self.clone(),
            });
        }
        queue.taken += 1;
        queue.open += 1;
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        let intent = Arc::new(intent);
        queue.work.opened.push((ticket, intent.clone()));
        self.wake_for_work(&mut queue);
        drop(queue);
        Ok(Slot { ticket, intent, ended: AtomicBool::new(false), shared: self.clone() })
    }

    fn append(&self, ticket: u64, record: AuditRecord, mut waiter: Option<Waiter>) {
        let mut queue = self.queue.lock();
        queue.open = queue.open.saturating_sub(1);
        if !queue.health.ok
            && let Some(waiter) = waiter.take()
        {
            // The record is kept for better times, but nobody should wait for them.
            let _ = waiter.send(Err(queue.health.last_error.clone().unwrap_or_default()));
        }
        queue.hurry |= waiter.is_some();
        queue.work.closed.push(Closing { ticket, record, waiter });
        self.wake_for_work(&mut queue);
    }

    fn release(&self, ticket: u64) {
        let mut queue = self.queue.lock();
        queue.open = queue.open.saturating_sub(1);
        queue.taken = queue.taken.saturating_sub(1);
        queue.work.released.push(ticket);
        self.wake_for_work(&mut queue);
    }

    fn wake_for_work(&self, queue: &mut Queue) {
        let of_use = match queue.waiting {
            Waiting::Nothing => false,
            Waiting::AnyWork => true,
            Waiting::FullBatch => queue.urgent(self.rows),
            Waiting::Stop => queue.work.stop,
        };
        if of_use {
            queue.waiting = Waiting::Nothing;
            self.wake.notify_one();
        }
    }

    /// Asks for a commit of everything taken in so far.
    pub(crate) fn flush(&self) -> Receipt {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.queue.lock();
        if queue.ended {
            return Receipt(Some(receiver));
        }
        queue.work.flushes.push(sender);
        self.wake_for_work(&mut queue);
        Receipt(Some(receiver))
    }

    /// Asks the writer to write what it has and to end.
    pub(crate) fn stop(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.queue.lock();
        if !queue.ended {
            queue.finished.push(sender);
            queue.work.stop = true;
            self.wake_for_work(&mut queue);
        }
        receiver
    }

    /// Waits for work and for its company; returns nothing but `stop` if there is none within `patience`.
    pub(crate) fn take(&self, patience: Duration) -> Work {
        let mut queue = self.queue.lock();
        if queue.idle() {
            queue.waiting = Waiting::AnyWork;
            self.wake.wait_while_for(&mut queue, |queue| queue.idle(), patience);
        }
        if !queue.idle() && !queue.urgent(self.rows) {
            queue.waiting = Waiting::FullBatch;
            self.wake.wait_while_for(&mut queue, |queue| !queue.urgent(self.rows), self.interval);
        }
        queue.waiting = Waiting::Nothing;
        let stop = queue.work.stop;
        let mut work = std::mem::take(&mut queue.work);
        if work.closed.len() > self.rows {
            // The rest waits for the next commit, and so do those who wait for everything.
            queue.work.closed = work.closed.split_off(self.rows);
            queue.work.flushes = std::mem::take(&mut work.flushes);
        } else {
            queue.hurry = false;
        }
        queue.work.stop = stop;
        work.stop = stop;
        work
    }

    /// Waits before another attempt, unless the trail is being closed.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let mut queue = self.queue.lock();
        queue.waiting = Waiting::Stop;
        self.wake.wait_while_for(&mut queue, |queue| !queue.work.stop, time);
        queue.waiting = Waiting::Nothing;
        queue.work.stop
    }

    pub(crate) fn health(&self) -> AuditHealth {
        let queue = self.queue.lock();
        let mut health = queue.health.clone();
        health.open = queue.open;
        health.backlog = queue.taken.saturating_sub(queue.open);
        health
    }

    /// Lets the writer report; `freed` places become free.
    pub(crate) fn report(&self, freed: usize, change: impl FnOnce(&mut AuditHealth)) {
        let mut queue = self.queue.lock();
        queue.taken = queue.taken.saturating_sub(freed);
        change(&mut queue.health);
    }

    /// Notes a failure and tells everybody who waits for a row of the queue. Returns whether it is news.
    pub(crate) fn fail(&self, error: &str) -> bool {
        let mut queue = self.queue.lock();
        queue.hurry = false;
        for waiter in queue.work.closed.iter_mut().filter_map(|closing| closing.waiter.take()) {
            let _ = waiter.send(Err(error.to_owned()));
        }
        queue.health.failures += 1;
        queue.health.last_error = Some(error.to_owned());
        std::mem::replace(&mut queue.health.ok, false)
    }

    /// Ends the queue: whoever still waits is told by the end of their channel.
    pub(crate) fn end(&self) {
        let mut queue = self.queue.lock();
        queue.ended = true;
        queue.work = Work { stop: true, ..Work::default() };
        queue.finished.clear();
    }
}

/// The place of one request's record.
pub struct Slot {
    ticket: u64,
    intent: Arc<Intent>,
    ended: AtomicBool,
    shared: Arc<Shared>,
}

impl Slot {
    /// Appends the request's record. The first append counts; one more, such as a redelivery after a panic, does nothing.
    pub fn append(&self, record: AuditRecord) -> Receipt {
        if self.ended.swap(true, Ordering::AcqRel) {
            return Receipt(None);
        }
        let (waiter, receipt) = match self.shared.durability {
            Durability::Batched => (None, Receipt(None)),
            Durability::Strict => {
                let (sender, receiver) = oneshot::channel();
                (Some(sender), Receipt(Some(receiver)))
            }
        };
        self.shared.append(self.ticket, record, waiter);
        receipt
    }

    /// Gives the place back without a record.
    pub fn release(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.shared.release(self.ticket);
        }
    }

    /// Returns what the slot was taken for.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        &self.intent
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.shared.append(self.ticket, self.intent.unfinished("aborted"), None);
        }
    }
}

/// Resolves when a record counts as written: at once when `batched`, once it is on disk when `strict`.
#[must_use = "with strict durability the answer waits for it"]
pub struct Receipt(Option<oneshot::Receiver<Result<(), String>>>);

impl Receipt {
    /// Waits for it. The record is kept and tried again even if this fails.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] after a failed attempt to write, [`AuditError::Closed`] if the writer has ended.
    pub async fn written(self) -> Result<(), AuditError> {
        match self.0 {
            None => Ok(()),
            Some(receiver) => match receiver.await {
                Ok(result) => result.map_err(AuditError::Unavailable),
                Err(_) => Err(AuditError::Closed),
            },
        }
    }
}
