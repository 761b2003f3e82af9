//! Takes a request body in: declared as JSON, uncompressed, within its size and its time.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use sentinel_domain::{ApiError, ErrorCode};

/// Refuses by the head alone what need not be read.
///
/// # Errors
/// `unsupported_media_type` or `body_too_large`.
pub fn check_head(request: &HttpRequest, max: usize) -> Result<(), ApiError> {
    let headers = request.headers();
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence.as_bytes()[essence.len() - 5..].eq_ignore_ascii_case(b"+json"));
    if !is_json {
        let found = if media.is_empty() { "none".to_owned() } else { format!("{:?}", short(media)) };
        return Err(ApiError::new(
            ErrorCode::UnsupportedMediaType,
            format!("the content-type must be application/json, found {found}"),
        ));
    }
    let encoding = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("identity");
    if !encoding.trim().eq_ignore_ascii_case("identity") {
        return Err(ApiError::new(
            ErrorCode::UnsupportedMediaType,
            format!("the body must not be compressed, found content-encoding {:?}", short(encoding)),
        ));
    }
    let declared =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    if declared.is_some_and(|length: u64| length > u64::try_from(max).unwrap_or(u64::MAX)) {
        return Err(too_large(max));
    }
    Ok(())
}

/// Reads the whole body.
///
/// # Errors
/// `body_too_large` at the limit, `body_timeout` when it does not arrive in `within`, `client_closed` when it breaks.
pub async fn read(mut payload: Payload, max: usize, within: Duration) -> Result<Bytes, ApiError> {
    let collect = async {
        // Most bodies come in one piece, which is then used as it is.
        let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
        let first = first.map_err(|_| broken())?;
        let mut rest: Option<BytesMut> = None;
        let mut length = first.len();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| broken())?;
            length = length.saturating_add(chunk.len());
            if length > max {
                return Err(too_large(max));
            }
            rest.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&chunk);
        }
        if length > max { Err(too_large(max)) } else { Ok(rest.map_or(first, BytesMut::freeze)) }
    };
    tokio::time::timeout(within, collect).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            ErrorCode::BodyTimeout,
            format!("the body did not arrive within {} s", within.as_secs_f64()),
        ))
    })
}

fn broken() -> ApiError {
    ApiError::new(ErrorCode::ClientClosed, "the connection broke before the body was complete")
}

fn too_large(max: usize) -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, format!("the body is larger than the limit of {max} bytes"))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
