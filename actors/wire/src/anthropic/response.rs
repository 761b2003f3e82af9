//! A whole answer of Anthropic's as a chat completion.

use std::borrow::Cow;

use bytes::Bytes;

use super::usage::{Counts, write_usage};
use super::{ANSWER_TOOL, answer_id, finish_reason};
use crate::completion::Completion;
use crate::dialect::Hints;
use crate::failure::UpstreamFailure;
use crate::json::{Rules, Tape, Value, Writer};
use crate::report::Report;

/// What the blocks of an answer amount to.
#[derive(Default)]
struct Answer<'a> {
    text: String,
    reasoning: String,
    /// Thinking as it has to be sent back.
    thinking: Vec<Value<'a>>,
    calls: Vec<Value<'a>>,
    /// Input of the tool that the gateway added.
    answered: bool,
    citations: Vec<String>,
}

pub(crate) fn decode(status: u16, body: Bytes, hints: &Hints) -> Result<Completion, UpstreamFailure> {
    let malformed = |what| UpstreamFailure::malformed(status, what);
    let tape =
        Tape::read(&body, Rules::ANSWER).map_err(|_| malformed("the provider's answer is not valid JSON"))?;
    let root = tape.root(&body);
    if Report::is_error(root) {
        return Err(UpstreamFailure::from_object(root));
    }
    let content = root
        .get("content")
        .filter(|content| content.is_array())
        .ok_or_else(|| malformed("the provider's answer has no content"))?;
    let mut answer = Answer::default();
    for block in content.items() {
        answer.block(block, hints);
    }
    let mut counts = Counts::default();
    if let Some(usage) = root.set("usage") {
        counts.update(usage);
    }
    let usage = counts.usage();

    let mut out = Writer::with_capacity(body.len() + 512);
    out.open_object().field("id", &answer_id(&root.text("id").unwrap_or_default()));
    out.field("object", "chat.completion").count_field("created", hints.created);
    out.field("model", root.text("model").as_deref().unwrap_or(&hints.model));
    out.key("choices").open_array().open_object().count_field("index", 0);
    answer.write_message(&mut out, root, hints);
    out.key("logprobs")
        .null()
        .field("finish_reason", answer.finish(root, hints))
        .close_object()
        .close_array();
    if let Some(usage) = &usage {
        out.raw_field("usage", &write_usage(usage));
    }
    out.close_object();
    let body = out.finish();
    let tape = Tape::read(&body, Rules { max_depth: 256, ..Rules::ANSWER })
        .map_err(|_| malformed("the provider's answer cannot be translated"))?;
    Ok(Completion::new(body, tape, usage))
}

impl<'a> Answer<'a> {
    /// Takes a block. The provider's own tools (`server_tool_use`, `*_tool_result`, `mcp_tool_use`) and blocks that are
    /// not known yet are its own affair: a client could neither run nor answer them.
    fn block(&mut self, block: Value<'a>, hints: &Hints) {
        match block.text("type").as_deref() {
            Some("text") => {
                let before = self.text.chars().count();
                self.text.push_str(&block.text("text").unwrap_or_default());
                let after = self.text.chars().count();
                for citation in block.get("citations").into_iter().flat_map(|citations| citations.items()) {
                    self.citations.extend(annotation(citation, before, after));
                }
            }
            Some("thinking") => {
                self.reasoning.push_str(&block.text("thinking").unwrap_or_default());
                self.thinking.push(block);
            }
            Some("redacted_thinking") => self.thinking.push(block),
            Some("tool_use")
                if hints.answer_tool && block.get("name").is_some_and(|name| name.is(ANSWER_TOOL)) =>
            {
                self.answered = true;
                self.text.push_str(block.get("input").map_or("{}", |input| input.raw()));
            }
            Some("tool_use") => self.calls.push(block),
            _ => {}
        }
    }

    fn write_message(&self, out: &mut Writer, root: Value<'_>, hints: &Hints) {
        out.key("message").open_object().field("role", "assistant").key("content");
        if self.text.is_empty() && !self.calls.is_empty() {
            out.null();
        } else {
            out.string(&self.text);
        }
        out.key("refusal");
        match self.refusal(root) {
            Some(why) => drop(out.string(&why)),
            None => drop(out.null()),
        }
        out.key("annotations").open_array();
        for citation in &self.citations {
            out.raw(citation);
        }
        out.close_array();
        if !self.reasoning.is_empty() {
            out.field("reasoning_content", &self.reasoning);
        }
        if !self.thinking.is_empty() {
            out.key("thinking_blocks").open_array();
            for block in &self.thinking {
                out.raw(block.raw());
            }
            out.close_array();
        }
        match self.calls.first() {
            Some(call) if hints.legacy_functions => {
                out.key("function_call");
                write_function(out, *call);
            }
            Some(_) => {
                out.key("tool_calls").open_array();
                for call in &self.calls {
                    out.open_object()
                        .field("id", &call.text("id").unwrap_or_default())
                        .field("type", "function");
                    out.key("function");
                    write_function(out, *call);
                    out.close_object();
                }
                out.close_array();
            }
            None => {}
        }
        out.close_object();
    }

    /// A refusal without any text is explained, if the provider explains it.
    fn refusal<'r>(&self, root: Value<'r>) -> Option<Cow<'r, str>> {
        if !self.text.is_empty() || !root.get("stop_reason").is_some_and(|reason| reason.is("refusal")) {
            return None;
        }
        root.get("stop_details").and_then(|details| details.text("explanation")).filter(|why| !why.is_empty())
    }

    fn finish(&self, root: Value<'_>, hints: &Hints) -> &'static str {
        match finish_reason(&root.text("stop_reason").unwrap_or_default()) {
            "tool_calls" if self.calls.is_empty() && self.answered => "stop",
            "tool_calls" if hints.legacy_functions => "function_call",
            reason => reason,
        }
    }
}

fn write_function(out: &mut Writer, call: Value<'_>) {
    out.open_object().field("name", &call.text("name").unwrap_or_default());
    out.field(
        "arguments",
        call.get("input").filter(|input| !input.is_null()).map_or("{}", |input| input.raw()),
    );
    out.close_object();
}

/// Returns OpenAI's annotation for a citation of a web page; other citations have no counterpart.
fn annotation(citation: Value<'_>, start: usize, end: usize) -> Option<String> {
    let url = citation.text("url")?;
    let mut out = Writer::default();
    out.open_object().field("type", "url_citation").key("url_citation").open_object();
    out.count_field("start_index", start as u64).count_field("end_index", end as u64);
    out.field("title", &citation.text("title").unwrap_or_default()).field("url", &url);
    out.close_object().close_object();
    Some(out.into_text())
}
