//! Tools, the choice among them, and structured output.

use sentinel_domain::{ApiError, ErrorCode};

use super::ANSWER_TOOL;
use super::blocks::CacheMarks;
use super::models::Model;
use super::request::Ignored;
use super::schema::{write_input_schema, write_output_schema};
use crate::json::{Kind, Value, Writer};

/// What is sent about tools and the shape of the answer.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// The JSON of `tools`.
    pub(super) tools: Option<String>,
    /// The JSON of `tool_choice`.
    pub(super) choice: Option<String>,
    /// The JSON of `output_config.format`.
    pub(super) format: Option<String>,
    /// The answer comes through [`ANSWER_TOOL`].
    pub(super) answer_tool: bool,
    /// The answer is asked to be a JSON object in words.
    pub(super) json_in_words: bool,
}

/// A choice that the client made.
enum Choice<'a> {
    Open,
    None,
    Any,
    Tool(std::borrow::Cow<'a, str>),
}

pub(super) fn translate(
    root: Value<'_>,
    model: Model,
    thinking: bool,
    marks: &mut CacheMarks,
    ignored: &mut Ignored,
) -> Result<Tools, ApiError> {
    let mut result = Tools::default();
    let mut out = Writer::default();
    out.open_array();
    let mut count = 0_usize;
    let allowed = allowed_tools(root);
    for (at, tool) in root.set("tools").into_iter().flat_map(|tools| tools.items()).enumerate() {
        if write_tool(&mut out, at, tool, model, allowed, marks)? {
            count += 1;
        }
    }
    for function in root.set("functions").into_iter().flat_map(|functions| functions.items()) {
        write_function(&mut out, function, function, model, marks);
        count += 1;
    }
    if let Some(options) = root.set("web_search_options") {
        write_web_search(&mut out, options);
        count += 1;
    }
    let mut choice = if count > 0 { choice(root)? } else { Choice::Open };
    let forced = format(root, model, count, &mut choice, &mut out, &mut result);
    out.close_array();
    if count == 0 && !forced {
        return Ok(result);
    }
    result.tools = Some(out.into_text());
    if thinking && matches!(choice, Choice::Any | Choice::Tool(_)) {
        // A model that thinks cannot be forced (Anthropic "Extended thinking", "Thinking with tool use").
        choice = Choice::Open;
        if !forced {
            ignored.add("tool_choice");
        }
    }
    let parallel = root.get("parallel_tool_calls").and_then(|parallel| parallel.as_bool());
    result.choice = choice_json(root, &choice, parallel);
    Ok(result)
}

/// Decides how the answer gets its shape; says whether the answer tool was added.
fn format(
    root: Value<'_>,
    model: Model,
    tools: usize,
    choice: &mut Choice<'_>,
    out: &mut Writer,
    result: &mut Tools,
) -> bool {
    let Some(format) = root.set("response_format") else { return false };
    let described = format.get("json_schema");
    let schema = described.and_then(|described| described.set("schema")).or_else(|| format.set("schema"));
    match (format.text("type").as_deref(), schema) {
        (Some("json_schema"), Some(schema)) if model.structured => {
            let mut config = Writer::default();
            config.open_object().field("type", "json_schema").key("schema");
            write_output_schema(&mut config, schema);
            config.close_object();
            result.format = Some(config.into_text());
            false
        }
        (Some("json_schema"), Some(schema)) => {
            out.open_object().field("name", ANSWER_TOOL);
            let description = described.and_then(|described| described.text("description"));
            out.field(
                "description",
                description.as_deref().unwrap_or("Gives the final answer. Call it exactly once."),
            );
            out.key("input_schema");
            write_input_schema(out, Some(schema));
            out.close_object();
            result.answer_tool = true;
            match choice {
                Choice::Open | Choice::None if tools == 0 => *choice = Choice::Tool(ANSWER_TOOL.into()),
                Choice::Open => *choice = Choice::Any,
                Choice::None => *choice = Choice::Tool(ANSWER_TOOL.into()),
                Choice::Any | Choice::Tool(_) => {}
            }
            true
        }
        (Some("json_schema" | "json_object"), _) => {
            result.json_in_words = true;
            false
        }
        _ => false,
    }
}

fn choice(root: Value<'_>) -> Result<Choice<'_>, ApiError> {
    let Some(value) = root.set("tool_choice") else {
        return Ok(match root.set("function_call") {
            Some(call) if call.is("none") => Choice::None,
            Some(call) => call.text("name").map_or(Choice::Open, Choice::Tool),
            None => Choice::Open,
        });
    };
    match value.as_str().as_deref() {
        Some("none") => return Ok(Choice::None),
        Some("required" | "any") => return Ok(Choice::Any),
        Some(_) => return Ok(Choice::Open),
        None => {}
    }
    match value.text("type").as_deref() {
        Some("function") => Ok(value
            .get("function")
            .and_then(|function| function.text("name"))
            .map_or(Choice::Open, Choice::Tool)),
        Some("allowed_tools") => {
            let required = value
                .get("allowed_tools")
                .unwrap_or(value)
                .get("mode")
                .is_some_and(|mode| mode.is("required"));
            Ok(if required { Choice::Any } else { Choice::Open })
        }
        _ => Err(unsupported("tool_choice.type", "this provider knows function tools only")),
    }
}

/// Returns the list of tools that the client restricts the choice to.
fn allowed_tools(root: Value<'_>) -> Option<Value<'_>> {
    let choice = root.set("tool_choice")?;
    if !choice.get("type")?.is("allowed_tools") {
        return None;
    }
    choice.get("allowed_tools").unwrap_or(choice).get("tools").filter(|tools| tools.is_array())
}

fn choice_json(root: Value<'_>, choice: &Choice<'_>, parallel: Option<bool>) -> Option<String> {
    // One call at a time is said inside the choice, so an open one is written out for it.
    let single = parallel == Some(false);
    let explicit = root.set("tool_choice").is_some() || root.set("function_call").is_some();
    let mut out = Writer::default();
    out.open_object();
    match choice {
        Choice::Open if !single && !explicit => return None,
        Choice::Open => out.field("type", "auto"),
        Choice::None => return Some(r#"{"type":"none"}"#.to_owned()),
        Choice::Any => out.field("type", "any"),
        Choice::Tool(name) => out.field("type", "tool").field("name", name),
    };
    if let Some(parallel) = parallel {
        out.key("disable_parallel_tool_use").boolean(!parallel);
    }
    out.close_object();
    Some(out.into_text())
}

/// Writes one tool; says whether it is offered at all.
fn write_tool(
    out: &mut Writer,
    at: usize,
    tool: Value<'_>,
    model: Model,
    allowed: Option<Value<'_>>,
    marks: &mut CacheMarks,
) -> Result<bool, ApiError> {
    let untyped = tool.get("function").map(|_| "function");
    match tool.text("type").as_deref().or(untyped) {
        Some("function") => {
            let Some(function) = tool.get("function") else { return Ok(false) };
            if let Some(allowed) = allowed {
                let name = function.text("name").unwrap_or_default();
                let listed = allowed.items().any(|entry| {
                    entry.get("function").unwrap_or(entry).get("name").is_some_and(|listed| listed.is(&name))
                });
                if !listed {
                    return Ok(false);
                }
            }
            write_function(out, function, tool, model, marks);
            Ok(true)
        }
        // The provider's own tools, such as `web_search_20250305`, have a name and are passed on as they are.
        Some(kind) if kind != "custom" && tool.text("name").is_some() => {
            out.raw(tool.raw());
            Ok(true)
        }
        _ => Err(unsupported(
            &format!("tools[{at}].type"),
            "this provider knows tools with a JSON schema only; use a function tool",
        )),
    }
}

fn write_function(
    out: &mut Writer,
    function: Value<'_>,
    tool: Value<'_>,
    model: Model,
    marks: &mut CacheMarks,
) {
    out.open_object().field("name", &function.text("name").unwrap_or_default());
    if let Some(description) = function.text("description") {
        out.field("description", &description);
    }
    out.key("input_schema");
    let strict = model.structured && function.get("strict").and_then(|strict| strict.as_bool()) == Some(true);
    match function.set("parameters").filter(|_| strict) {
        Some(parameters) => {
            let mut schema = Writer::default();
            write_output_schema(&mut schema, parameters);
            out.raw(&schema.into_text()).key("strict").boolean(true);
        }
        None => write_input_schema(out, function.set("parameters")),
    }
    marks.copy(out, tool.get("cache_control").or_else(|| function.get("cache_control")));
    out.close_object();
}

/// OpenAI's web search becomes the provider's own (Anthropic "Web search tool", read 2026-11).
fn write_web_search(out: &mut Writer, options: Value<'_>) {
    out.open_object().field("type", "web_search_20250305").field("name", "web_search");
    let place = options.set("user_location").and_then(|location| location.set("approximate"));
    if let Some(place) = place.filter(|place| place.is_object()) {
        out.key("user_location").open_object().field("type", "approximate");
        for (key, value) in place.members() {
            if value.kind() == Kind::String && !key.is("type") {
                out.key(&key.as_str().unwrap_or_default()).raw(value.raw());
            }
        }
        out.close_object();
    }
    out.close_object();
}

pub(super) fn unsupported(path: &str, why: &str) -> ApiError {
    ApiError::new(ErrorCode::UnsupportedParameter, format!("`{path}` cannot be sent to this provider: {why}"))
        .param(path.to_owned())
}
