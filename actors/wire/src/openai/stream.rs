//! A streamed answer that already is in the client's dialect.
//!
//! Chunks pass as they came. What is mended is what compatible vendors leave out and clients stumble over: the role
//! in the first delta of a choice, the index of a tool call, one id for the whole stream, one end for each choice,
//! and usage in one last chunk of its own, for those who asked.

use bytes::Bytes;
use smallvec::SmallVec;

use super::usage::read_usage;
use crate::chunk::{Chunk, Place, TrackKind, note};
use crate::failure::UpstreamFailure;
use crate::json::{Rules, Splices, Tape, Value};
use crate::report::Report;
use crate::sse::SseEvent;
use crate::stream::StreamState;

/// More choices than a request can ask for.
const MAX_CHOICES: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct OpenAiStream {
    tape: Tape,
    choices: SmallVec<[Choice; 1]>,
    /// Chunks without an id that came before the first one with an id.
    early: SmallVec<[Bytes; 1]>,
    started: bool,
    usage: UsageSeen,
}

#[derive(Debug, Default)]
enum UsageSeen {
    #[default]
    No,
    /// In a chunk of its own, which is sent as it is.
    Chunk(Bytes),
    /// Beside choices: the JSON of the object.
    Object(String),
}

/// What is known of one choice.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    has_role: bool,
    finished: bool,
    /// Tool calls seen so far.
    calls: u32,
}

impl OpenAiStream {
    pub(crate) fn event(&mut self, event: &SseEvent, state: &mut StreamState) {
        let data = event.data.trim_ascii();
        if data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            return self.done(state);
        }
        let mut tape = std::mem::take(&mut self.tape);
        match tape.refill(&event.data, Rules::ANSWER) {
            Ok(()) => self.chunk(event, tape.root(&event.data), state),
            Err(_) => state.fail(UpstreamFailure::malformed(200, "the provider's stream holds invalid JSON")),
        }
        self.tape = tape;
    }

    pub(crate) fn end_of_bytes(&mut self, state: &mut StreamState) {
        let finished = !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished);
        if finished { self.complete(state) } else { state.fail_truncated() }
    }

    fn done(&mut self, state: &mut StreamState) {
        if self.started || !self.early.is_empty() {
            self.complete(state);
        } else {
            state.fail(UpstreamFailure::malformed(200, "the provider's stream ended without an answer"));
        }
    }

    fn complete(&mut self, state: &mut StreamState) {
        self.release_early(state);
        if state.hints.include_usage {
            match std::mem::take(&mut self.usage) {
                UsageSeen::No => {}
                UsageSeen::Chunk(json) => {
                    let chunk = Chunk { usage_only: true, ..plain(json) };
                    state.push(chunk);
                }
                UsageSeen::Object(usage) => {
                    let chunk = state.usage_chunk(&usage);
                    state.push(chunk);
                }
            }
        }
        state.done();
    }

    fn chunk(&mut self, event: &SseEvent, root: Value<'_>, state: &mut StreamState) {
        let fields = Fields::read(root);
        if &event.event[..] == b"error" || (fields.suspicious && Report::is_error(root)) {
            return state.fail(UpstreamFailure::from_object(root));
        }
        if !root.is_object() {
            return state.fail(UpstreamFailure::malformed(
                200,
                "the provider's stream holds something else than chunks",
            ));
        }
        let mut edits = Splices::default();
        if self.usage(event, root, &fields, &mut edits, state) {
            return;
        }
        // Without choices it is no chunk at all: a vendor's ping or notice, which would break clients.
        let Some(choices) = fields.choices else { return };
        if !self.head(event, root, &fields, &mut edits, state) {
            return;
        }
        let mut places = SmallVec::new();
        let mut seen = Seen::default();
        for choice in choices.items() {
            self.choice(choice, &mut edits, &mut places, &mut seen, state);
        }
        let json = if edits.is_empty() {
            event.data.clone()
        } else {
            for place in &mut places {
                place.span = edits.moved(place.span.start)..edits.moved(place.span.end);
            }
            edits.apply(&event.data)
        };
        state.push(Chunk {
            json,
            places,
            meaningful: seen.meaningful,
            finish: seen.finish,
            usage_only: false,
        });
    }

    /// Notes usage and takes it out of the chunk; says whether the chunk held nothing else.
    fn usage(
        &mut self,
        event: &SseEvent,
        root: Value<'_>,
        fields: &Fields<'_>,
        edits: &mut Splices,
        state: &mut StreamState,
    ) -> bool {
        let field = fields.usage;
        let object = field.filter(|usage| usage.is_object());
        // Groq repeats the numbers in a field of its own, and has only those in some streams.
        let groq = fields.groq.and_then(|extra| extra.get("usage")).filter(|usage| usage.is_object());
        if let Some(usage) = object.or(groq) {
            state.usage = read_usage(usage).or(state.usage);
            if object.is_some() && fields.choices.is_some_and(|choices| choices.items().next().is_none()) {
                self.head(event, root, &Fields { choices: None, ..*fields }, edits, state);
                self.usage = UsageSeen::Chunk(std::mem::take(edits).apply(&event.data));
                return true;
            }
            self.usage = UsageSeen::Object(usage.raw().to_owned());
        }
        match field {
            Some(_) if !state.hints.include_usage => edits.remove_field(root, "usage"),
            Some(usage) if !usage.is_null() => edits.replace(usage.span(), "null"),
            _ => {}
        }
        false
    }

    /// Keeps one id over the stream; says whether the chunk may go out now.
    fn head(
        &mut self,
        event: &SseEvent,
        root: Value<'_>,
        fields: &Fields<'_>,
        edits: &mut Splices,
        state: &mut StreamState,
    ) -> bool {
        let id = fields.id.and_then(|id| id.as_str()).unwrap_or_default();
        let created = fields.created.and_then(|created| created.as_count());
        if self.started && !state.id.is_empty() {
            if state.id != id {
                edits.set_field(root, "id", &quoted(&state.id));
            }
            // Some vendors stamp every chunk anew.
            if created.is_some_and(|created| created != state.created) {
                edits.set_field(root, "created", &state.created.to_string());
            }
            return true;
        }
        // Azure begins with a chunk that only reports on the prompt, and names neither id nor time nor model.
        let empty = fields.choices.is_some_and(|choices| choices.items().next().is_none());
        if id.is_empty() && empty && self.early.len() < 8 {
            self.early.push(std::mem::take(edits).apply(&event.data));
            return false;
        }
        self.started = true;
        state.id = id.into_owned();
        if let Some(created) = created {
            state.created = created;
        }
        if let Some(model) = root.text("model").filter(|model| !model.is_empty()) {
            state.model = model.into_owned();
        }
        self.release_early(state);
        true
    }

    fn release_early(&mut self, state: &mut StreamState) {
        for json in std::mem::take(&mut self.early) {
            let mut edits = Splices::default();
            if let Ok(tape) = Tape::read(&json, Rules::ANSWER) {
                let root = tape.root(&json);
                edits.set_field(root, "id", &quoted(&state.id));
                if root.get("created").is_none_or(|created| created.as_count() == Some(0)) {
                    edits.set_field(root, "created", &state.created.to_string());
                }
                for (name, text) in [("model", state.model.as_str()), ("object", "chat.completion.chunk")] {
                    if root.get(name).is_none_or(|value| value.is("")) {
                        edits.set_field(root, name, &quoted(text));
                    }
                }
            }
            state.push(plain(edits.apply(&json)));
        }
    }

    fn entry(&mut self, index: u32) -> Option<&mut Choice> {
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() < MAX_CHOICES => {
                self.choices.push(Choice { index, ..Choice::default() });
                self.choices.len() - 1
            }
            None => return None,
        };
        self.choices.get_mut(at)
    }

    fn choice(
        &mut self,
        choice: Value<'_>,
        edits: &mut Splices,
        places: &mut SmallVec<[Place; 1]>,
        seen: &mut Seen,
        state: &mut StreamState,
    ) {
        let index = index_of(choice);
        let Some(entry) = self.entry(index) else { return };
        if let Some(delta) = choice.get("delta").filter(|delta| delta.is_object()) {
            delta_of(entry, delta, edits, places, seen);
        }
        let Some(reason) = choice.set("finish_reason") else { return };
        if entry.finished {
            edits.replace(reason.span(), "null");
            return;
        }
        entry.finished = true;
        seen.finish = true;
        seen.meaningful = true;
        if state.finish_reason.is_none() {
            state.finish_reason = reason.as_str().map(std::borrow::Cow::into_owned);
        }
    }
}

/// The fields of a chunk that matter here, found in one pass.
#[derive(Debug, Default, Clone, Copy)]
struct Fields<'a> {
    id: Option<Value<'a>>,
    created: Option<Value<'a>>,
    choices: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    groq: Option<Value<'a>>,
    /// It may be an error: it says so, or it has no choices.
    suspicious: bool,
}

impl<'a> Fields<'a> {
    fn read(root: Value<'a>) -> Self {
        let mut fields = Self::default();
        for (key, value) in root.members() {
            match key.name().as_ref() {
                b"id" => fields.id = Some(value),
                b"created" => fields.created = Some(value),
                b"choices" if !value.is_null() => fields.choices = Some(value),
                b"usage" => fields.usage = Some(value),
                b"x_groq" => fields.groq = Some(value),
                b"error" => fields.suspicious = true,
                _ => {}
            }
        }
        fields.suspicious |= fields.choices.is_none();
        fields
    }
}

/// What a chunk turned out to carry.
#[derive(Debug, Default)]
struct Seen {
    meaningful: bool,
    finish: bool,
}

/// Reads a delta, mends it, and notes where its texts stand.
fn delta_of(
    entry: &mut Choice,
    delta: Value<'_>,
    edits: &mut Splices,
    places: &mut SmallVec<[Place; 1]>,
    seen: &mut Seen,
) {
    let mut role = None;
    let choice = entry.index;
    for (key, value) in delta.members() {
        match key.name().as_ref() {
            b"role" => role = Some(value),
            b"content" => {
                seen.meaningful |= has_text(value);
                note(places, choice, TrackKind::Content, Some(value));
            }
            b"refusal" => {
                seen.meaningful |= has_text(value);
                note(places, choice, TrackKind::Refusal, Some(value));
            }
            b"reasoning_content" | b"reasoning" => {
                seen.meaningful |= has_text(value);
                note(places, choice, TrackKind::Reasoning, Some(value));
            }
            b"tool_calls" => {
                for (at, call) in value.items().enumerate() {
                    seen.meaningful = true;
                    let index = index_call(entry, at, call, edits);
                    let arguments = call.get("function").and_then(|function| function.get("arguments"));
                    note(places, choice, TrackKind::ToolArguments(index), arguments);
                }
            }
            b"function_call" => {
                seen.meaningful |= value.is_object();
                note(places, choice, TrackKind::ToolArguments(0), value.get("arguments"));
            }
            b"reasoning_details" => seen.meaningful |= value.items().next().is_some(),
            b"audio" => seen.meaningful |= value.is_object(),
            _ => {}
        }
    }
    if !std::mem::replace(&mut entry.has_role, true) {
        match role {
            Some(role) if role.is_null() => edits.replace(role.span(), r#""assistant""#),
            Some(_) => {}
            None => edits.add_first(delta, "role", r#""assistant""#),
        }
    }
}

/// Text, or parts of a reasoning model's text.
fn has_text(value: Value<'_>) -> bool {
    if value.is_array() { value.items().next().is_some() } else { !value.is_null() && !value.is("") }
}

/// Mistral sends whole calls, some without an index: a call with an id is a new one, anything else continues the last.
fn index_call(entry: &mut Choice, at: usize, call: Value<'_>, edits: &mut Splices) -> u32 {
    let given =
        call.get("index").and_then(|index| index.as_count()).and_then(|index| u32::try_from(index).ok());
    if let Some(index) = given {
        entry.calls = entry.calls.max(index.saturating_add(1));
        return index;
    }
    let new = call.text("id").is_some_and(|id| !id.is_empty()) || at > 0 || entry.calls == 0;
    entry.calls = entry.calls.saturating_add(u32::from(new));
    let index = entry.calls.saturating_sub(1);
    match call.get("index") {
        Some(wrong) => edits.replace(wrong.span(), index.to_string()),
        None if call.is_object() => edits.add_first(call, "index", &index.to_string()),
        None => {}
    }
    index
}

fn index_of(choice: Value<'_>) -> u32 {
    choice
        .get("index")
        .and_then(|index| index.as_count())
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(0)
}

fn plain(json: Bytes) -> Chunk {
    Chunk { json, places: SmallVec::new(), meaningful: false, finish: false, usage_only: false }
}

fn quoted(text: &str) -> String {
    let mut out = crate::json::Writer::default();
    out.string(text);
    out.into_text()
}
