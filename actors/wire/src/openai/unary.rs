//! A whole answer that already is in the client's dialect.

use bytes::Bytes;

use super::usage::read_usage;
use crate::completion::Completion;
use crate::failure::UpstreamFailure;
use crate::json::{Rules, Tape};
use crate::report::Report;

/// Checks that the body is an answer and passes it as it is.
pub(crate) fn decode(status: u16, body: Bytes) -> Result<Completion, UpstreamFailure> {
    let tape = Tape::read(&body, Rules::ANSWER)
        .map_err(|_| UpstreamFailure::malformed(status, "the provider's answer is not valid JSON"))?;
    let root = tape.root(&body);
    // Azure answers 200 with nothing but an error inside when its filter acts.
    if Report::is_error(root) && root.get("choices").is_none_or(|choices| choices.items().next().is_none()) {
        return Err(UpstreamFailure::from_object(root));
    }
    if !root.get("choices").is_some_and(|choices| choices.is_array()) {
        return Err(UpstreamFailure::malformed(status, "the provider's answer has no choices"));
    }
    let usage = root.set("usage").and_then(read_usage);
    Ok(Completion::new(body, tape, usage))
}
