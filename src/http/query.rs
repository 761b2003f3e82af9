//! Query strings: known parameters only, each at most once.

use std::collections::HashMap;

use actix_web::HttpRequest;
use actix_web::web::Query;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_store::audit::parse_ms;

/// Reads the query string.
///
/// # Errors
/// `invalid_value` for what cannot be read, stands twice or is not known.
pub fn parse(request: &HttpRequest, known: &[&str]) -> Result<HashMap<String, String>, ApiError> {
    let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|_| ApiError::new(ErrorCode::InvalidValue, "the query string cannot be read"))?;
    let mut parameters = HashMap::new();
    for (name, value) in pairs.into_inner() {
        let shown: String = name.chars().filter(|character| !character.is_control()).take(40).collect();
        if !known.contains(&name.as_str()) {
            let message = format!("unknown parameter {shown:?}; known are {}", known.join(", "));
            return Err(ApiError::new(ErrorCode::InvalidValue, message).param(shown));
        }
        if parameters.insert(name, value).is_some() {
            return Err(
                ApiError::new(ErrorCode::DuplicateField, format!("{shown:?} stands twice")).param(shown)
            );
        }
    }
    parameters.retain(|_, value: &mut String| !value.is_empty());
    Ok(parameters)
}

/// Makes the error of a parameter.
#[must_use]
pub fn invalid(name: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidValue, format!("{name}: {}", message.into())).param(name)
}

/// Reads a moment: RFC 3339, a day, or seconds since 1970. Returns milliseconds since 1970.
///
/// # Errors
/// `invalid_value` naming the parameter.
pub fn moment(parameters: &HashMap<String, String>, name: &'static str) -> Result<Option<u64>, ApiError> {
    let Some(text) = parameters.get(name) else { return Ok(None) };
    let read = parse_ms(text).or_else(|| parse_ms(&format!("{text}T00:00:00Z"))).or_else(|| {
        text.parse::<u64>().ok().filter(|_| text.len() <= 11).map(|seconds| seconds.saturating_mul(1000))
    });
    read.map(Some).ok_or_else(|| {
        invalid(
            name,
            "expected a moment such as 2026-11-28T12:00:00Z, a day such as 2026-11-28, or seconds since 1970",
        )
    })
}
