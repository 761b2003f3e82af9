//! Turns an [`ApiError`] into an HTTP answer. The only place that knows which code has which status.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use sentinel_domain::{ApiError, ErrorCode, RequestId};
use serde::Serialize;

/// Status that audit and metrics use for a client that went away. Source: nginx' convention.
pub const CLIENT_CLOSED: u16 = 499;

/// Returns the HTTP status of an error: the provider's own where the client can act on it, else the code's.
#[must_use]
pub fn status(error: &ApiError) -> u16 {
    match (&error.upstream, error.code) {
        (
            Some(upstream),
            ErrorCode::UpstreamRejected | ErrorCode::UpstreamRateLimited | ErrorCode::ContextLengthExceeded,
        ) if (400..500).contains(&upstream.status) => upstream.status,
        _ => code_status(error.code),
    }
}

/// Returns the HTTP status that belongs to a code.
#[must_use]
pub const fn code_status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::InvalidJson
        | ErrorCode::MissingField
        | ErrorCode::InvalidValue
        | ErrorCode::DuplicateField
        | ErrorCode::EmptyMessages
        | ErrorCode::TooManyMessages
        | ErrorCode::MessageTooLong
        | ErrorCode::UnsupportedParameter
        | ErrorCode::ContextLengthExceeded
        | ErrorCode::UpstreamRejected => 400,
        ErrorCode::MissingApiKey | ErrorCode::InvalidApiKey => 401,
        ErrorCode::BudgetExceeded => 402,
        ErrorCode::ModelNotAllowed
        | ErrorCode::OriginNotAllowed
        | ErrorCode::AdminRequired
        | ErrorCode::PiiBlocked
        | ErrorCode::PromptInjectionBlocked => 403,
        ErrorCode::ModelNotFound
        | ErrorCode::UnknownRoute
        | ErrorCode::UnknownRequest
        | ErrorCode::UnknownObject => 404,
        ErrorCode::MethodNotAllowed => 405,
        ErrorCode::BodyTimeout => 408,
        ErrorCode::BodyTooLarge => 413,
        ErrorCode::UnsupportedMediaType => 415,
        ErrorCode::RateLimitExceeded | ErrorCode::UpstreamRateLimited | ErrorCode::UpstreamQuota => 429,
        ErrorCode::ClientClosed => CLIENT_CLOSED,
        ErrorCode::Internal => 500,
        ErrorCode::UpstreamFailed | ErrorCode::UpstreamAuth | ErrorCode::UpstreamInvalidResponse => 502,
        ErrorCode::GuardUnavailable
        | ErrorCode::AllTargetsUnavailable
        | ErrorCode::CircuitOpen
        | ErrorCode::Draining
        | ErrorCode::StoreUnavailable
        | ErrorCode::Overloaded
        | ErrorCode::UpstreamOverloaded => 503,
        ErrorCode::UpstreamTimeout | ErrorCode::RequestTimeout => 504,
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    request_id: &'a str,
}

/// Writes the one error body that every route answers with.
#[must_use]
pub fn body(error: &ApiError, id: &RequestId) -> String {
    let upstream = error.upstream.as_deref();
    let body = Body {
        message: &error.message,
        r#type: upstream.and_then(|upstream| upstream.kind.as_deref()).unwrap_or(error.code.kind().as_str()),
        param: error.param.as_deref(),
        code: upstream.and_then(|upstream| upstream.code.as_deref()).unwrap_or(error.code.as_str()),
        request_id: id.as_str(),
    };
    // Texts always serialise.
    serde_json::to_string(&Envelope { error: body }).unwrap_or_default()
}

/// Answers with an error.
#[must_use]
pub fn respond(error: &ApiError, id: &RequestId) -> HttpResponse {
    // 499 is for records: a client that is still there to read has framed its body wrongly.
    let sent = if error.code == ErrorCode::ClientClosed { 400 } else { status(error) };
    let status = StatusCode::from_u16(sent).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    builder.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    if let Some(wait) = error.retry_after {
        builder.insert_header(("retry-after", whole_seconds(wait).to_string()));
        builder.insert_header(("retry-after-ms", wait.as_millis().to_string()));
    }
    if let Some(should_retry) = error.should_retry {
        builder.insert_header(("x-should-retry", if should_retry { "true" } else { "false" }));
    }
    builder.body(body(error, id))
}

/// Rounds a wait up to whole seconds, at least one: a retry must never come too early.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_domain::error::UpstreamError;

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_500, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn a_providers_own_refusal_keeps_its_status_and_a_bad_key_does_not() {
        let said = UpstreamError { status: 422, ..UpstreamError::default() };
        assert_eq!(status(&ApiError::new(ErrorCode::UpstreamRejected, "x").upstream(said)), 422);
        let said = UpstreamError { status: 401, ..UpstreamError::default() };
        assert_eq!(status(&ApiError::new(ErrorCode::UpstreamAuth, "x").upstream(said)), 502);
    }

    #[test]
    fn the_body_holds_every_field_and_escapes() {
        let id = RequestId::from_caller("r-1").unwrap();
        let error = ApiError::new(ErrorCode::InvalidValue, "a \"b\"\n").param("model");
        let value: serde_json::Value = serde_json::from_str(&body(&error, &id)).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"error": {"message": "a \"b\"\n", "type": "invalid_request_error", "param": "model",
                "code": "invalid_value", "request_id": "r-1"}})
        );
    }
}
