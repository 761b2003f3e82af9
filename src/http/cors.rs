//! Browser origins: nothing is allowed unless it is listed, and credentials never are.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use sentinel_domain::{ApiError, ErrorCode};

/// Response headers that a browser's script may read.
const EXPOSED: &str = "x-request-id, x-sentinel-provider, x-sentinel-model, x-sentinel-cache, x-sentinel-attempts, \
    x-sentinel-cost-usd, x-sentinel-pii, x-sentinel-injection-score, x-sentinel-ignored, retry-after, \
    x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
    x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// Refuses a request that a browser sent from a page of another origin which is not listed.
///
/// A page that the gateway itself serves has the gateway's own origin, and is let through.
///
/// # Errors
/// `origin_not_allowed`.
pub fn check(
    origin: Option<&HeaderValue>,
    allowed: &[String],
    request: &HttpRequest,
) -> Result<(), ApiError> {
    let Some(origin) = origin else { return Ok(()) };
    let text = origin.to_str().unwrap_or_default();
    if is_allowed(text, allowed) || is_own(text, request) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::OriginNotAllowed,
        "this browser origin is not allowed; list it in server.cors_allowed_origins",
    ))
}

fn is_allowed(origin: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|entry| entry == origin)
}

/// Compares with the address that the client connected to, by its `Host` header. A page of a foreign site cannot choose
/// that header, so an equal one means the page was served here.
pub(super) fn is_own(origin: &str, request: &HttpRequest) -> bool {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let stripped = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    !host.is_empty() && stripped == Some(host)
}

/// Adds what lets a listed origin read the answer.
pub fn decorate(headers: &mut HeaderMap, origin: Option<&HeaderValue>, allowed: &[String]) {
    let Some(origin) = origin else { return };
    if is_allowed(origin.to_str().unwrap_or_default(), allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// Answers a preflight of a listed origin.
#[must_use]
pub fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-api-key, x-request-id, cache-control, traceparent",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"))
        .insert_header((HeaderName::from_static("vary"), "origin"))
        .finish()
}
