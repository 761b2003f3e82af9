//! Anthropic Messages: translated from and to the client's dialect.

mod blocks;
mod messages;
mod models;
mod request;
mod response;
mod schema;
mod stream;
mod thinking;
mod tools;
mod usage;

pub(crate) use request::encode;
pub(crate) use response::decode;
pub(crate) use stream::AnthropicStream;

/// The tool that is forced where a model has no structured output of its own; its arguments become the answer's text.
const ANSWER_TOOL: &str = "structured_answer";

/// Returns OpenAI's finish reason for a stop reason.
///
/// Source: Anthropic "Handling stop reasons" (read 2026-11). `pause_turn` ends a long turn of server tools, which an
/// OpenAI client can only continue with a new message; a reason that is not known yet is an ordinary end.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// Returns the id of the answer in the client's dialect.
fn answer_id(message_id: &str) -> String {
    format!("chatcmpl-{}", message_id.strip_prefix("msg_").unwrap_or(message_id))
}
