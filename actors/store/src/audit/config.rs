//! How a trail is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Returns the wall clock in milliseconds since 1970. It dates rows and decides expiry; the order never depends on it.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// When an appended record counts as written for the one who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// At once; a killed process loses at most what it took in during one commit window.
    #[default]
    Batched,
    /// When it is on disk.
    Strict,
}

/// What happens to new requests while the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// They are refused.
    #[default]
    Deny,
    /// They go on; records that no longer fit the buffer are counted and lost.
    Allow,
}

/// How a trail is kept.
#[derive(Clone)]
pub struct AuditConfig {
    /// Directory of the trail's own files.
    pub directory: PathBuf,
    /// What a waiting caller waits for.
    pub durability: Durability,
    /// What happens while the store fails.
    pub on_failure: OnFailure,
    /// How long rows are kept.
    pub retention: Duration,
    /// Most records that are open or not yet on disk.
    pub capacity: usize,
    /// Longest content of one record, characters.
    pub content_limit: usize,
    /// Longest time that rows wait for company before a commit.
    pub commit_interval: Duration,
    /// Most rows of one commit.
    pub commit_rows: usize,
    /// The wall clock.
    pub wall: WallClock,
}

impl AuditConfig {
    /// Returns the defaults for a trail in `directory`.
    #[must_use]
    pub fn new(directory: PathBuf, wall: WallClock) -> Self {
        Self {
            directory,
            durability: Durability::default(),
            on_failure: OnFailure::default(),
            retention: Duration::from_secs(24 * 3600),
            capacity: 65_536,
            content_limit: 16_384,
            commit_interval: Duration::from_millis(20),
            commit_rows: 1000,
            wall,
        }
    }
}

/// The trail's state for readiness, metrics and people.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct AuditHealth {
    /// Whether appended records reach the store.
    pub ok: bool,
    /// Whether the writer has given up and only a new one can help.
    pub dead: bool,
    /// Records that are appended and not yet on disk.
    pub backlog: usize,
    /// Requests that hold a slot and have no outcome yet.
    pub open: usize,
    /// The last failure, kept after it is over.
    pub last_error: Option<String>,
    /// The last sequence on disk.
    pub head_sequence: u64,
    /// The last row's hash, hex.
    pub head_hash: String,
    /// Records of requests in the store.
    pub entries: u64,
    /// Rows that the trail wrote about itself.
    pub events: u64,
    /// Requests that went on without a record, because failures are allowed.
    pub dropped: u64,
    /// Commits made.
    pub commits: u64,
    /// Commits that failed.
    pub failures: u64,
}
