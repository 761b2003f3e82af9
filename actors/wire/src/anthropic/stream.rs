//! A streamed answer of Anthropic's as chat completion chunks.

use smallvec::SmallVec;

use super::usage::{Counts, write_usage};
use super::{ANSWER_TOOL, answer_id, finish_reason};
use crate::chunk::TrackKind;
use crate::failure::UpstreamFailure;
use crate::json::{Rules, Tape, Value};
use crate::report::Report;
use crate::sse::SseEvent;
use crate::stream::StreamState;

/// Thinking that is kept to be sent back; what is longer is shown, but cannot be replayed.
const MAX_KEPT_THINKING: usize = 4 * 1024 * 1024;
/// Blocks open at once. They do not interleave in practice.
const MAX_OPEN: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct AnthropicStream {
    tape: Tape,
    counts: Counts,
    begun: bool,
    open: SmallVec<[(u64, Block); 1]>,
    /// Tool calls of the client's own tools so far: OpenAI counts these, Anthropic counts all blocks.
    calls: u32,
    /// Thinking blocks so far.
    thoughts: u64,
    answered: bool,
    stop_reason: Option<String>,
    explanation: Option<String>,
    has_text: bool,
}

/// What an open block is.
#[derive(Debug)]
enum Block {
    Text,
    Thinking {
        text: String,
        signature: String,
    },
    /// A call of one of the client's tools; `input` is what stood at the start, `any` says that arguments came.
    Tool {
        index: u32,
        input: String,
        any: bool,
    },
    /// A call of the tool that the gateway added: its arguments are the answer's text.
    Answer,
    /// The provider's own affair.
    Other,
}

impl AnthropicStream {
    pub(crate) fn event(&mut self, event: &SseEvent, state: &mut StreamState) {
        let data = event.data.trim_ascii();
        // Gateways that imitate Anthropic end with OpenAI's mark.
        if data.is_empty() || data == b"[DONE]" {
            return;
        }
        let mut tape = std::mem::take(&mut self.tape);
        match tape.refill(&event.data, Rules::ANSWER) {
            Ok(()) => self.object(tape.root(&event.data), state),
            Err(_) => state.fail(UpstreamFailure::malformed(200, "the provider's stream holds invalid JSON")),
        }
        self.tape = tape;
    }

    /// Only `message_stop` ends an answer; anything before it is a cut.
    #[expect(clippy::unused_self, reason = "the dialects have one shape")]
    pub(crate) fn end_of_bytes(&mut self, state: &mut StreamState) {
        state.fail_truncated();
    }

    fn object(&mut self, root: Value<'_>, state: &mut StreamState) {
        if Report::is_error(root) {
            return state.fail(UpstreamFailure::from_object(root));
        }
        match root.text("type").as_deref() {
            Some("message_start") => self.message_start(root.get("message"), state),
            Some("content_block_start") => {
                if let Some(block) = root.get("content_block") {
                    self.begin(state);
                    self.block_start(index_of(root), block, state);
                }
            }
            Some("content_block_delta") => {
                if let Some(delta) = root.get("delta") {
                    self.block_delta(index_of(root), delta, state);
                }
            }
            Some("content_block_stop") => self.block_stop(index_of(root), state),
            Some("message_delta") => self.message_delta(root, state),
            Some("message_stop") => self.message_stop(state),
            // Pings, and events that are not known yet.
            _ => {}
        }
    }

    fn message_start(&mut self, message: Option<Value<'_>>, state: &mut StreamState) {
        if let Some(message) = message.filter(|_| !self.begun) {
            state.id = answer_id(&message.text("id").unwrap_or_default());
            if let Some(model) = message.text("model").filter(|model| !model.is_empty()) {
                state.model = model.into_owned();
            }
            self.usage(message, state);
        }
        self.begin(state);
    }

    /// Sends the role, once.
    fn begin(&mut self, state: &mut StreamState) {
        if !self.begun {
            self.begun = true;
            let mut chunk = state.chunk(0, None, |out| {
                out.field("role", "assistant").field("content", "").key("refusal").null();
                None
            });
            chunk.meaningful = false;
            state.push(chunk);
        }
    }

    fn usage(&mut self, object: Value<'_>, state: &mut StreamState) {
        if let Some(usage) = object.set("usage") {
            self.counts.update(usage);
            state.usage = self.counts.usage();
        }
    }

    fn block_start(&mut self, index: u64, block: Value<'_>, state: &mut StreamState) {
        let open = match block.text("type").as_deref() {
            Some("text") => {
                self.text(&block.text("text").unwrap_or_default(), state);
                Block::Text
            }
            Some("thinking") => {
                let text = block.text("thinking").unwrap_or_default().into_owned();
                reasoning(&text, state);
                Block::Thinking { text, signature: block.text("signature").unwrap_or_default().into_owned() }
            }
            Some("redacted_thinking") => {
                self.thought(
                    state,
                    "redacted_thinking",
                    &[("data", &block.text("data").unwrap_or_default())],
                );
                Block::Other
            }
            Some("tool_use") => self.tool_start(block, state),
            _ => Block::Other,
        };
        self.open.retain(|(open, _)| *open != index);
        if self.open.len() < MAX_OPEN {
            self.open.push((index, open));
        }
    }

    fn tool_start(&mut self, block: Value<'_>, state: &mut StreamState) -> Block {
        if state.hints.answer_tool && block.get("name").is_some_and(|name| name.is(ANSWER_TOOL)) {
            self.answered = true;
            return Block::Answer;
        }
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        let (id, name) = (block.text("id").unwrap_or_default(), block.text("name").unwrap_or_default());
        let legacy = state.hints.legacy_functions;
        // Of several calls an old client can only be told the first.
        if !(legacy && index > 0) {
            let mut chunk = state.chunk(0, None, |out| {
                if legacy {
                    out.key("function_call").open_object();
                } else {
                    out.key("tool_calls").open_array().open_object().count_field("index", u64::from(index));
                    out.field("id", &id).field("type", "function").key("function").open_object();
                }
                out.field("name", &name).field("arguments", "").close_object();
                if !legacy {
                    out.close_object().close_array();
                }
                None
            });
            chunk.meaningful = true;
            state.push(chunk);
        }
        let input = block.get("input").filter(|input| input.members().next().is_some());
        Block::Tool { index, input: input.map_or("{}", |input| input.raw()).to_owned(), any: false }
    }

    fn block_delta(&mut self, index: u64, delta: Value<'_>, state: &mut StreamState) {
        let Some(at) = self.open.iter().position(|(open, _)| *open == index) else { return };
        let Some((_, block)) = self.open.get_mut(at) else { return };
        match (block, delta.text("type").as_deref()) {
            (Block::Text, Some("text_delta")) => self.text(&delta.text("text").unwrap_or_default(), state),
            (Block::Thinking { text, .. }, Some("thinking_delta")) => {
                let piece = delta.text("thinking").unwrap_or_default();
                if text.len() + piece.len() <= MAX_KEPT_THINKING {
                    text.push_str(&piece);
                }
                reasoning(&piece, state);
            }
            (Block::Thinking { signature, .. }, Some("signature_delta")) => {
                let piece = delta.text("signature").unwrap_or_default();
                if signature.len() + piece.len() <= MAX_KEPT_THINKING {
                    signature.push_str(&piece);
                }
            }
            (Block::Tool { index, any, .. }, Some("input_json_delta")) => {
                let piece = delta.text("partial_json").unwrap_or_default();
                if !piece.is_empty() {
                    *any = true;
                    arguments(*index, &piece, state);
                }
            }
            (Block::Answer, Some("input_json_delta")) => {
                self.text(&delta.text("partial_json").unwrap_or_default(), state);
            }
            _ => {}
        }
    }

    fn block_stop(&mut self, index: u64, state: &mut StreamState) {
        let Some(at) = self.open.iter().position(|(open, _)| *open == index) else { return };
        match self.open.remove(at).1 {
            // A tool without arguments gets no delta with any, and a client needs JSON.
            Block::Tool { index, input, any: false } => arguments(index, &input, state),
            Block::Thinking { text, signature } if !signature.is_empty() => {
                self.thought(state, "thinking", &[("thinking", &text), ("signature", &signature)]);
            }
            _ => {}
        }
    }

    fn message_delta(&mut self, root: Value<'_>, state: &mut StreamState) {
        self.usage(root, state);
        let Some(delta) = root.get("delta") else { return };
        if let Some(reason) = delta.text("stop_reason") {
            self.stop_reason = Some(reason.into_owned());
        }
        let details = delta.get("stop_details").and_then(|details| details.text("explanation"));
        self.explanation = details.map(std::borrow::Cow::into_owned).or(self.explanation.take());
    }

    fn message_stop(&mut self, state: &mut StreamState) {
        self.begin(state);
        let stop_reason = self.stop_reason.take().unwrap_or_default();
        if let Some(why) = self.explanation.take().filter(|_| stop_reason == "refusal" && !self.has_text) {
            let chunk =
                state.chunk(0, None, |out| Some((TrackKind::Refusal, out.key("refusal").string(&why))));
            state.push(chunk);
        }
        let reason = match finish_reason(&stop_reason) {
            "tool_calls" if self.calls == 0 && self.answered => "stop",
            "tool_calls" if state.hints.legacy_functions => "function_call",
            reason => reason,
        };
        state.finish_reason = Some(reason.to_owned());
        let chunk = state.chunk(0, Some(reason), |_| None);
        state.push(chunk);
        if let Some(usage) = state.usage.filter(|_| state.hints.include_usage) {
            let chunk = state.usage_chunk(&write_usage(&usage));
            state.push(chunk);
        }
        state.done();
    }

    fn text(&mut self, text: &str, state: &mut StreamState) {
        if !text.is_empty() {
            self.has_text = true;
            let chunk =
                state.chunk(0, None, |out| Some((TrackKind::Content, out.key("content").string(text))));
            state.push(chunk);
        }
    }

    /// Sends a whole thinking block in the field by which the client gives it back. Entries carry an index, as every
    /// list in a delta does, since that is how clients put deltas together.
    fn thought(&mut self, state: &mut StreamState, kind: &str, fields: &[(&str, &str)]) {
        let index = self.thoughts;
        self.thoughts = self.thoughts.saturating_add(1);
        let mut chunk = state.chunk(0, None, |out| {
            out.key("thinking_blocks")
                .open_array()
                .open_object()
                .count_field("index", index)
                .field("type", kind);
            for (name, text) in fields {
                out.field(name, text);
            }
            out.close_object().close_array();
            None
        });
        chunk.meaningful = true;
        state.push(chunk);
    }
}

fn reasoning(text: &str, state: &mut StreamState) {
    if !text.is_empty() {
        let chunk = state
            .chunk(0, None, |out| Some((TrackKind::Reasoning, out.key("reasoning_content").string(text))));
        state.push(chunk);
    }
}

fn arguments(index: u32, json: &str, state: &mut StreamState) {
    let legacy = state.hints.legacy_functions;
    if legacy && index > 0 {
        return;
    }
    let chunk = state.chunk(0, None, |out| {
        if legacy {
            out.key("function_call").open_object();
        } else {
            out.key("tool_calls").open_array().open_object().count_field("index", u64::from(index));
            out.key("function").open_object();
        }
        let place = out.key("arguments").string(json);
        out.close_object();
        if !legacy {
            out.close_object().close_array();
        }
        Some((TrackKind::ToolArguments(index), place))
    });
    state.push(chunk);
}

fn index_of(root: Value<'_>) -> u64 {
    root.get("index").and_then(|index| index.as_count()).unwrap_or_default()
}
