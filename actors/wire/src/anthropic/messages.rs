//! The conversation: roles that alternate, results that follow their calls, a system prompt of its own.

use sentinel_domain::ApiError;

use super::blocks::{CacheMarks, Needs, Place, write_part, write_text};
use super::request::Ignored;
use super::tools::unsupported;
use crate::json::{Rules, Tape, Value, Writer};
use crate::request::invalid;

/// Stands where the provider demands text and the client gave none.
const NOTHING_SAID: &str = "...";

/// A translated conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    /// The JSON of `system`, if there is any.
    pub(super) system: Option<String>,
    /// The JSON of `messages`.
    pub(super) messages: String,
    /// What the blocks need beside themselves.
    pub(super) needs: Needs,
}

/// One turn that is being put together. Results come before everything else in it.
#[derive(Debug, Default)]
struct Turn {
    user: bool,
    results: Vec<String>,
    blocks: Vec<String>,
}

struct Builder<'a, 'm> {
    root: Value<'a>,
    marks: &'m mut CacheMarks,
    ignored: &'m mut Ignored,
    needs: Needs,
    system: Vec<(String, bool)>,
    turns: Vec<Turn>,
    /// Calls of the last assistant turn that have no result yet, and the message that made them.
    open_calls: Vec<String>,
    calls_at: usize,
}

/// Translates all messages. `extra_system` is appended to the system prompt.
///
/// A result without its call, or a call without its result, is refused as OpenAI refuses it: guessing would change
/// what the model is told.
pub(super) fn translate(
    root: Value<'_>,
    extra_system: Option<&str>,
    marks: &mut CacheMarks,
    ignored: &mut Ignored,
) -> Result<Conversation, ApiError> {
    let mut builder = Builder {
        root,
        marks,
        ignored,
        needs: Needs::default(),
        system: Vec::new(),
        turns: Vec::new(),
        open_calls: Vec::new(),
        calls_at: 0,
    };
    let count = root.get("messages").map_or(0, |messages| messages.items().count());
    for (at, message) in root.get("messages").into_iter().flat_map(|messages| messages.items()).enumerate() {
        builder.message(at, message, at + 1 == count)?;
    }
    builder.check_calls()?;
    if let Some(text) = extra_system {
        let mut out = Writer::default();
        out.open_object().field("type", "text").field("text", text).close_object();
        builder.system.push((out.into_text(), false));
    }
    Ok(builder.finish())
}

impl<'a> Builder<'a, '_> {
    fn message(&mut self, at: usize, message: Value<'a>, last: bool) -> Result<(), ApiError> {
        if matches!(message.text("role").as_deref(), Some("user" | "assistant"))
            && message.set("name").is_some()
        {
            self.ignored.add("name");
        }
        match message.text("role").as_deref() {
            Some("system" | "developer") => self.system(at, message),
            Some("assistant") => {
                self.check_calls()?;
                self.assistant(at, message, last)
            }
            Some("tool") => {
                self.result(at, message, message.text("tool_call_id").unwrap_or_default().into_owned())
            }
            Some("function") => {
                let name = message.text("name").unwrap_or_default();
                self.result(at, message, legacy_id(&name))
            }
            _ => {
                self.check_calls()?;
                self.user(at, message)
            }
        }
    }

    /// Adds to the open turn of a role, or begins one.
    fn with_turn(&mut self, user: bool, add: impl FnOnce(&mut Turn)) {
        match self.turns.last_mut() {
            Some(turn) if turn.user == user => add(turn),
            _ => {
                let mut turn = Turn { user, ..Turn::default() };
                add(&mut turn);
                self.turns.push(turn);
            }
        }
    }

    fn system(&mut self, at: usize, message: Value<'_>) -> Result<(), ApiError> {
        for part in self.parts(at, message, Place::Assistant)? {
            let marked = part.contains("\"cache_control\"");
            self.system.push((part, marked));
        }
        Ok(())
    }

    fn user(&mut self, at: usize, message: Value<'_>) -> Result<(), ApiError> {
        let blocks = self.parts(at, message, Place::User)?;
        self.with_turn(true, |turn| turn.blocks.extend(blocks));
        Ok(())
    }

    fn result(&mut self, at: usize, message: Value<'_>, id: String) -> Result<(), ApiError> {
        let Some(open) = self.open_calls.iter().position(|open| *open == id) else {
            let path = format!("messages[{at}].tool_call_id");
            return Err(invalid(path, "answers no call of the assistant message before it"));
        };
        self.open_calls.swap_remove(open);
        let mut out = Writer::default();
        out.open_object().field("type", "tool_result").field("tool_use_id", &safe_id(&id));
        let mark = message.get("cache_control");
        match message.get("content") {
            Some(content) if content.is_array() => {
                let blocks = self.parts_with_mark(at, content, Place::ToolResult, None)?;
                if !blocks.is_empty() {
                    out.raw_field("content", &format!("[{}]", blocks.join(",")));
                }
            }
            Some(content) => {
                if let Some(text) = content.as_str().filter(|text| !text.is_empty()) {
                    out.field("content", &text);
                }
            }
            None => {}
        }
        if message.get("is_error").and_then(|error| error.as_bool()) == Some(true) {
            out.key("is_error").boolean(true);
        }
        self.marks.copy(&mut out, mark);
        out.close_object();
        self.with_turn(true, |turn| turn.results.push(out.into_text()));
        Ok(())
    }

    fn assistant(&mut self, at: usize, message: Value<'_>, last: bool) -> Result<(), ApiError> {
        let mut blocks = thinking_blocks(message);
        if last {
            blocks.extend(self.prefill(at, message)?);
        } else {
            blocks.extend(self.parts(at, message, Place::Assistant)?);
        }
        self.calls_at = at;
        for (index, call) in message.get("tool_calls").into_iter().flat_map(|calls| calls.items()).enumerate()
        {
            let Some(function) = call.get("function") else {
                let path = format!("messages[{at}].tool_calls[{index}].type");
                return Err(unsupported(&path, "this provider knows calls of functions only"));
            };
            let id = call.text("id").unwrap_or_default().into_owned();
            blocks.push(self.call(&id, function, call.get("cache_control")));
            self.open_calls.push(id);
        }
        if let Some(function) = message.set("function_call") {
            let id = legacy_id(&function.text("name").unwrap_or_default());
            blocks.push(self.call(&id, function, None));
            self.open_calls.push(id);
        }
        if !blocks.is_empty() {
            self.with_turn(false, |turn| turn.blocks.extend(blocks));
        }
        Ok(())
    }

    fn call(&mut self, id: &str, function: Value<'_>, mark: Option<Value<'_>>) -> String {
        let arguments = function.text("arguments").unwrap_or_default();
        // The model may have written cut or wrong arguments; the call must stay, or its result would have none.
        let object = Tape::read(arguments.as_bytes(), Rules::ANSWER)
            .is_ok_and(|tape| tape.root(arguments.as_bytes()).is_object());
        let mut out = Writer::default();
        out.open_object().field("type", "tool_use").field("id", &safe_id(id));
        out.field("name", &function.text("name").unwrap_or_default());
        out.raw_field("input", if object { arguments.trim() } else { "{}" });
        self.marks.copy(&mut out, mark);
        out.close_object();
        out.into_text()
    }

    /// The last message, if it is the assistant's, is continued by the model. It must not end in white space.
    fn prefill(&mut self, at: usize, message: Value<'_>) -> Result<Vec<String>, ApiError> {
        match message.text("content") {
            Some(text) => {
                let mut out = Writer::default();
                write_text(&mut out, text.trim_end(), message.get("cache_control"), self.marks);
                Ok(if out.len() > 0 { vec![out.into_text()] } else { Vec::new() })
            }
            None => self.parts(at, message, Place::Assistant),
        }
    }

    /// Returns the blocks of a message's content. A breakpoint on the message goes to its last block.
    fn parts(&mut self, at: usize, message: Value<'_>, place: Place) -> Result<Vec<String>, ApiError> {
        let mark = message.get("cache_control");
        let mut blocks = match message.get("content") {
            Some(content) if content.is_array() => self.parts_with_mark(at, content, place, mark)?,
            Some(content) => {
                let mut out = Writer::default();
                write_text(&mut out, &content.as_str().unwrap_or_default(), mark, self.marks);
                if out.len() > 0 { vec![out.into_text()] } else { Vec::new() }
            }
            None => Vec::new(),
        };
        if blocks.is_empty()
            && let Some(refusal) = message.text("refusal")
        {
            let mut out = Writer::default();
            write_text(&mut out, &refusal, None, self.marks);
            if out.len() > 0 {
                blocks.push(out.into_text());
            }
        }
        Ok(blocks)
    }

    fn parts_with_mark(
        &mut self,
        at: usize,
        content: Value<'_>,
        place: Place,
        mark: Option<Value<'_>>,
    ) -> Result<Vec<String>, ApiError> {
        let count = content.items().count();
        let mut blocks = Vec::with_capacity(count);
        for (index, part) in content.items().enumerate() {
            let path = format!("messages[{at}].content[{index}]");
            let mark = mark.filter(|_| index + 1 == count);
            let mut out = Writer::default();
            write_part(&mut out, part, &path, place, mark, self.marks, &mut self.needs)?;
            if out.len() > 0 {
                blocks.push(out.into_text());
            }
        }
        Ok(blocks)
    }

    fn check_calls(&self) -> Result<(), ApiError> {
        match self.open_calls.first() {
            None => Ok(()),
            Some(id) => {
                let path = format!("messages[{}].tool_calls", self.calls_at);
                let shown: String = id.chars().filter(|letter| !letter.is_control()).take(80).collect();
                Err(invalid(&path, format_args!("has a call without a result: `{shown}`")))
            }
        }
    }

    fn finish(self) -> Conversation {
        let mut turns = self.turns;
        turns.retain(|turn| !turn.results.is_empty() || !turn.blocks.is_empty());
        // Emptied turns in between leave neighbours of one role, which are one turn.
        turns.dedup_by(|next, kept| {
            let same = next.user == kept.user;
            if same {
                kept.results.append(&mut next.results);
                kept.blocks.append(&mut next.blocks);
            }
            same
        });
        let mut out = Writer::with_capacity(self.root.span().len() + 64);
        out.open_array();
        // The conversation has to begin with the user, even if the client sent nothing but a system prompt.
        if turns.first().is_none_or(|turn| !turn.user) {
            out.open_object().field("role", "user").field("content", NOTHING_SAID).close_object();
        }
        for turn in &turns {
            out.open_object().field("role", if turn.user { "user" } else { "assistant" });
            out.key("content").open_array();
            for block in turn.results.iter().chain(&turn.blocks) {
                out.raw(block);
            }
            out.close_array().close_object();
        }
        out.close_array();
        Conversation { system: system_json(&self.system), messages: out.into_text(), needs: self.needs }
    }
}

/// One text alone is a string; several, or one with a breakpoint, are blocks in their order.
fn system_json(blocks: &[(String, bool)]) -> Option<String> {
    match blocks {
        [] => None,
        [(block, false)] => {
            let tape = Tape::read(block.as_bytes(), Rules::ANSWER).ok()?;
            Some(tape.root(block.as_bytes()).get("text")?.raw().to_owned())
        }
        _ => {
            let joined: Vec<&str> = blocks.iter().map(|(block, _)| block.as_str()).collect();
            Some(format!("[{}]", joined.join(",")))
        }
    }
}

/// Thinking goes back only as the provider gave it: text with its signature, or sealed. Anything else it refuses.
fn thinking_blocks(message: Value<'_>) -> Vec<String> {
    let mut blocks = Vec::new();
    for block in message.get("thinking_blocks").into_iter().flat_map(|blocks| blocks.items()) {
        let mut out = Writer::default();
        match block.text("type").as_deref() {
            Some("thinking") if block.text("signature").is_some_and(|signature| !signature.is_empty()) => {
                out.open_object().field("type", "thinking");
                out.raw_field("thinking", block.get("thinking").map_or("\"\"", |text| text.raw()));
                out.raw_field("signature", block.get("signature").map_or("\"\"", |text| text.raw()));
            }
            Some("redacted_thinking") if block.text("data").is_some() => {
                out.open_object().field("type", "redacted_thinking");
                out.raw_field("data", block.get("data").map_or("\"\"", |text| text.raw()));
            }
            _ => continue,
        }
        out.close_object();
        blocks.push(out.into_text());
    }
    blocks
}

/// The older `function_call` has no id, so the name serves for both the call and its result.
fn legacy_id(name: &str) -> String {
    format!("call_{name}")
}

/// Ids go through as they are, unless they hold letters that the provider refuses (others' ids such as
/// `functions.search:0`); call and result are spelled the same way.
fn safe_id(id: &str) -> String {
    let safe: String = id
        .chars()
        .map(
            |letter| if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') { letter } else { '_' },
        )
        .collect();
    if safe.is_empty() { "call_0".to_owned() } else { safe }
}
