//! The thread that owns all writing to the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::tables::Tables;
use super::{Batch, GROUP_WINDOW};
use crate::budget::period::PeriodId;
use crate::error::StoreError;
use crate::health::StoreHealth;
use crate::usage::{RowKey, Totals};

/// Between two attempts while the disk refuses.
const RETRY_EVERY: Duration = Duration::from_millis(500);

type Waiter = oneshot::Sender<Result<(), StoreError>>;

#[derive(Default)]
struct Queue {
    pending: Batch,
    /// The number that the commit of `pending` will have.
    next: u64,
    /// What the commit under way writes, with its number. Kept, and tried again unchanged, until the file says that
    /// this number is in it: so nothing is lost or counted twice when a failed commit reached the disk after all.
    committing: Option<(Arc<Batch>, u64)>,
    waiters: Vec<Waiter>,
    stop: bool,
    degraded_since: Option<Instant>,
    last_error: Option<StoreError>,
    failures: u64,
}

struct Shared {
    path: PathBuf,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// `None` after an I/O error until it could be opened again: redb refuses all work after one.
    tables: RwLock<Option<Tables>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let tables = Tables::open(path)?;
        let sequence = tables.sequence()?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            queue: Mutex::new(Queue { next: sequence.saturating_add(1), ..Queue::default() }),
            wake: Condvar::new(),
            tables: RwLock::new(Some(tables)),
        });
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || run(&shared)
            })
            .map_err(|error| StoreError::file(path, &error))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn add(&self, change: impl FnOnce(&mut Batch)) {
        let mut queue = self.shared.queue.lock();
        let was_empty = queue.pending.is_empty();
        change(&mut queue.pending);
        if was_empty {
            self.shared.wake.notify_one();
        }
    }

    pub(super) fn flush(&self, done: Waiter) {
        self.shared.queue.lock().waiters.push(done);
        self.shared.wake.notify_one();
    }

    pub(super) fn usage(&self, since: u32, until: u32) -> Result<Vec<(RowKey, Totals)>, StoreError> {
        // First what is in memory, then the disk: the numbers tell what has got there in between.
        let (pending, next, committing) = {
            let queue = self.shared.queue.lock();
            (queue.pending.usage.clone(), queue.next, queue.committing.clone())
        };
        let (rows, sequence) = self.with_tables(|tables| tables.usage(since, until))?;
        let mut merged: ahash::HashMap<RowKey, Totals> = rows.into_iter().collect();
        let mut merge = |rows: &ahash::HashMap<RowKey, Totals>| {
            for (key, totals) in rows.iter().filter(|(key, _)| (since..=until).contains(&key.day)) {
                merged.entry(key.clone()).or_default().add(totals);
            }
        };
        if let Some((batch, number)) = committing
            && number > sequence
        {
            merge(&batch.usage);
        }
        if next > sequence {
            merge(&pending);
        }
        Ok(merged.into_iter().collect())
    }

    pub(super) fn rewrite_usage(
        &self,
        change: impl FnMut(&RowKey, &mut Totals) -> bool,
    ) -> Result<u64, StoreError> {
        self.with_tables(|tables| tables.rewrite_usage(change))
    }

    pub(super) fn budgets(&self, current: &[PeriodId]) -> Result<Vec<(Arc<str>, PeriodId, i64)>, StoreError> {
        self.with_tables(|tables| tables.budgets(current))
    }

    fn with_tables<T>(&self, work: impl FnOnce(&Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.shared.tables.read() {
            Some(tables) => work(tables),
            None => Err(StoreError::Unavailable(format!("{} is closed", self.shared.path.display()))),
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        let queue = self.shared.queue.lock();
        StoreHealth {
            backend: "embedded",
            up: self.shared.tables.read().is_some(),
            writable: queue.degraded_since.is_none(),
            degraded_for: queue.degraded_since.map(|since| since.elapsed()),
            last_error: queue.last_error.as_ref().map(ToString::to_string),
            failures: queue.failures,
            fallbacks: 0,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has logged its own panic, if that is how it ended.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    loop {
        let (waiters, stop) = gather(shared);
        let outcome = commit(shared);
        let failed = outcome.is_err();
        settle(shared, &outcome);
        for waiter in waiters {
            let _ = waiter.send(outcome.clone());
        }
        if stop {
            return;
        }
        if failed {
            let mut queue = shared.queue.lock();
            if !queue.stop {
                shared.wake.wait_for(&mut queue, RETRY_EVERY);
            }
        }
    }
}

/// Waits for work and takes a batch of it, unless one is still to be tried again.
fn gather(shared: &Shared) -> (Vec<Waiter>, bool) {
    let mut queue = shared.queue.lock();
    while queue.committing.is_none() && queue.pending.is_empty() && queue.waiters.is_empty() && !queue.stop {
        shared.wake.wait(&mut queue);
    }
    if queue.committing.is_none() {
        if queue.waiters.is_empty() && !queue.stop {
            // A flush or the end cuts it short.
            shared.wake.wait_for(&mut queue, GROUP_WINDOW);
        }
        let batch = std::mem::take(&mut queue.pending);
        if !batch.is_empty() {
            queue.committing = Some((Arc::new(batch), queue.next));
            queue.next = queue.next.saturating_add(1);
        }
    }
    (std::mem::take(&mut queue.waiters), queue.stop)
}

fn commit(shared: &Shared) -> Result<(), StoreError> {
    let Some((batch, number)) = shared.queue.lock().committing.clone() else { return Ok(()) };
    if shared.tables.read().is_none() {
        let tables = Tables::open(&shared.path)?;
        *shared.tables.write() = Some(tables);
    }
    let outcome = match &*shared.tables.read() {
        Some(tables) if tables.sequence()? >= number => Ok(()),
        Some(tables) => tables.commit(&batch, number),
        None => Err(StoreError::Unavailable("the file is closed".to_owned())),
    };
    if outcome.is_err() {
        // After an I/O error redb wants to be opened anew; its repair decides what the failed commit left.
        *shared.tables.write() = None;
    }
    outcome
}

fn settle(shared: &Shared, outcome: &Result<(), StoreError>) {
    let mut queue = shared.queue.lock();
    match outcome {
        Ok(()) => {
            queue.committing = None;
            if queue.degraded_since.take().is_some() {
                tracing::info!(path = %shared.path.display(), "the store file takes writes again");
            }
        }
        Err(error) => {
            if queue.degraded_since.is_none() {
                tracing::error!(%error, path = %shared.path.display(), "the store file cannot be written");
                queue.degraded_since = Some(Instant::now());
            }
            queue.failures += 1;
            queue.last_error = Some(error.clone());
        }
    }
}
