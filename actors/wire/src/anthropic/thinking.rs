//! How much the model is asked to think.

use sentinel_domain::ApiError;

use super::models::{Model, Thinking as Way};
use super::request::Ignored;
use crate::json::Value;
use crate::request::invalid;

/// The smallest thinking budget (Anthropic "Extended thinking", read 2026-11).
const SMALLEST_BUDGET: u64 = 1024;

/// What is sent about thinking.
#[derive(Debug, Default)]
pub(super) struct Thinking {
    /// The JSON of `thinking`.
    pub(super) field: Option<String>,
    /// `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    /// The model will think, so sampling is fixed and no tool can be forced.
    pub(super) on: bool,
}

/// Decides from Anthropic's own `thinking` field, if the client sent it, else from `reasoning_effort`.
pub(super) fn decide(
    root: Value<'_>,
    model: Model,
    max_tokens: u64,
    ignored: &mut Ignored,
) -> Result<Thinking, ApiError> {
    if let Some(own) = root.set("thinking") {
        return own_field(own, model);
    }
    let Some(effort) = root.set("reasoning_effort").and_then(|effort| effort.as_str()) else {
        return Ok(Thinking::default());
    };
    let (effort, budget) = match effort.as_ref() {
        "none" => return Ok(Thinking::default()),
        "minimal" => ("low", SMALLEST_BUDGET),
        "low" => ("low", 2048),
        "medium" => ("medium", 8192),
        "high" => ("high", 16_384),
        "xhigh" => (if model.high_efforts { "xhigh" } else { "high" }, 32_768),
        "max" => (if model.high_efforts { "max" } else { "high" }, 32_768),
        _ => {
            let known = "must be one of `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`";
            return Err(invalid("reasoning_effort", known));
        }
    };
    match model.thinking {
        Way::Adaptive => {
            Ok(Thinking { field: Some(r#"{"type":"adaptive"}"#.to_owned()), effort: Some(effort), on: true })
        }
        // The budget is a part of `max_tokens`, and some must be left for the answer.
        Way::Budget if max_tokens > SMALLEST_BUDGET && !replay_is_unsigned(root) => {
            let budget = budget.min((max_tokens - 1).min(max_tokens / 2).max(SMALLEST_BUDGET));
            let field = format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#);
            Ok(Thinking { field: Some(field), effort: None, on: true })
        }
        Way::Budget | Way::None => {
            ignored.add("reasoning_effort");
            Ok(Thinking::default())
        }
    }
}

fn own_field(own: Value<'_>, model: Model) -> Result<Thinking, ApiError> {
    let kind = own.text("type").ok_or_else(|| invalid("thinking.type", "must be a string"))?;
    let field = match kind.as_ref() {
        "enabled" if model.fixed_sampling => r#"{"type":"adaptive"}"#.to_owned(),
        _ => own.raw().to_owned(),
    };
    Ok(Thinking { field: Some(field), effort: None, on: kind != "disabled" })
}

/// With a thinking budget, a turn of tool calls must begin with the thinking that led to it. A client that did not
/// keep it can only go on without.
fn replay_is_unsigned(root: Value<'_>) -> bool {
    let last = root
        .get("messages")
        .into_iter()
        .flat_map(|messages| messages.items())
        .filter(|message| message.get("role").is_some_and(|role| role.is("assistant")))
        .last();
    last.is_some_and(|message| {
        let calls = message.get("tool_calls").is_some_and(|calls| calls.items().next().is_some());
        calls && message.get("thinking_blocks").is_none_or(|blocks| blocks.items().next().is_none())
    })
}
