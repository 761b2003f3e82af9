//! What a provider's failure means: one class for the gateway's decisions, one error for the client.
//!
//! The client's error keeps what the client can act on and nothing else: the status and message of a refusal of the
//! request itself, never a word about the gateway's own account, never a page of HTML, never a credential.

use std::time::{Duration, SystemTime};

use sentinel_domain::error::UpstreamError;
use sentinel_domain::{ApiError, ErrorCode, FailureClass, Secret};

use crate::headers::{Headers, NoHeaders};
use crate::json::{Rules, Tape, Value};
use crate::report::Report;
use crate::retry_after::wait_hint;
use crate::scrub::scrub;

/// A failed upstream call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFailure {
    /// What follows from it for retries, other targets and the breaker.
    pub class: FailureClass,
    /// What the client is told if nothing else helps.
    pub error: ApiError,
    /// How long the provider asked to be left alone, at most five minutes.
    pub wait: Option<Duration>,
    /// The provider's HTTP status; for an error inside a 200, the status that it stands for.
    pub status: u16,
}

impl UpstreamFailure {
    /// Makes a failure that the gateway itself noticed.
    #[must_use]
    pub fn local(class: FailureClass, message: &'static str) -> Self {
        Self { class, error: ApiError::new(class.disposition().code, message), wait: None, status: 0 }
    }

    /// Takes a credential out of the message, in case that the provider repeats what it was sent.
    #[must_use]
    pub fn without(mut self, secret: &Secret) -> Self {
        let exposed = secret.expose();
        if exposed.len() >= 8 && self.error.message.contains(exposed) {
            self.error.message = self.error.message.replace(exposed, "[redacted]").into();
        }
        self
    }

    /// Says what an answer with a failing status means. `now` is for waits given as a date.
    #[must_use]
    pub fn from_answer(status: u16, headers: &dyn Headers, body: &[u8], now: SystemTime) -> Self {
        let report = Tape::read(body, Rules::ANSWER)
            .ok()
            .and_then(|tape| Report::find(tape.root(body)))
            .unwrap_or_default();
        classify(status, &report, wait_hint(headers, now))
    }

    /// Says what an error object inside an answer that began with 200 means.
    pub(crate) fn from_object(root: Value<'_>) -> Self {
        let report = Report::find(root).unwrap_or_default();
        classify(report.implied_status(), &report, wait_hint(&NoHeaders, SystemTime::UNIX_EPOCH))
    }

    /// An answer that is none.
    pub(crate) fn malformed(status: u16, message: &'static str) -> Self {
        Self { status, ..Self::local(FailureClass::Malformed, message) }
    }
}

fn classify(status: u16, report: &Report, wait: Option<Duration>) -> UpstreamFailure {
    let class = class_of(status, report);
    let mut error = client_error(class, status, report);
    let waits =
        matches!(class, FailureClass::RateLimited | FailureClass::Overloaded | FailureClass::ServerError);
    if let Some(wait) = wait.filter(|_| waits) {
        error = error.retry_after(wait);
    }
    UpstreamFailure { class, error, wait, status }
}

fn class_of(status: u16, report: &Report) -> FailureClass {
    match status {
        402 => FailureClass::Quota,
        400 | 403 | 429 if report.is_quota() => FailureClass::Quota,
        401 | 403 => FailureClass::Auth,
        408 | 409 => FailureClass::Transient,
        429 => FailureClass::RateLimited,
        400 | 404 | 413 | 422 => FailureClass::Rejected,
        300..=399 => FailureClass::Redirect,
        502 => FailureClass::BadGateway,
        503 | 529 => FailureClass::Overloaded,
        504 => FailureClass::GatewayTimeout,
        500 | 501 | 505..=599 => FailureClass::ServerError,
        _ => FailureClass::Malformed,
    }
}

fn client_error(class: FailureClass, status: u16, report: &Report) -> ApiError {
    let code = class.disposition().code;
    let said = report.message.as_deref().filter(|message| !message.trim().is_empty()).map(scrub);
    let or = |fallback: &'static str| said.clone().map_or(fallback.into(), std::borrow::Cow::Owned);
    match class {
        FailureClass::Auth => {
            ApiError::new(code, "the provider refused the gateway's credentials").no_retry()
        }
        FailureClass::Quota => {
            ApiError::new(code, or("the quota of the gateway's account at the provider is used up"))
                .no_retry()
        }
        FailureClass::Rejected | FailureClass::Transient | FailureClass::RateLimited => {
            let fallback = match status {
                404 => "the provider does not know this model or path",
                408 => "the provider reports a request timeout",
                409 => "the provider reports a conflict",
                413 => "the request is too large for the provider",
                429 => "the provider's rate limit is used up",
                _ => "the provider refused the request",
            };
            let context = class == FailureClass::Rejected && report.is_context_length();
            let code = if context { ErrorCode::ContextLengthExceeded } else { code };
            let mut error = ApiError::new(code, or(fallback)).upstream(UpstreamError {
                status,
                kind: report.kind.clone(),
                code: if context { None } else { report.code.clone() },
            });
            error.param = report.param.clone().map(Into::into);
            error
        }
        // What a page of HTML or a proxy says is not for the client.
        _ if report.message.is_none() && matches!(status, 500..=599) => {
            let code = if matches!(class, FailureClass::ServerError | FailureClass::BadGateway) {
                ErrorCode::UpstreamInvalidResponse
            } else {
                code
            };
            ApiError::new(code, format!("the provider failed with status {status}"))
        }
        FailureClass::Redirect => {
            ApiError::new(code, "the provider answered with a redirect, which is not followed")
        }
        FailureClass::Malformed => {
            ApiError::new(code, format!("the provider answered with an unexpected status {status}"))
        }
        _ => ApiError::new(code, or("the provider failed")),
    }
}
