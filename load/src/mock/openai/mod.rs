//! OpenAI Chat Completions: validation of requests and layout of answers.
//!
//! Facts from recorded traffic and from OpenAI's API reference (read 2026-11): unary bodies are pretty-printed and
//! keep the key order id, object, created, model, choices, usage, service_tier, system_fingerprint; streams have
//! only `data:` lines, one blank line between, `[DONE]` last; with `include_usage` every chunk has `usage: null` and
//! the last one before `[DONE]` has `choices: []`; a call that a named `tool_choice` forced finishes with `stop`.

mod parse;
mod render;

pub(crate) use parse::parse;
pub(crate) use render::render;
