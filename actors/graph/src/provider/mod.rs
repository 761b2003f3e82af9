//! Calls the providers: connections, credentials, waits, and the life of every stream.
//!
//! `exchange` and `pump` are the two halves of a call, before and after the head of the answer; `actor` is the
//! supervised owner of the worker's HTTP client that starts them.

mod actor;
mod call;
mod connect;
mod exchange;
mod failure;
mod keys;
mod pump;
mod shared;

#[cfg(test)]
mod tests;

pub use actor::{Provider, ProviderHandle};
pub use call::{AnswerStream, CallError, Reply, StreamEvent, UpstreamCall};
pub use failure::CallFailure;
pub use shared::{DEFAULT_ANSWER_LIMIT, ProviderError, SharedProvider};
