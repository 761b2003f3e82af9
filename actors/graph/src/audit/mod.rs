//! The audit trail as actors: one [`AuditWriter`] on each worker thread, one watcher for the writer thread behind them.
//!
//! A request takes an [`AuditSlot`] at its admission, and its end sends the record to the worker's `AuditWriter` in an
//! envelope that comes back unless it was appended: a panic of the actor, its restart or its refusal cost no record, and
//! the slot sees to it that a redelivered one is appended once. A slot that is dropped without a record appends an
//! `aborted` one by itself, past the actor, so that it works while a thread unwinds.
//!
//! The chain, the commits and the retries belong to the writer thread of [`sentinel_store::audit`]. When that thread
//! gives up, its place in the tree goes down, and since it is critical the process is told.

mod actor;
mod error;
mod handle;
mod watcher;

pub use actor::AuditWriter;
pub use error::AdmitError;
pub use handle::{AuditHandle, AuditService, AuditSlot, Recorded};
pub use watcher::AuditWatcher;

#[cfg(test)]
mod tests;
