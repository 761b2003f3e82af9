//! A chat request as the client sent it: checked once, kept as bytes.
//!
//! The client's own bytes are the request. Beside them stand the tape and the few fields that routing, limits and
//! pricing need; everything else, unknown fields included, is read or passed on from where it stands.

mod canonical;
mod messages;
mod parse;
#[cfg(test)]
mod tests;
mod texts;
mod validate;

pub(crate) use validate::invalid;

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::ApiError;

use crate::json::{Tape, Value};

/// How large a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub max_messages: usize,
    /// Characters of text in one message.
    pub max_message_chars: usize,
    /// JSON containers inside containers.
    pub max_depth: usize,
    /// JSON values and field names in all; bounds memory.
    pub max_values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_messages: 2048, max_message_chars: 1_000_000, max_depth: 64, max_values: 2_000_000 }
    }
}

/// A valid chat request. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    body: Bytes,
    tape: Tape,
    facts: Facts,
}

/// The fields that the gateway itself acts on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) n: u32,
    pub(crate) user: Option<String>,
    pub(crate) has_tools: bool,
    pub(crate) messages: usize,
}

impl ChatRequest {
    /// Reads and checks a request body.
    ///
    /// # Errors
    ///
    /// An [`ApiError`] of the invalid-request family that names the field in `param`, for anything that no provider
    /// could accept: wrong JSON, a field that stands twice, a missing field, a wrong type, a value out of range, a
    /// size over the limits.
    pub fn parse(body: Bytes, limits: &Limits) -> Result<Self, ApiError> {
        parse::parse(body, limits)
    }

    /// Returns the body as it would be sent to a provider that speaks the client's dialect.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.inner.body
    }

    /// Returns the model that the client asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.inner.facts.model
    }

    /// Says whether the answer is to be streamed.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.inner.facts.stream
    }

    /// Says whether the client wants a usage chunk at the end of the stream.
    #[must_use]
    pub fn include_usage(&self) -> bool {
        self.inner.facts.include_usage
    }

    /// Returns the most tokens that may be generated per choice: `max_completion_tokens`, else `max_tokens`.
    #[must_use]
    pub fn max_tokens(&self) -> Option<u64> {
        self.inner.facts.max_tokens
    }

    /// Returns how many choices are asked for; at least 1.
    #[must_use]
    pub fn n(&self) -> u32 {
        self.inner.facts.n
    }

    /// Returns the end user's id, if the client gave one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.inner.facts.user.as_deref()
    }

    /// Says whether the request offers tools.
    #[must_use]
    pub fn has_tools(&self) -> bool {
        self.inner.facts.has_tools
    }

    /// Returns the number of messages.
    #[must_use]
    pub fn message_count(&self) -> usize {
        self.inner.facts.messages
    }

    pub(crate) fn root(&self) -> Value<'_> {
        self.inner.tape.root(&self.inner.body)
    }
}
