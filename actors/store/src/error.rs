//! What can go wrong with a store, in the few kinds that callers treat differently.

use std::path::PathBuf;

/// Says why a store could not do what it was asked.
///
/// The texts never hold a password: addresses are scrubbed before they get here.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, does not answer in time, or its breaker is open.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The store answers but refuses: full, read-only, not permitted.
    #[error("store refused the operation: {0}")]
    Refused(String),
    /// A stored value has the wrong type or cannot be read.
    #[error("stored value is damaged: {0}")]
    Damaged(String),
    /// Another process holds the embedded store.
    #[error("{path} is in use by {holder}; stop that process or choose another store.path")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as it says.
        holder: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// The configuration of the store is wrong.
    #[error("{0}")]
    Config(String),
    /// There is no such object.
    #[error("no such {0}")]
    NotFound(&'static str),
}

impl StoreError {
    pub(crate) fn file(path: impl Into<PathBuf>, error: &dyn std::fmt::Display) -> Self {
        Self::File { path: path.into(), message: error.to_string() }
    }
}
