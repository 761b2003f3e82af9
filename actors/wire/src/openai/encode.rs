//! A request for an upstream that speaks the client's dialect.

use crate::dialect::{EncodeOptions, Encoded, Hints};
use crate::json::Splices;
use crate::request::ChatRequest;

/// Passes the client's bytes, with the model's name replaced if the target has another, and with usage asked for in
/// streams: the gateway prices every token, and hides the numbers again from a client that did not ask.
pub(crate) fn encode(request: &ChatRequest, upstream_model: &str, options: &EncodeOptions) -> Encoded {
    let root = request.root();
    let mut edits = Splices::default();
    if let Some(model) = root.get("model").filter(|_| request.model() != upstream_model) {
        edits.replace_string(model.span(), upstream_model);
    }
    if request.stream() && !request.include_usage() && !options.no_stream_usage {
        match root.get("stream_options") {
            Some(stream_options) if stream_options.is_object() => {
                edits.set_field(stream_options, "include_usage", "true");
            }
            _ => edits.set_field(root, "stream_options", r#"{"include_usage":true}"#),
        }
    }
    let accept = if request.stream() { "text/event-stream" } else { "application/json" };
    Encoded {
        path: "/chat/completions",
        headers: vec![("content-type", "application/json".to_owned()), ("accept", accept.to_owned())],
        body: edits.apply(request.body()),
        ignored: Vec::new(),
        hints: Hints {
            created: options.created,
            model: upstream_model.to_owned(),
            include_usage: request.include_usage(),
            ..Hints::default()
        },
    }
}
