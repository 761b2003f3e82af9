//! What a request asks for, in words that both wire formats share.

use serde_json::Value;

/// The wire format of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    OpenAi,
    Anthropic,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Format {
    Text,
    AnyJson,
    Schema(Value),
}

/// The kind of text that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Style {
    /// The mock's own words, this many pieces.
    Words(usize),
    /// The last user text.
    Echo,
    /// Text of two, three and four byte characters.
    Unicode,
    /// A given text.
    Fixed(String),
    Refusal,
}

/// A request that passed validation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    pub(crate) wire: Wire,
    /// The model name without fault suffix.
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// Random padding on stream chunks, as OpenAI sends unless it is switched off.
    pub(crate) obfuscate: bool,
    pub(crate) choices: usize,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) parallel: bool,
    /// Calls tools although the prompt does not ask for it.
    pub(crate) force_tools: bool,
    pub(crate) format: Format,
    pub(crate) thinking: bool,
    pub(crate) logprobs: bool,
    pub(crate) last_user: String,
    /// Texts of tool results in the last turn; the model then answers instead of calling again.
    pub(crate) tool_results: Vec<String>,
    pub(crate) prompt_tokens: i64,
    pub(crate) cached_tokens: i64,
    pub(crate) cache_write_tokens: i64,
    pub(crate) style: Style,
}

impl Ask {
    pub(crate) fn new(wire: Wire, model: &str) -> Self {
        Self {
            wire,
            model: model.to_owned(),
            stream: false,
            include_usage: false,
            obfuscate: true,
            choices: 1,
            max_tokens: None,
            stop: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            parallel: true,
            force_tools: false,
            format: Format::Text,
            thinking: false,
            logprobs: false,
            last_user: String::new(),
            tool_results: Vec::new(),
            prompt_tokens: 0,
            cached_tokens: 0,
            cache_write_tokens: 0,
            style: Style::Words(24),
        }
    }
}

/// Returns the plausible number of tokens of a text: four characters each, at least one when there is any.
pub(crate) fn tokens_of(text: &str) -> i64 {
    let characters = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    (characters + 3) / 4
}

/// Returns the text of a message content, which is a string or a list of parts.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
