//! The embedded store: one redb file for what must survive a restart, one writer thread that commits in groups.
//!
//! Amounts are gathered in memory by row and written as sums, so a burst of requests costs one small commit. What has
//! been gathered but not committed is lost only if the process is killed within [`GROUP_WINDOW`]; when the disk
//! is full it stays in memory, merged by row and therefore bounded, until the disk takes it.

mod lock;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub use lock::DirLock;

use self::writer::Writer;
use crate::budget::period::PeriodId;
use crate::error::StoreError;
use crate::health::StoreHealth;
use crate::usage::{RowKey, Totals};

/// How long amounts are gathered before a commit; also the most that a killed process loses.
pub const GROUP_WINDOW: Duration = Duration::from_millis(50);

/// Amounts gathered but not committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) usage: ahash::HashMap<RowKey, Totals>,
    pub(crate) budgets: ahash::HashMap<(Arc<str>, PeriodId), i64>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.usage.is_empty() && self.budgets.is_empty()
    }
}

/// The open file. Dropping it writes what is left and closes it.
pub struct StateFile {
    writer: Writer,
    path: PathBuf,
    _lock: DirLock,
}

impl StateFile {
    /// Opens or creates `state.redb` in `directory`, which is created if need be and locked for this process.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the holder if another process has it; [`StoreError::File`] if it cannot be
    /// created, read or written; [`StoreError::Damaged`] if it is no such file.
    pub fn open(directory: &Path) -> Result<Arc<Self>, StoreError> {
        let lock = DirLock::acquire(directory)?;
        let path = directory.join("state.redb");
        let writer = Writer::start(&path)?;
        Ok(Arc::new(Self { writer, path, _lock: lock }))
    }

    /// Returns the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds amounts to what the next commit writes. Never waits for the disk.
    pub(crate) fn add(&self, change: impl FnOnce(&mut Batch)) {
        self.writer.add(change);
    }

    /// Waits until everything added so far is on disk.
    ///
    /// # Errors
    /// The failure of the commit; the amounts are kept and tried again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let (done, wait) = oneshot::channel();
        self.writer.flush(done);
        wait.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the writer thread has ended".to_owned())))
    }

    /// Returns the rows from day `since` to day `until`, both included, as of now. Blocks on the disk.
    pub(crate) fn usage(&self, since: u32, until: u32) -> Result<Vec<(RowKey, Totals)>, StoreError> {
        self.writer.usage(since, until)
    }

    /// Replaces the cost of stored rows; see [`crate::usage::UsageStore::reprice`]. Blocks on the disk.
    pub(crate) fn rewrite_usage(
        &self,
        change: impl FnMut(&RowKey, &mut Totals) -> bool,
    ) -> Result<u64, StoreError> {
        self.writer.rewrite_usage(change)
    }

    /// Returns the amounts spent in `current` periods, and forgets those of all others. Blocks on the disk.
    pub(crate) fn budgets(&self, current: &[PeriodId]) -> Result<Vec<(Arc<str>, PeriodId, i64)>, StoreError> {
        self.writer.budgets(current)
    }

    /// Returns the state for health pages and metrics.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        self.writer.health()
    }
}
