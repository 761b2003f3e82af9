//! The face of this crate for whoever calls providers: a request goes in, what to send comes out, and the answer
//! comes back in the client's dialect, whichever provider gave it.

use std::time::SystemTime;

use bytes::Bytes;
use sentinel_domain::policy::ProviderKind;
use sentinel_domain::{ApiError, FailureClass, Secret};

use crate::anthropic;
use crate::completion::Completion;
use crate::failure::UpstreamFailure;
use crate::headers::Headers;
use crate::openai;
use crate::request::ChatRequest;
use crate::stream::StreamDecoder;

/// What encoding and decoding need beside the request.
#[derive(Debug, Clone, Default)]
pub struct EncodeOptions {
    /// The present time in whole Unix seconds; becomes `created` of a translated answer.
    pub created: u64,
    /// Tokens to ask for where a provider requires a number and the client gave none; `None` takes the model's own.
    pub default_max_tokens: Option<u64>,
    /// A client's `anthropic-beta` header, passed on to Anthropic.
    pub anthropic_beta: Option<String>,
    /// Set where an upstream refuses `stream_options`; its streams then only have usage if it sends it unasked.
    pub no_stream_usage: bool,
}

/// A request as it goes to a provider. Credentials are added by [`auth_headers`].
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Path after the provider's base address.
    pub path: &'static str,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// Request fields that the provider cannot express and that are documented as ignorable, for `x-sentinel-ignored`.
    pub ignored: Vec<String>,
    /// What the decoder has to know.
    pub hints: Hints,
}

/// What the decoder has to know of the request.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `created` of a translated answer, Unix seconds.
    pub(crate) created: u64,
    /// The model asked for upstream, for answers that do not name theirs.
    pub(crate) model: String,
    /// The client wants a usage chunk.
    pub(crate) include_usage: bool,
    /// The answer's text comes as the arguments of a tool that the gateway added.
    pub(crate) answer_tool: bool,
    /// The client uses `functions`, and expects `function_call` in place of `tool_calls`.
    pub(crate) legacy_functions: bool,
}

/// Turns a request into what a provider of this kind is sent.
///
/// # Errors
///
/// `unsupported_parameter` or `invalid_value` naming the field, when the provider's dialect cannot express it.
pub fn encode(
    kind: ProviderKind,
    request: &ChatRequest,
    upstream_model: &str,
    options: &EncodeOptions,
) -> Result<Encoded, ApiError> {
    match kind {
        ProviderKind::OpenAi => Ok(openai::encode(request, upstream_model, options)),
        ProviderKind::Anthropic => anthropic::encode(request, upstream_model, options),
    }
}

/// Reads a whole answer. `now` is for waits that a provider gives as a date.
///
/// # Errors
///
/// [`UpstreamFailure`] for a failing status, an error object inside a 200, and anything that is no answer.
pub fn decode_unary(
    kind: ProviderKind,
    status: u16,
    headers: &dyn Headers,
    body: Bytes,
    hints: &Hints,
    now: SystemTime,
) -> Result<Completion, Box<UpstreamFailure>> {
    check_status(status, headers, &body, now)?;
    match kind {
        ProviderKind::OpenAi => openai::decode(status, body),
        ProviderKind::Anthropic => anthropic::decode(status, body, hints),
    }
    .map_err(Box::new)
}

/// Makes the decoder of a streamed answer whose status is good. `max_event` bounds one event, in bytes.
#[must_use]
pub fn decode_stream(kind: ProviderKind, hints: Hints, max_event: usize) -> StreamDecoder {
    StreamDecoder::new(kind, hints, max_event)
}

/// Passes the statuses that carry an answer; any other is a failure, described by its body.
///
/// # Errors
///
/// [`UpstreamFailure`] for every status but 200, 201 and 203.
pub fn check_status(
    status: u16,
    headers: &dyn Headers,
    body: &[u8],
    now: SystemTime,
) -> Result<(), Box<UpstreamFailure>> {
    match status {
        200 | 201 | 203 => Ok(()),
        _ => Err(Box::new(UpstreamFailure::from_answer(status, headers, body, now))),
    }
}

/// Makes a failure that the gateway noticed itself, such as a timeout or a broken connection.
#[must_use]
pub fn local_failure(class: FailureClass, message: &'static str) -> UpstreamFailure {
    UpstreamFailure::local(class, message)
}

/// Returns the headers that carry a provider's credential.
///
/// Anthropic's OAuth tokens (`sk-ant-oat…`) go as bearer tokens, its API keys in `x-api-key` (Anthropic "API
/// overview", section "Authentication", read 2026-11).
#[must_use]
pub fn auth_headers(kind: ProviderKind, secret: &Secret) -> Vec<(&'static str, String)> {
    let exposed = secret.expose();
    if exposed.is_empty() {
        return Vec::new();
    }
    match kind {
        ProviderKind::Anthropic if !exposed.starts_with("sk-ant-oat") => {
            vec![("x-api-key", exposed.to_owned())]
        }
        ProviderKind::Anthropic | ProviderKind::OpenAi => {
            vec![("authorization", format!("Bearer {exposed}"))]
        }
    }
}
