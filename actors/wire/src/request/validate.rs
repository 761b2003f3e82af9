//! The rules of every field of a chat request. One table row a field; unknown fields pass.
//!
//! Ranges: OpenAI API reference, "Create chat completion" (read 2026-11). Only what no compatible provider accepts is
//! refused here; whatever depends on the model or the vendor is left to them.

use std::borrow::Cow;
use std::fmt::{Arguments, Display};

use sentinel_domain::{ApiError, ErrorCode};

use super::messages::messages;
use super::{Facts, Limits};
use crate::json::{Kind, Value};

pub(super) const MAX_NAME_CHARS: usize = 256;
const MAX_TOOLS: usize = 128;
const MAX_CHOICES: i64 = 128;
const MAX_STOPS: usize = 4;

pub(super) type Checked<T> = Result<T, ApiError>;

pub(super) fn validate(root: Value<'_>, limits: &Limits) -> Checked<Facts> {
    if !root.is_object() {
        return Err(ApiError::new(
            ErrorCode::InvalidValue,
            format!("the body must be a JSON object, not {}", root.kind().name()),
        ));
    }
    let mut facts = Facts { n: 1, ..Facts::default() };
    let mut model = None;
    let mut list = None;
    let mut stream_options = None;
    let mut max_completion_tokens = None;
    for (key, value) in root.members() {
        let name = key.as_str().unwrap_or_default();
        match name.as_ref() {
            "model" => model = Some(value),
            "messages" => list = Some(value),
            _ if value.is_null() => {}
            "stream" => facts.stream = boolean(value, "stream")?,
            "stream_options" => stream_options = Some(value),
            "max_tokens" => facts.max_tokens = Some(positive(value, "max_tokens")?),
            "max_completion_tokens" => {
                max_completion_tokens = Some(positive(value, "max_completion_tokens")?);
            }
            "n" => {
                let n = whole(value, "n", 1, MAX_CHOICES)?;
                facts.n = u32::try_from(n).unwrap_or(1);
            }
            "user" => facts.user = Some(identifier(value, "user", usize::MAX)?.into_owned()),
            "temperature" => number(value, "temperature", 0.0, 2.0)?,
            "top_p" => number(value, "top_p", 0.0, 1.0)?,
            "frequency_penalty" => number(value, "frequency_penalty", -2.0, 2.0)?,
            "presence_penalty" => number(value, "presence_penalty", -2.0, 2.0)?,
            "logprobs" => drop(boolean(value, "logprobs")?),
            "top_logprobs" => drop(whole(value, "top_logprobs", 0, 20)?),
            "seed" => drop(whole(value, "seed", i64::MIN, i64::MAX)?),
            "store" => drop(boolean(value, "store")?),
            "parallel_tool_calls" => drop(boolean(value, "parallel_tool_calls")?),
            "stop" => stop(value)?,
            "logit_bias" => logit_bias(value)?,
            "tools" => facts.has_tools = tools(value)?,
            "functions" => facts.has_tools |= functions(value)?,
            "tool_choice" => tool_choice(value)?,
            "function_call" => function_choice(value)?,
            "response_format" => response_format(value)?,
            "metadata" => object(value, "metadata")?,
            "audio" => object(value, "audio")?,
            "prediction" => object(value, "prediction")?,
            "web_search_options" => object(value, "web_search_options")?,
            "modalities" => strings(value, "modalities")?,
            "reasoning_effort" => check_string(value, "reasoning_effort")?,
            "verbosity" => check_string(value, "verbosity")?,
            "service_tier" => check_string(value, "service_tier")?,
            "safety_identifier" => check_identifier(value, "safety_identifier", usize::MAX)?,
            "prompt_cache_key" => check_string(value, "prompt_cache_key")?,
            "prompt_cache_retention" => check_string(value, "prompt_cache_retention")?,
            _ => {}
        }
    }
    facts.model = model_name(model)?;
    facts.max_tokens = max_completion_tokens.or(facts.max_tokens);
    if let Some(options) = stream_options {
        facts.include_usage = include_usage(options, facts.stream)?;
    }
    facts.messages = messages(list, limits)?;
    Ok(facts)
}

fn model_name(model: Option<Value<'_>>) -> Checked<String> {
    let value = model.ok_or_else(|| missing("model"))?;
    let name = identifier(value, "model", MAX_NAME_CHARS)?;
    if name.trim().is_empty() { Err(invalid("model", "must not be empty")) } else { Ok(name.into_owned()) }
}

fn include_usage(options: Value<'_>, stream: bool) -> Checked<bool> {
    if !stream {
        return Err(invalid("stream_options", "is only allowed with `stream` set to true"));
    }
    object(options, "stream_options")?;
    match options.set("include_usage") {
        Some(value) => boolean(value, "stream_options.include_usage"),
        None => Ok(false),
    }
}

fn stop(value: Value<'_>) -> Checked<()> {
    if value.kind() == Kind::String {
        return Ok(());
    }
    if !value.is_array() {
        return Err(wrong_type("stop", "a string or an array of strings", value));
    }
    if value.items().count() > MAX_STOPS {
        return Err(invalid("stop", format_args!("must not hold more than {MAX_STOPS} sequences")));
    }
    strings(value, "stop")
}

fn logit_bias(value: Value<'_>) -> Checked<()> {
    object(value, "logit_bias")?;
    for (key, bias) in value.members() {
        number(bias, format_args!("logit_bias.{}", Shown(key)), -100.0, 100.0)?;
    }
    Ok(())
}

fn tools(value: Value<'_>) -> Checked<bool> {
    array(value, "tools")?;
    let count = value.items().count();
    if count > MAX_TOOLS {
        return Err(invalid(
            "tools",
            format!("must not hold more than {MAX_TOOLS} tools, and there are {count}"),
        ));
    }
    for (at, tool) in value.items().enumerate() {
        object(tool, format_args!("tools[{at}]"))?;
        // Some vendors take a tool without a type for a function.
        let kind = match tool.get("type") {
            None if tool.get("function").is_some() => None,
            _ => Some(required(tool, "type", format_args!("tools[{at}].type"))?),
        };
        if let Some(kind) = kind {
            check_string(kind, format_args!("tools[{at}].type"))?;
        }
        if kind.is_none_or(|kind| kind.is("function")) {
            let function = required(tool, "function", format_args!("tools[{at}].function"))?;
            self::function(function, format_args!("tools[{at}].function"))?;
        }
    }
    Ok(count > 0)
}

fn functions(value: Value<'_>) -> Checked<bool> {
    array(value, "functions")?;
    let count = value.items().count();
    if count > MAX_TOOLS {
        return Err(invalid("functions", format_args!("must not hold more than {MAX_TOOLS} functions")));
    }
    for (at, function) in value.items().enumerate() {
        self::function(function, format_args!("functions[{at}]"))?;
    }
    Ok(count > 0)
}

fn function(function: Value<'_>, path: Arguments<'_>) -> Checked<()> {
    object(function, path)?;
    let name = required(function, "name", format_args!("{path}.name"))?;
    function_name(name, format_args!("{path}.name"))?;
    if let Some(parameters) = function.set("parameters") {
        object(parameters, format_args!("{path}.parameters"))?;
    }
    if let Some(description) = function.set("description") {
        string(description, format_args!("{path}.description"))?;
    }
    if let Some(strict) = function.set("strict") {
        boolean(strict, format_args!("{path}.strict"))?;
    }
    Ok(())
}

pub(super) fn function_name(value: Value<'_>, path: impl Display + Copy) -> Checked<()> {
    check_identifier(value, path, MAX_NAME_CHARS)?;
    if value.is("") { Err(invalid(path, "must not be empty")) } else { Ok(()) }
}

fn tool_choice(value: Value<'_>) -> Checked<()> {
    match value.kind() {
        // `any` is what Mistral calls `required`.
        Kind::String if ["auto", "none", "required", "any"].iter().any(|word| value.is(word)) => Ok(()),
        Kind::String => Err(invalid("tool_choice", "must be `none`, `auto`, `required` or an object")),
        Kind::Object => {
            let kind = required(value, "type", "tool_choice.type")?;
            if string(kind, "tool_choice.type")? == "function" {
                let function = required(value, "function", "tool_choice.function")?;
                object(function, "tool_choice.function")?;
                let path = "tool_choice.function.name";
                function_name(required(function, "name", path)?, path)?;
            }
            Ok(())
        }
        _ => Err(wrong_type("tool_choice", "a string or an object", value)),
    }
}

fn function_choice(value: Value<'_>) -> Checked<()> {
    match value.kind() {
        Kind::String if value.is("auto") || value.is("none") => Ok(()),
        Kind::String => Err(invalid("function_call", "must be `none`, `auto` or an object with a name")),
        Kind::Object => function_name(required(value, "name", "function_call.name")?, "function_call.name"),
        _ => Err(wrong_type("function_call", "a string or an object", value)),
    }
}

fn response_format(value: Value<'_>) -> Checked<()> {
    object(value, "response_format")?;
    let kind = required(value, "type", "response_format.type")?;
    if string(kind, "response_format.type")? == "json_schema" {
        let schema = required(value, "json_schema", "response_format.json_schema")?;
        object(schema, "response_format.json_schema")?;
        let name = required(schema, "name", "response_format.json_schema.name")?;
        function_name(name, "response_format.json_schema.name")?;
        if let Some(inner) = schema.set("schema") {
            object(inner, "response_format.json_schema.schema")?;
        }
        if let Some(strict) = schema.set("strict") {
            boolean(strict, "response_format.json_schema.strict")?;
        }
    }
    Ok(())
}

// The building blocks. A path is only put together for a refusal.

pub(super) fn missing(path: impl Display) -> ApiError {
    ApiError::new(ErrorCode::MissingField, format!("`{path}` is required")).param(path.to_string())
}

pub(crate) fn invalid(path: impl Display, why: impl Display) -> ApiError {
    ApiError::new(ErrorCode::InvalidValue, format!("`{path}` {why}")).param(path.to_string())
}

pub(super) fn wrong_type(path: impl Display, expected: &str, value: Value<'_>) -> ApiError {
    invalid(path, format_args!("must be {expected}, not {}", value.kind().name()))
}

pub(super) fn required<'a>(object: Value<'a>, name: &str, path: impl Display) -> Checked<Value<'a>> {
    object.get(name).ok_or_else(|| missing(path))
}

pub(super) fn boolean(value: Value<'_>, path: impl Display) -> Checked<bool> {
    value.as_bool().ok_or_else(|| wrong_type(path, "a boolean", value))
}

pub(super) fn object(value: Value<'_>, path: impl Display) -> Checked<()> {
    if value.is_object() { Ok(()) } else { Err(wrong_type(path, "an object", value)) }
}

pub(super) fn array(value: Value<'_>, path: impl Display) -> Checked<()> {
    if value.is_array() { Ok(()) } else { Err(wrong_type(path, "an array", value)) }
}

pub(super) fn string<'a>(value: Value<'a>, path: impl Display) -> Checked<Cow<'a, str>> {
    value.as_str().ok_or_else(|| wrong_type(path, "a string", value))
}

/// Checks that a value is a string, without decoding it.
pub(super) fn check_string(value: Value<'_>, path: impl Display) -> Checked<()> {
    if value.kind() == Kind::String { Ok(()) } else { Err(wrong_type(path, "a string", value)) }
}

fn strings(value: Value<'_>, path: &str) -> Checked<()> {
    array(value, path)?;
    value.items().enumerate().try_for_each(|(at, item)| check_string(item, format_args!("{path}[{at}]")))
}

/// Checks a string that is used as a name: no control characters, not too long.
pub(super) fn check_identifier(value: Value<'_>, path: impl Display, max_chars: usize) -> Checked<()> {
    identifier(value, path, max_chars).map(drop)
}

fn identifier<'a>(value: Value<'a>, path: impl Display, max_chars: usize) -> Checked<Cow<'a, str>> {
    let Some(text) = value.as_str() else { return Err(wrong_type(path, "a string", value)) };
    if text.chars().any(char::is_control) {
        return Err(invalid(path, "must not contain control characters"));
    }
    if text.len() > max_chars && text.chars().count() > max_chars {
        return Err(invalid(path, format_args!("must not be longer than {max_chars} characters")));
    }
    Ok(text)
}

fn number(value: Value<'_>, path: impl Display, low: f64, high: f64) -> Checked<()> {
    if value.kind() != Kind::Number {
        return Err(wrong_type(path, "a number", value));
    }
    match value.as_f64() {
        Some(number) if (low..=high).contains(&number) => Ok(()),
        _ => Err(invalid(path, format_args!("must be between {low} and {high}"))),
    }
}

fn whole(value: Value<'_>, path: &str, low: i64, high: i64) -> Checked<i64> {
    if value.kind() != Kind::Number {
        return Err(wrong_type(path, "an integer", value));
    }
    match value.as_i64() {
        Some(number) if (low..=high).contains(&number) => Ok(number),
        Some(_) => Err(invalid(path, format_args!("must be between {low} and {high}"))),
        None => Err(invalid(path, "must be an integer")),
    }
}

fn positive(value: Value<'_>, path: &str) -> Checked<u64> {
    if value.kind() != Kind::Number {
        return Err(wrong_type(path, "an integer", value));
    }
    match value.as_i64() {
        Some(number) if number >= 1 => Ok(number.unsigned_abs()),
        Some(_) => Err(invalid(path, "must be at least 1")),
        None => Err(invalid(path, "must be an integer of at least 1")),
    }
}

/// A name that the client chose, as it may stand in a message.
struct Shown<'a>(Value<'a>);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.0.as_str().unwrap_or_default();
        name.chars()
            .filter(|letter| !letter.is_control())
            .take(64)
            .try_for_each(|letter| write!(f, "{letter}"))
    }
}
