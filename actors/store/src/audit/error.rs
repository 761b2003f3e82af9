//! What can go wrong with the trail, as one enum for all its stores.

use std::path::PathBuf;

/// Says why the trail could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Another process writes this trail.
    #[error("the audit directory {path} is in use by process {pid}", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The holder's process id, or `unknown`.
        pid: String,
    },
    /// Every place for an open or unwritten record is taken.
    #[error("the audit buffer is full")]
    Full,
    /// The store fails, and records that cannot be written are not accepted.
    #[error("the audit store is unavailable: {0}")]
    Unavailable(String),
    /// The trail has been closed.
    #[error("the audit trail is closed")]
    Closed,
    /// A file operation failed.
    #[error("{action} {path}: {source}", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The embedded database failed.
    #[error("audit database: {0}")]
    Database(#[from] redb::Error),
    /// Redis failed or did not answer in time.
    #[error("audit stream: {0}")]
    Redis(#[from] redis::RedisError),
    /// Somebody else appended to this chain.
    #[error("another writer appended to the chain {0}")]
    Conflict(String),
    /// The stored bytes are not what this program writes.
    #[error("unreadable audit data: {0}")]
    Corrupt(String),
    /// The directory or the database was removed or exchanged while it was open.
    #[error("the audit store {path} was deleted or exchanged while in use", path = _0.display())]
    Deleted(PathBuf),
    /// A cursor that this program did not make.
    #[error("invalid cursor")]
    BadCursor,
}

impl AuditError {
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}

/// Turns the database's several error types into the one that carries them all.
macro_rules! from_database {
    ($($error:ty),*) => {$(
        impl From<$error> for AuditError {
            fn from(error: $error) -> Self {
                Self::Database(error.into())
            }
        }
    )*};
}
from_database!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);
