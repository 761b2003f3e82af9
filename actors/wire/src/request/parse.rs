//! From bytes to a checked request.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{ApiError, ErrorCode};

use super::validate::validate;
use super::{ChatRequest, Inner, Limits};
use crate::json::{Fault, JsonError, Rules, Tape};

pub(super) fn parse(body: Bytes, limits: &Limits) -> Result<ChatRequest, ApiError> {
    let rules = Rules { max_depth: limits.max_depth, max_nodes: limits.max_values, strict: true };
    let tape = Tape::read(&body, rules).map_err(|error| refusal(&error, &body, limits))?;
    let facts = validate(tape.root(&body), limits)?;
    Ok(ChatRequest { inner: Arc::new(Inner { body, tape, facts }) })
}

fn refusal(error: &JsonError, body: &[u8], limits: &Limits) -> ApiError {
    let (line, column) = error.position(body);
    let place = format!("line {line} column {column}");
    let (code, message) = match error.fault {
        Fault::Syntax(_) if body.iter().all(u8::is_ascii_whitespace) => {
            (ErrorCode::InvalidJson, "the body is empty; send a JSON object".to_owned())
        }
        Fault::Syntax(expected) => {
            (ErrorCode::InvalidJson, format!("the body is not valid JSON: expected {expected} at {place}"))
        }
        Fault::Utf8 => (ErrorCode::InvalidJson, format!("the body is not valid UTF-8 at {place}")),
        Fault::Depth => (
            ErrorCode::InvalidJson,
            format!("the body is nested more than {} levels deep at {place}", limits.max_depth),
        ),
        Fault::TooManyValues => {
            (ErrorCode::InvalidJson, format!("the body holds more than {} values", limits.max_values))
        }
        Fault::Duplicate => {
            (ErrorCode::DuplicateField, format!("the field `{}` stands twice, at {place}", error.path))
        }
    };
    let refused = ApiError::new(code, message);
    if error.path.is_empty() { refused } else { refused.param(short(&error.path)) }
}

/// Paths hold field names that the client chose, so their length is bounded.
fn short(path: &str) -> String {
    path.chars().take(200).collect()
}
