//! The audit trail: a hash chain of one record for every request, whatever ended it.
//!
//! A request takes a [`Slot`] when it is admitted ([`AuditTrail::reserve`]) and appends its record to it at its end. One
//! writer thread gives the records their places in the chain and commits them in groups. Readers ask beside it.
//!
//! **A killed process.** Requests that outlive a commit window leave an intent in the store with the next commit, and
//! the next start writes a record with `error_code` `process_ended` for each that had no outcome. With `batched`
//! durability, outcomes and admissions of the last window (20 ms and the commit itself) are lost; if such a request had
//! an intent, it gets that record. With `strict`, nothing whose [`Receipt`] resolved is lost. A start after anything
//! but a clean stop leaves a `recovered` row that says what was found.
//!
//! **Identity of a record.** Clients choose request ids and may use one twice, so ids never merge records. What makes an
//! append count only once is its slot: the second append to the same slot does nothing.

mod batch;
pub mod canonical;
pub mod chain;
mod config;
mod embedded;
mod error;
mod head_file;
mod lock;
mod query;
mod record;
mod slots;
mod stream;
mod trail;
mod writer;

pub use config::{AuditConfig, AuditHealth, Durability, OnFailure, WallClock};
pub use error::AuditError;
pub use query::{
    AuditStats, Cursor, DEFAULT_LIMIT, MAX_LIMIT, Page, Query, StoredRow, VerifyRange, VerifyReport,
};
pub use record::{Intent, MAX_TEXT, format_ms, parse_ms};
pub use slots::{Receipt, Slot};
pub use stream::StreamSettings;
pub use trail::{AuditReader, AuditTrail, Export};
