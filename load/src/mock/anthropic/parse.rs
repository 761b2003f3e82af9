//! Validates a Messages request as far as the real API's common refusals go.

use serde_json::Value;

use super::render::signature;
use crate::mock::ask::{Ask, Format, Tool, ToolChoice, Wire, text_of, tokens_of};
use crate::mock::failure::Failure;

/// Tokens that an image or a document is counted as.
const IMAGE_TOKENS: i64 = 255;
const MESSAGE_TOKENS: i64 = 4;
/// Blocks that may be marked with `cache_control` in one request.
const MAX_CACHE_MARKS: usize = 4;
/// Prompts shorter than this are not cached by the real API; the mock's bar is lower so that tests stay small.
const MIN_CACHED_TOKENS: i64 = 16;
/// The fields of the API's reference; anything else is an "extra input".
const FIELDS: [&str; 20] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "container",
    "context_management",
    "mcp_servers",
    "output_config",
    "output_format",
    "inference_geo",
];

/// Turns a request body into an [`Ask`].
///
/// # Errors
/// The refusal that the API would send.
pub(crate) fn parse(body: &Value, model: &str) -> Result<Ask, Failure> {
    let mut ask = Ask::new(Wire::Anthropic, model);
    let fields =
        body.as_object().map(|body| body.keys().map(String::as_str).collect::<Vec<_>>()).unwrap_or_default();
    if let Some(extra) = fields.iter().find(|field| !FIELDS.contains(field)) {
        return Err(Failure::invalid(format!("{extra}: Extra inputs are not permitted")));
    }
    let max_tokens = body.get("max_tokens").ok_or_else(|| Failure::invalid("max_tokens: Field required"))?;
    ask.max_tokens = max_tokens.as_u64().filter(|most| *most > 0);
    if ask.max_tokens.is_none() {
        return Err(Failure::invalid("max_tokens: Input should be greater than or equal to 1"));
    }
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|value| !(0.0..=1.0).contains(&value)) {
        return Err(Failure::invalid("temperature: range: 0..1"));
    }
    let mut cache = CacheMarks::default();
    tools(body, &mut ask, &mut cache)?;
    system(body, &mut ask, &mut cache)?;
    messages(body, &mut ask, &mut cache)?;
    cache.settle(&mut ask)?;
    ask.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    let stops = body.get("stop_sequences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    ask.stop = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if ask.stop.iter().any(|stop| stop.trim().is_empty()) {
        return Err(Failure::invalid("stop_sequences: each stop sequence must contain non-whitespace"));
    }
    thinking(body, &mut ask)?;
    let format = body.pointer("/output_config/format").or_else(|| body.get("output_format"));
    if let Some(schema) = format.and_then(|format| format.get("schema")) {
        ask.format = Format::Schema(schema.clone());
    }
    Ok(ask)
}

/// Where cache marks stand, in tokens of the prompt before them.
#[derive(Default)]
struct CacheMarks {
    count: usize,
    tokens_before_last: i64,
}

impl CacheMarks {
    fn see(&mut self, block: &Value, tokens_so_far: i64) {
        if block.get("cache_control").is_some_and(|mark| !mark.is_null()) {
            self.count += 1;
            self.tokens_before_last = tokens_so_far;
        }
    }

    /// Counts the marked prefix as read from the cache if the prompt speaks of a second call, else as written.
    fn settle(&self, ask: &mut Ask) -> Result<(), Failure> {
        if self.count > MAX_CACHE_MARKS {
            let message = format!(
                "A maximum of {MAX_CACHE_MARKS} blocks with cache_control may be provided. Found {}.",
                self.count
            );
            return Err(Failure::invalid(message));
        }
        if self.count > 0 && self.tokens_before_last >= MIN_CACHED_TOKENS {
            ask.cache_write_tokens = self.tokens_before_last;
        }
        Ok(())
    }
}

fn system(body: &Value, ask: &mut Ask, cache: &mut CacheMarks) -> Result<(), Failure> {
    match body.get("system") {
        Some(Value::Array(blocks)) => {
            for (index, block) in blocks.iter().enumerate() {
                check_text(block, &format!("system.{index}"))?;
                ask.prompt_tokens += tokens_of(&text_of(&Value::Array(vec![block.clone()])));
                cache.see(block, ask.prompt_tokens);
            }
        }
        Some(Value::String(text)) => ask.prompt_tokens += tokens_of(text),
        None => {}
        Some(_) => return Err(Failure::invalid("system: Input should be a valid array")),
    }
    Ok(())
}

fn messages(body: &Value, ask: &mut Ask, cache: &mut CacheMarks) -> Result<(), Failure> {
    let messages = body.get("messages").ok_or_else(|| Failure::invalid("messages: Field required"))?;
    let messages =
        messages.as_array().ok_or_else(|| Failure::invalid("messages: Input should be a valid array"))?;
    if messages.is_empty() {
        return Err(Failure::invalid("messages: at least one message is required"));
    }
    let mut open_calls: Vec<String> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if role != "user" && role != "assistant" {
            return Err(Failure::invalid(format!(
                "messages.{index}.role: Input should be 'user' or 'assistant'"
            )));
        }
        ask.prompt_tokens += MESSAGE_TOKENS;
        let content = message.get("content").unwrap_or(&Value::Null);
        let blocks = match content {
            Value::Array(blocks) => blocks.clone(),
            Value::String(text) => vec![serde_json::json!({"type": "text", "text": text})],
            _ => return Err(Failure::invalid(format!("messages.{index}.content: Field required"))),
        };
        if blocks.is_empty() && index + 1 < messages.len() {
            return Err(Failure::invalid(format!(
                "messages.{index}: all messages must have non-empty content"
            )));
        }
        answer_calls(index, role, &blocks, &mut open_calls)?;
        if role == "user" {
            ask.tool_results.clear();
            let texts = text_of(&Value::Array(blocks.clone()));
            if !texts.is_empty() {
                ask.last_user = texts;
            }
        }
        for (position, block) in blocks.iter().enumerate() {
            let place = format!("messages.{index}.content.{position}");
            ask.prompt_tokens += block_tokens(block, &place, ask)?;
            cache.see(block, ask.prompt_tokens);
        }
        if role == "assistant" {
            ask.tool_results.clear();
            let calls = blocks.iter().filter(|block| kind(block) == "tool_use");
            open_calls = calls
                .filter_map(|block| block.get("id").and_then(Value::as_str))
                .map(str::to_owned)
                .collect();
        }
    }
    Ok(())
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Every call must be answered in the very next message, and nothing else may be.
fn answer_calls(
    index: usize,
    role: &str,
    blocks: &[Value],
    open_calls: &mut Vec<String>,
) -> Result<(), Failure> {
    for block in blocks.iter().filter(|block| kind(block) == "tool_result") {
        let id = block.get("tool_use_id").and_then(Value::as_str).unwrap_or_default();
        if role != "user" || !open_calls.iter().any(|open| open == id) {
            return Err(Failure::invalid(format!(
                "messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                 `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        open_calls.retain(|open| open != id);
    }
    if open_calls.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message.",
        open_calls.join(", ")
    )))
}

fn check_text(block: &Value, place: &str) -> Result<(), Failure> {
    if kind(block) == "text" && block.get("text").and_then(Value::as_str).unwrap_or_default().is_empty() {
        return Err(Failure::invalid(format!("{place}: text content blocks must be non-empty")));
    }
    Ok(())
}

fn block_tokens(block: &Value, place: &str, ask: &mut Ask) -> Result<i64, Failure> {
    check_text(block, place)?;
    let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(match kind(block) {
        "text" => tokens_of(text("text")),
        "thinking" if text("signature") != signature(text("thinking")) => {
            return Err(Failure::invalid(format!("{place}: Invalid `signature` in `thinking` block")));
        }
        "thinking" | "redacted_thinking" => tokens_of(text("thinking")),
        "tool_use" if !block.get("input").is_some_and(Value::is_object) => {
            return Err(Failure::invalid(format!(
                "{place}.tool_use.input: Input should be a valid dictionary"
            )));
        }
        "tool_use" => tokens_of(&block.to_string()),
        "tool_result" => {
            let content = block.get("content").unwrap_or(&Value::Null);
            ask.tool_results.push(text_of(content));
            tokens_of(&text_of(content))
        }
        "image" | "document" | "container_upload" => IMAGE_TOKENS,
        "" => return Err(Failure::invalid(format!("{place}.type: Field required"))),
        _ => tokens_of(&block.to_string()),
    })
}

fn tools(body: &Value, ask: &mut Ask, cache: &mut CacheMarks) -> Result<(), Failure> {
    let tools = body.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, tool) in tools.iter().enumerate() {
        let name = tool.get("name").and_then(Value::as_str);
        let name =
            name.ok_or_else(|| Failure::invalid(format!("tools.{index}.custom.name: Field required")))?;
        let is_custom = matches!(kind(tool), "" | "custom");
        let schema = tool.get("input_schema").cloned().unwrap_or_default();
        if is_custom && schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(Failure::invalid(format!("tools.{index}.custom.input_schema.type: Field required")));
        }
        ask.prompt_tokens += tokens_of(&tool.to_string());
        cache.see(tool, ask.prompt_tokens);
        if is_custom {
            ask.tools.push(Tool { name: name.to_owned(), schema });
        }
    }
    let Some(choice) = body.get("tool_choice").filter(|choice| !choice.is_null()) else { return Ok(()) };
    if tools.is_empty() {
        return Err(Failure::invalid("tool_choice: tool_choice may only be specified while providing tools"));
    }
    ask.tool_choice = match kind(choice) {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => {
            let name = choice.get("name").and_then(Value::as_str).unwrap_or_default();
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Failure::invalid(format!(
                    "tool_choice: Tool '{name}' not found in provided tools"
                )));
            }
            ToolChoice::Named(name.to_owned())
        }
        other => {
            return Err(Failure::invalid(format!(
                "tool_choice: Input tag '{other}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
            )));
        }
    };
    ask.parallel = !choice.get("disable_parallel_tool_use").and_then(Value::as_bool).unwrap_or(false);
    Ok(())
}

fn thinking(body: &Value, ask: &mut Ask) -> Result<(), Failure> {
    let Some(thinking) = body.get("thinking") else { return Ok(()) };
    match kind(thinking) {
        "disabled" => return Ok(()),
        "enabled" => {
            let budget = thinking.get("budget_tokens").and_then(Value::as_u64).unwrap_or(0);
            if budget < 1024 {
                return Err(Failure::invalid(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                ));
            }
            if ask.max_tokens.is_some_and(|most| budget >= most) {
                return Err(Failure::invalid("`max_tokens` must be greater than `thinking.budget_tokens`"));
            }
        }
        _ => {}
    }
    if matches!(ask.tool_choice, ToolChoice::Required | ToolChoice::Named(_)) {
        return Err(Failure::invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    let temperature = body.get("temperature").and_then(Value::as_f64).unwrap_or(1.0);
    if (temperature - 1.0).abs() > f64::EPSILON {
        return Err(Failure::invalid("`temperature` may only be set to 1 when thinking is enabled."));
    }
    ask.thinking = true;
    Ok(())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
