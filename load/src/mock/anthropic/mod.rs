//! Anthropic Messages: validation of requests and layout of answers.
//!
//! Facts from recorded traffic and from Anthropic's API reference (read 2026-11): bodies are compact JSON; every
//! stream event has an `event:` line equal to its type and is padded with spaces before a closing brace; a `ping`
//! follows the first `content_block_start`; `input_tokens` excludes cached tokens; a tool without arguments streams one
//! empty `partial_json` only; `message_delta` carries cumulative usage; there is no `[DONE]`.

mod parse;
mod render;

pub(crate) use parse::parse;
pub(crate) use render::render;
