//! From what the sockets say to what the outcome table knows.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use actix_http::error::ParseError;
use awc::error::{ConnectError, PayloadError, SendRequestError};
use sentinel_domain::error::{ApiError, ErrorCode};
use sentinel_domain::outcome::FailureClass;
use sentinel_domain::secret::Secret;
use sentinel_wire::UpstreamFailure;

/// A call that brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", class.as_str())]
pub struct CallFailure {
    /// How it failed.
    pub class: FailureClass,
    /// How long the provider asks to be left alone.
    pub wait: Option<Duration>,
    /// What the client is told if nothing else works; never holds a secret.
    pub error: ApiError,
    /// The provider's HTTP status, also of an error inside a 200; 0 if there was none.
    pub status: u16,
    /// Set if only the credential in use was refused and the provider has another.
    pub other_credential: bool,
}

impl From<UpstreamFailure> for CallFailure {
    fn from(failure: UpstreamFailure) -> Self {
        let UpstreamFailure { class, error, wait, status } = failure;
        Self { class, wait, error, status, other_credential: false }
    }
}

impl From<Box<UpstreamFailure>> for CallFailure {
    fn from(failure: Box<UpstreamFailure>) -> Self {
        (*failure).into()
    }
}

impl CallFailure {
    /// Makes a failure whose message is our own.
    pub(super) fn new(class: FailureClass, message: &'static str) -> Self {
        UpstreamFailure::local(class, message).into()
    }

    /// Makes a failure that says nothing about the provider.
    pub(super) fn local(code: ErrorCode, message: &'static str) -> Self {
        let error = ApiError::new(code, message);
        Self { class: FailureClass::Local, wait: None, error, status: 0, other_credential: false }
    }

    /// Takes a credential out of the message, in case that the provider repeats what it was sent.
    pub(super) fn without(self, secret: &Secret) -> Self {
        let Self { class, wait, error, status, other_credential } = self;
        let scrubbed = UpstreamFailure { class, error, wait, status }.without(secret);
        Self { other_credential, ..scrubbed.into() }
    }

    /// The request's own deadline has passed.
    pub(super) fn out_of_time() -> Self {
        Self::local(ErrorCode::RequestTimeout, "the request took longer than the gateway allows")
    }

    /// The gateway is cutting off what is still running.
    pub(super) fn stopping() -> Self {
        Self::local(ErrorCode::Draining, "the gateway is shutting down")
    }
}

/// An error before the head of an answer, with what the retry on a stale connection has to know.
#[derive(Debug)]
pub(super) struct SendFailure {
    pub(super) failure: CallFailure,
    /// Set if the connection was closed without one byte of an answer.
    pub(super) unanswered: bool,
}

/// Classifies an error before the head of an answer.
pub(super) fn of_send(error: &SendRequestError) -> SendFailure {
    use FailureClass::{Broken, Connect, Local, Malformed, Tls};
    let (class, message, unanswered) = match error {
        SendRequestError::Connect(ConnectError::Disconnected) => {
            (Broken, "the provider closed the connection without an answer", true)
        }
        SendRequestError::Connect(ConnectError::Io(error)) if is_tls(error) => {
            (Tls, "the provider's TLS certificate or handshake is not valid", false)
        }
        SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => {
            (Connect, "the provider's host name could not be resolved", false)
        }
        SendRequestError::Connect(ConnectError::Timeout) | SendRequestError::Timeout => {
            (Connect, "connecting to the provider took too long", false)
        }
        SendRequestError::Connect(_) => (Connect, "the provider could not be reached", false),
        SendRequestError::Send(_) => (Broken, "the connection to the provider broke", true),
        SendRequestError::Response(ParseError::Io(_)) => {
            (Broken, "the connection to the provider broke", true)
        }
        SendRequestError::Response(_) => (Malformed, "the provider's answer is no valid HTTP", false),
        SendRequestError::H2(_) => (Broken, "the connection to the provider broke", false),
        _ => (Local, "the request could not be sent to the provider", false),
    };
    tracing::debug!(class = class.as_str(), %error, "no answer from the provider");
    SendFailure { failure: CallFailure::new(class, message), unanswered }
}

/// Classifies an error inside an answer's body.
pub(super) fn of_payload(error: &PayloadError) -> CallFailure {
    tracing::debug!(%error, "a provider's answer broke off");
    match error {
        PayloadError::Overflow => {
            CallFailure::new(FailureClass::Oversize, "the provider's answer is too large")
        }
        PayloadError::EncodingCorrupted | PayloadError::UnknownLength => {
            CallFailure::new(FailureClass::Malformed, "the provider's answer is no valid HTTP")
        }
        _ => CallFailure::new(
            FailureClass::Broken,
            "the connection broke in the middle of the provider's answer",
        ),
    }
}

/// Looks for an error of the TLS layer inside an I/O error, where tokio-rustls puts it.
fn is_tls(error: &io::Error) -> bool {
    let mut source: Option<&(dyn StdError + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = source {
        if error.is::<rustls::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}
