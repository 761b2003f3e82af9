//! Messages that must not be lost while the process lives.
//!
//! A [`Durable`] that is dropped without an acknowledgement goes back to its queue, wherever the drop happens: in a handler that
//! panics, with the state of a failed actor, in a refused or closed queue. The consumer drains the queue in `started` and on its timer.
//! The number of messages is bounded where they are admitted (a [`Slot`] each), never by dropping one later. What only lives in memory
//! is gone with the process: durability against that begins where the consumer commits, before it acknowledges.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A message that nobody could handle.
#[derive(Debug)]
pub struct DeadLetter<'a, T> {
    /// Number of the message within its queue.
    pub id: u64,
    /// Times its consumer began to handle it.
    pub attempts: u32,
    /// The message.
    pub value: &'a T,
}

type OnDeadLetter<T> = Box<dyn Fn(DeadLetter<'_, T>) + Send + Sync>;

struct Shared<T> {
    capacity: usize,
    max_attempts: u32,
    outstanding: AtomicUsize,
    next_id: AtomicU64,
    redelivered: AtomicU64,
    dead: AtomicU64,
    returned: Mutex<VecDeque<Returned<T>>>,
    arrived: Notify,
    on_dead_letter: OnDeadLetter<T>,
}

struct Returned<T> {
    entry: Arc<Entry<T>>,
    attempts: u32,
}

struct Entry<T> {
    id: u64,
    value: T,
}

/// Admits, counts and takes back the messages of one consumer; cheap to clone and shared by every thread.
pub struct DurableQueue<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for DurableQueue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for DurableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableQueue")
            .field("outstanding", &self.outstanding())
            .field("dead", &self.dead_letters())
            .finish_non_exhaustive()
    }
}

impl<T> DurableQueue<T> {
    /// Makes a queue that admits `capacity` messages at a time.
    ///
    /// A message whose handling was begun `max_attempts` times (at least 1; see [`Durable::attempt`]) and never acknowledged is given
    /// to `on_dead_letter` and counted, so that one poisonous message can't keep its consumer down for ever. The callback may run while
    /// a thread unwinds.
    pub fn new(
        capacity: usize,
        max_attempts: u32,
        on_dead_letter: impl Fn(DeadLetter<'_, T>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                capacity,
                max_attempts: max_attempts.max(1),
                outstanding: AtomicUsize::new(0),
                next_id: AtomicU64::new(0),
                redelivered: AtomicU64::new(0),
                dead: AtomicU64::new(0),
                returned: Mutex::new(VecDeque::new()),
                arrived: Notify::new(),
                on_dead_letter: Box::new(on_dead_letter),
            }),
        }
    }

    /// Reserves room for one message, or returns `None` when as many as the capacity allows are under way.
    ///
    /// Reserve at admission, before the work whose record the message will be: then finishing the work can't meet a full queue.
    pub fn reserve(&self) -> Option<Slot<T>> {
        let outstanding = &self.shared.outstanding;
        if outstanding.fetch_add(1, Ordering::AcqRel) >= self.shared.capacity {
            outstanding.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Slot { shared: Arc::clone(&self.shared), filled: false })
    }

    /// Takes up to `limit` messages that came back, oldest first.
    ///
    /// Handle those with [`Durable::attempts`] above zero one at a time: in a batch, one poisonous message would take its neighbours
    /// along to the dead letters.
    pub fn drain(&self, limit: usize) -> Vec<Durable<T>> {
        let mut returned = self.shared.returned.lock();
        let count = limit.min(returned.len());
        let drained: Vec<_> = returned.drain(..count).collect();
        drop(returned);
        self.shared.redelivered.fetch_add(drained.len() as u64, Ordering::Relaxed);
        let wrap = |back: Returned<T>| Durable {
            entry: back.entry,
            attempts: back.attempts,
            shared: Arc::clone(&self.shared),
            acknowledged: false,
        };
        drained.into_iter().map(wrap).collect()
    }

    /// Waits until at least one message has come back. Several waiters share the wake-ups, so use one consumer for a queue.
    pub async fn returned(&self) {
        loop {
            let arrived = self.shared.arrived.notified();
            if !self.shared.returned.lock().is_empty() {
                return;
            }
            arrived.await;
        }
    }

    /// Returns how many slots are reserved and messages unacknowledged.
    pub fn outstanding(&self) -> usize {
        self.shared.outstanding.load(Ordering::Acquire)
    }

    /// Returns how many messages wait to be drained again.
    pub fn waiting(&self) -> usize {
        self.shared.returned.lock().len()
    }

    /// Returns how many messages were drained again so far.
    pub fn redelivered(&self) -> u64 {
        self.shared.redelivered.load(Ordering::Relaxed)
    }

    /// Returns how many messages were given up so far.
    pub fn dead_letters(&self) -> u64 {
        self.shared.dead.load(Ordering::Relaxed)
    }
}

/// Room for one message. Dropping it gives the room back.
#[must_use = "a slot that is dropped gives its room back"]
pub struct Slot<T> {
    shared: Arc<Shared<T>>,
    filled: bool,
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl<T> Slot<T> {
    /// Fills the slot. From here on the value is either acknowledged or a dead letter.
    pub fn fill(mut self, value: T) -> Durable<T> {
        // The room passes on to the message.
        self.filled = true;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        Durable {
            entry: Arc::new(Entry { id, value }),
            attempts: 0,
            shared: Arc::clone(&self.shared),
            acknowledged: false,
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if !self.filled {
            self.shared.outstanding.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A message that comes back unless it is acknowledged. Reads like the value inside.
#[must_use = "a durable message that is dropped comes back"]
pub struct Durable<T> {
    entry: Arc<Entry<T>>,
    attempts: u32,
    shared: Arc<Shared<T>>,
    acknowledged: bool,
}

impl<T> Durable<T> {
    /// Returns the message's number within its queue.
    pub fn id(&self) -> u64 {
        self.entry.id
    }

    /// Returns how often handling the message was begun.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Says that handling begins: if it fails, this message may be the reason. Call it right before the step that could fail.
    ///
    /// A message for which this is never called is redelivered without end. That is the right default: what merely sat in a failed
    /// actor's queue or state is not suspect, and only the consumer knows which one it was working on.
    pub fn attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Says that the message has had its full effect; it never comes back.
    pub fn ack(mut self) {
        self.acknowledged = true;
    }
}

impl<T> Deref for Durable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.entry.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Durable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable")
            .field("id", &self.entry.id)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Durable<T> {
    fn drop(&mut self) {
        if self.acknowledged {
            self.shared.outstanding.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let attempts = self.attempts;
        if attempts >= self.shared.max_attempts {
            self.shared.dead.fetch_add(1, Ordering::Relaxed);
            self.shared.outstanding.fetch_sub(1, Ordering::AcqRel);
            let letter = DeadLetter { id: self.entry.id, attempts, value: &self.entry.value };
            // A second panic that leaves a `Drop` during unwinding would abort the process.
            if crate::supervise::contain(|| (self.shared.on_dead_letter)(letter)).is_err() {
                tracing::error!(id = self.entry.id, "dead-letter callback panicked");
            }
            return;
        }
        self.shared.returned.lock().push_back(Returned { entry: Arc::clone(&self.entry), attempts });
        self.shared.arrived.notify_one();
    }
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
