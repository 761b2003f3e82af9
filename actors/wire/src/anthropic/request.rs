//! A chat request as Anthropic Messages.
//!
//! Every top-level field has one row in [`encode`]: translated, refused by name, or listed as ignored. A field is
//! ignored only if the answer still is what was asked for (`seed` is best effort, `user` of a cache only a hint); a
//! field whose loss would change the answer's meaning (`n`, `logprobs`, audio) is refused.

use sentinel_domain::ApiError;

use super::blocks::CacheMarks;
use super::models::Model;
use super::thinking::{Thinking, decide};
use super::tools::{Tools, unsupported};
use super::{messages, tools};
use crate::dialect::{EncodeOptions, Encoded, Hints};
use crate::json::{Kind, Value, Writer};
use crate::request::ChatRequest;

/// Anthropic "Versioning" (read 2026-11): the only version in use.
const VERSION: &str = "2023-06-01";
/// Anthropic "Files API" (read 2026-11).
const FILES_BETA: &str = "files-api-2025-04-14";
/// The list becomes a header.
const MAX_IGNORED: usize = 24;
const JSON_IN_WORDS: &str = "Answer with a single valid JSON object and nothing else: no introduction, no explanation, no code fence.";

/// Fields that are dropped and listed.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    names: Vec<String>,
}

impl Ignored {
    /// Lists a field. Unknown fields have names that a client chose, and the list becomes a header.
    pub(super) fn add(&mut self, name: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let fits = !name.is_empty() && name.len() <= 64 && name.bytes().all(plain);
        if fits && self.names.len() < MAX_IGNORED && !self.names.iter().any(|listed| listed == name) {
            self.names.push(name.to_owned());
        }
    }
}

pub(crate) fn encode(
    request: &ChatRequest,
    upstream_model: &str,
    options: &EncodeOptions,
) -> Result<Encoded, ApiError> {
    let root = request.root();
    let model = Model::named(upstream_model);
    let mut ignored = Ignored::default();
    let mut own = Vec::new();
    let mut stop = None;
    for (key, value) in root.members().filter(|(_, value)| !value.is_null()) {
        let name = key.as_str().unwrap_or_default();
        match name.as_ref() {
            "model" | "messages" | "stream" | "stream_options" | "max_tokens" | "max_completion_tokens" => {}
            "tools" | "functions" | "tool_choice" | "function_call" | "parallel_tool_calls" => {}
            "response_format" | "reasoning_effort" | "thinking" | "web_search_options" | "output_config" => {}
            "temperature" | "top_p" | "top_k" | "user" | "service_tier" => {}
            "stop" => stop = stop_sequences(value, &mut ignored),
            "n" => {
                if value.as_count() != Some(1) {
                    return Err(unsupported("n", "it gives one choice for a request"));
                }
            }
            "logprobs" => {
                if value.as_bool() == Some(true) {
                    return Err(unsupported("logprobs", "it gives no probabilities"));
                }
            }
            "modalities" => {
                if value.items().any(|kind| !kind.is("text")) {
                    return Err(unsupported("modalities", "it answers with text only"));
                }
            }
            // Anthropic's own fields, from clients that know whom they talk to.
            "container" | "context_management" | "mcp_servers" | "cache_control" | "inference_geo" => {
                own.push((name, value.raw()));
            }
            "metadata" => {
                if value.members().any(|(key, _)| !key.is("user_id")) {
                    ignored.add("metadata");
                }
            }
            "store" if value.as_bool() == Some(false) => {}
            "frequency_penalty" | "presence_penalty" if value.as_f64() == Some(0.0) => {}
            // seed, logit_bias, penalties, top_logprobs, prediction, verbosity, audio, cache hints, and what is unknown.
            name => ignored.add(name),
        }
    }
    let max_tokens = request.max_tokens().or(options.default_max_tokens).unwrap_or(model.max_output);
    let thinking = decide(root, model, max_tokens, &mut ignored)?;
    let mut marks = CacheMarks::count(root);
    let tools = tools::translate(root, model, thinking.on, &mut marks, &mut ignored)?;
    let words = tools.json_in_words.then_some(JSON_IN_WORDS);
    let conversation = messages::translate(root, words, &mut marks, &mut ignored)?;

    let mut out = Writer::with_capacity(request.body().len() + 256);
    out.open_object().field("model", upstream_model).count_field("max_tokens", max_tokens);
    if let Some(system) = &conversation.system {
        out.raw_field("system", system);
    }
    out.raw_field("messages", &conversation.messages);
    for (name, json) in
        [("tools", &tools.tools), ("tool_choice", &tools.choice), ("thinking", &thinking.field)]
    {
        if let Some(json) = json {
            out.raw_field(name, json);
        }
    }
    if let Some(stop) = stop {
        out.raw_field("stop_sequences", &stop);
    }
    sampling(root, model, thinking.on, &mut out, &mut ignored);
    output_config(root, &tools, &thinking, &mut out);
    metadata(root, request, &mut out, &mut ignored);
    service_tier(root, &mut out, &mut ignored);
    for (name, json) in own {
        out.raw_field(&name, json);
    }
    if request.stream() {
        out.key("stream").boolean(true);
    }
    out.close_object();

    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("accept", if request.stream() { "text/event-stream" } else { "application/json" }.to_owned()),
        ("anthropic-version", VERSION.to_owned()),
    ];
    if let Some(betas) = betas(options.anthropic_beta.as_deref(), conversation.needs.files) {
        headers.push(("anthropic-beta", betas));
    }
    Ok(Encoded {
        path: "/messages",
        headers,
        body: out.finish(),
        ignored: ignored.names,
        hints: Hints {
            created: options.created,
            model: upstream_model.to_owned(),
            include_usage: request.include_usage(),
            answer_tool: tools.answer_tool,
            legacy_functions: root.set("functions").is_some() && root.set("tools").is_none(),
        },
    })
}

/// A sequence of nothing but white space is refused by the provider.
fn stop_sequences(value: Value<'_>, ignored: &mut Ignored) -> Option<String> {
    let mut out = Writer::default();
    out.open_array();
    let mut count = 0;
    let one = (value.kind() == Kind::String).then_some(value);
    for sequence in one.into_iter().chain(value.items()) {
        match sequence.as_str() {
            Some(text) if !text.trim().is_empty() => {
                out.string(&text);
                count += 1;
            }
            _ => ignored.add("stop"),
        }
    }
    out.close_array();
    (count > 0).then(|| out.into_text())
}

/// OpenAI's temperature goes to 2, Anthropic's to 1; while it thinks, and on newer models, it is fixed.
fn sampling(root: Value<'_>, model: Model, thinking: bool, out: &mut Writer, ignored: &mut Ignored) {
    let temperature = root.set("temperature");
    let mut sent = false;
    if let Some(value) = temperature {
        let number = value.as_f64().unwrap_or(1.0);
        if model.fixed_sampling || thinking {
            #[expect(clippy::float_cmp, reason = "the default is written as exactly 1")]
            if number != 1.0 {
                ignored.add("temperature");
            }
        } else {
            out.raw_field("temperature", if number > 1.0 { "1" } else { value.raw() });
            sent = true;
        }
    }
    if let Some(value) = root.set("top_p") {
        if model.fixed_sampling || thinking || (sent && model.one_sampling) {
            ignored.add("top_p");
        } else {
            out.raw_field("top_p", value.raw());
        }
    }
    if let Some(value) = root.set("top_k") {
        if model.fixed_sampling || thinking || value.as_count().is_none() {
            ignored.add("top_k");
        } else {
            out.raw_field("top_k", value.raw());
        }
    }
}

fn output_config(root: Value<'_>, tools: &Tools, thinking: &Thinking, out: &mut Writer) {
    let own = root.set("output_config").filter(|config| config.is_object());
    if own.is_none() && tools.format.is_none() && thinking.effort.is_none() {
        return;
    }
    out.key("output_config").open_object();
    let has = |name: &str| own.is_some_and(|config| config.get(name).is_some());
    let (format, effort) = (has("format"), has("effort"));
    for (key, value) in own.into_iter().flat_map(|config| config.members()) {
        out.key(&key.as_str().unwrap_or_default()).raw(value.raw());
    }
    if let Some(json) = tools.format.as_ref().filter(|_| !format) {
        out.raw_field("format", json);
    }
    if let Some(level) = thinking.effort.filter(|_| !effort) {
        out.field("effort", level);
    }
    out.close_object();
}

fn metadata(root: Value<'_>, request: &ChatRequest, out: &mut Writer, ignored: &mut Ignored) {
    let from_metadata = root.get("metadata").and_then(|metadata| metadata.text("user_id"));
    let user = request.user().map(Into::into).or(from_metadata);
    if let Some(user) = user.filter(|user| !user.is_empty()) {
        if user.chars().count() <= 256 {
            out.key("metadata").open_object().field("user_id", &user).close_object();
        } else {
            ignored.add("user");
        }
    }
}

fn service_tier(root: Value<'_>, out: &mut Writer, ignored: &mut Ignored) {
    match root.set("service_tier").and_then(|tier| tier.as_str()).as_deref() {
        None => {}
        Some("auto") => drop(out.field("service_tier", "auto")),
        Some("default" | "standard_only") => drop(out.field("service_tier", "standard_only")),
        Some(_) => ignored.add("service_tier"),
    }
}

/// Merges the client's beta names with those that the request needs, each once.
fn betas(client: Option<&str>, files: bool) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let mut names: Vec<&str> = Vec::new();
    let wanted = client.unwrap_or_default().split(',').map(str::trim).chain(files.then_some(FILES_BETA));
    for name in wanted {
        let fits = !name.is_empty() && name.len() <= 64 && name.bytes().all(plain);
        if fits && names.len() < 16 && !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join(","))
}
