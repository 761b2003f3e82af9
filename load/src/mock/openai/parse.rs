//! Validates a Chat Completions request as far as the real API's common refusals go.

use serde_json::Value;

use crate::mock::ask::{Ask, Format, Tool, ToolChoice, Wire, text_of, tokens_of};
use crate::mock::failure::Failure;

/// Tokens that an image is counted as.
const IMAGE_TOKENS: i64 = 255;
/// Tokens that each message costs beside its text.
const MESSAGE_TOKENS: i64 = 4;
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// Turns a request body into an [`Ask`].
///
/// # Errors
/// The refusal that the API would send.
pub(crate) fn parse(body: &Value, model: &str) -> Result<Ask, Failure> {
    let mut ask = Ask::new(Wire::OpenAi, model);
    messages(body, &mut ask)?;
    numbers(body, &mut ask)?;
    ask.stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    let options = body.get("stream_options").filter(|options| !options.is_null());
    if options.is_some() && !ask.stream {
        return Err(Failure::invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        )
        .param("stream_options", "invalid_value"));
    }
    let option = |name: &str| options.and_then(|options| options.get(name)).and_then(Value::as_bool);
    ask.include_usage = option("include_usage").unwrap_or(false);
    ask.obfuscate = option("include_obfuscation").unwrap_or(true);
    ask.stop = match body.get("stop") {
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    tools(body, &mut ask)?;
    ask.format = match body.pointer("/response_format/type").and_then(Value::as_str) {
        Some("json_object") => Format::AnyJson,
        Some("json_schema") => {
            let schema = body.pointer("/response_format/json_schema/schema");
            Format::Schema(schema.cloned().unwrap_or_default())
        }
        _ => Format::Text,
    };
    ask.logprobs = body.get("logprobs").and_then(Value::as_bool).unwrap_or(false);
    Ok(ask)
}

fn messages(body: &Value, ask: &mut Ask) -> Result<(), Failure> {
    let Some(messages) = body.get("messages") else {
        return Err(Failure::invalid("Missing required parameter: 'messages'.")
            .param("messages", "missing_required_parameter"));
    };
    let Some(messages) = messages.as_array() else {
        return Err(Failure::invalid("Invalid type for 'messages': expected an array of objects.")
            .param("messages", "invalid_type"));
    };
    if messages.is_empty() {
        return Err(Failure::invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        )
        .param("messages", "empty_array"));
    }
    let mut open_calls: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !ROLES.contains(&role) {
            return Err(Failure::invalid(format!(
                "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
            ))
            .param(format!("messages[{index}].role"), "invalid_value"));
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        ask.prompt_tokens += MESSAGE_TOKENS + content_tokens(content);
        match role {
            "user" => {
                ask.last_user = text_of(content);
                ask.tool_results.clear();
            }
            "assistant" => {
                ask.tool_results.clear();
                let calls = message
                    .get("tool_calls")
                    .and_then(Value::as_array)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                open_calls = calls.iter().filter_map(|call| call.get("id").and_then(Value::as_str)).collect();
                ask.prompt_tokens += calls.iter().map(|call| tokens_of(&call.to_string())).sum::<i64>();
            }
            "tool" => {
                let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
                if !open_calls.contains(&id) {
                    return Err(Failure {
                        param: Some(format!("messages.[{index}].role")),
                        ..Failure::invalid(
                            "Invalid parameter: messages with role 'tool' must be a response to a preceeding \
                             message with 'tool_calls'.",
                        )
                    });
                }
                ask.tool_results.push(text_of(content));
            }
            _ => {}
        }
    }
    Ok(())
}

fn content_tokens(content: &Value) -> i64 {
    match content {
        Value::String(text) => tokens_of(text),
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.get("text").and_then(Value::as_str).map_or(IMAGE_TOKENS, tokens_of))
            .sum(),
        _ => 0,
    }
}

fn numbers(body: &Value, ask: &mut Ask) -> Result<(), Failure> {
    for (name, least, most) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("presence_penalty", -2.0, 2.0),
        ("frequency_penalty", -2.0, 2.0),
        ("n", 1.0, 128.0),
        ("max_tokens", 1.0, f64::MAX),
        ("max_completion_tokens", 1.0, f64::MAX),
    ] {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        let Some(number) = value.as_f64() else {
            return Err(Failure::invalid(format!("Invalid type for '{name}': expected a number."))
                .param(name, "invalid_type"));
        };
        let (word, end, code) = if number < least {
            (">=", least, "decimal_below_min_value")
        } else if number > most {
            ("<=", most, "decimal_above_max_value")
        } else {
            continue;
        };
        return Err(Failure::invalid(format!(
            "Invalid '{name}': decimal value out of range. Expected a value {word} {end}, but got {number} instead."
        ))
        .param(name, code));
    }
    let count = body.get("n").and_then(Value::as_u64).unwrap_or(1);
    ask.choices = usize::try_from(count).unwrap_or(1);
    ask.max_tokens = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|name| body.get(*name).and_then(Value::as_u64));
    Ok(())
}

fn tools(body: &Value, ask: &mut Ask) -> Result<(), Failure> {
    let tools = body.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, tool) in tools.iter().enumerate() {
        let function = tool.get("function").unwrap_or(&Value::Null);
        let Some(name) = function.get("name").and_then(Value::as_str) else {
            return Err(Failure::invalid(format!(
                "Missing required parameter: 'tools[{index}].function.name'."
            ))
            .param(format!("tools[{index}].function.name"), "missing_required_parameter"));
        };
        ask.prompt_tokens += tokens_of(&function.to_string());
        let schema = function.get("parameters").cloned().unwrap_or_default();
        ask.tools.push(Tool { name: name.to_owned(), schema });
    }
    ask.tool_choice = match body.get("tool_choice") {
        Some(Value::String(choice)) if choice == "none" => ToolChoice::None,
        Some(Value::String(choice)) if choice == "required" => ToolChoice::Required,
        Some(choice @ Value::Object(_)) => {
            let name = choice.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Failure::invalid(format!(
                    "Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter."
                ))
                .param("tool_choice", "invalid_value"));
            }
            ToolChoice::Named(name.to_owned())
        }
        Some(Value::String(_)) if tools.is_empty() => {
            return Err(Failure::invalid(
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            )
            .param("tool_choice", "invalid_value"));
        }
        _ => ToolChoice::Auto,
    };
    ask.parallel = body.get("parallel_tool_calls").and_then(Value::as_bool).unwrap_or(true);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wrong_requests_are_refused_by_name() {
        let user = json!([{"role": "user", "content": "hi"}]);
        let cases = [
            (json!({}), "messages"),
            (json!({"messages": "x"}), "messages"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": [{"role": "robot"}]}), "messages[0].role"),
            (json!({"messages": [{"role": "tool", "tool_call_id": "a"}]}), "messages.[0].role"),
            (json!({"messages": user, "temperature": 3}), "temperature"),
            (json!({"messages": user, "n": 0}), "n"),
            (json!({"messages": user, "max_tokens": "9"}), "max_tokens"),
            (json!({"messages": user, "stream_options": {}}), "stream_options"),
            (json!({"messages": user, "tool_choice": "auto"}), "tool_choice"),
            (json!({"messages": user, "tools": [{"function": {}}]}), "tools[0].function.name"),
        ];
        for (body, param) in cases {
            let failure = parse(&body, "m").unwrap_err();
            assert_eq!(failure.param.as_deref(), Some(param), "{body}");
        }
    }

    #[test]
    fn a_request_becomes_an_ask() {
        let body = json!({
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url"}]},
                {"role": "assistant", "tool_calls": [{"id": "c1"}]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
            "tools": [{"function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "stop": "x", "n": 2, "max_completion_tokens": 9, "parallel_tool_calls": false,
            "stream": true, "stream_options": {"include_usage": true},
        });
        let ask = parse(&body, "m").unwrap();
        assert_eq!((ask.last_user.as_str(), ask.tool_results.as_slice()), ("look", &["42".to_owned()][..]));
        assert_eq!((ask.choices, ask.max_tokens, ask.parallel), (2, Some(9), false));
        assert!(ask.stream && ask.include_usage && ask.prompt_tokens > IMAGE_TOKENS);
        assert_eq!(ask.tool_choice, ToolChoice::Named("f".into()));
    }
}
