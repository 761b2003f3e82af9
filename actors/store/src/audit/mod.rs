//! The audit trail: a hash chain of one record a request.

pub mod canonical;
pub mod chain;
mod error;
pub use error::AuditError;
