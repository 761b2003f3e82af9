//! Anthropic Messages: translated from and to the client's dialect.

use bytes::Bytes;
use sentinel_domain::{ApiError, ErrorCode};

use crate::completion::Completion;
use crate::dialect::{EncodeOptions, Encoded, Hints};
use crate::failure::UpstreamFailure;
use crate::request::ChatRequest;
use crate::sse::SseEvent;
use crate::stream::StreamState;

pub(crate) fn encode(_: &ChatRequest, _: &str, _: &EncodeOptions) -> Result<Encoded, ApiError> {
    Err(ApiError::new(ErrorCode::UnsupportedParameter, "this provider is not available yet"))
}

pub(crate) fn decode(status: u16, _: Bytes, _: &Hints) -> Result<Completion, UpstreamFailure> {
    Err(UpstreamFailure::malformed(status, "this provider is not available yet"))
}

#[derive(Debug, Default)]
pub(crate) struct AnthropicStream;

impl AnthropicStream {
    pub(crate) fn event(&mut self, _: &SseEvent, _: &mut StreamState) {}
    pub(crate) fn end_of_bytes(&mut self, state: &mut StreamState) {
        state.fail_truncated();
    }
}
