//! A whole answer in the client's dialect.

use bytes::Bytes;
use sentinel_domain::{ApiError, ErrorCode, NanoUsd, Usage};

use crate::json::{Rules, Splices, Tape, Value};
use crate::text::{AnswerText, SlotId, TextKind};

/// A whole answer, ready to send, and what the gateway has to know of it.
#[derive(Debug, Clone)]
pub struct Completion {
    body: Bytes,
    tape: Tape,
    usage: Option<Usage>,
    finish_reason: Option<String>,
    id: String,
    model: String,
    complete: bool,
}

impl Completion {
    /// Takes an answer whose tape has been read; the caller knows that `choices` is an array.
    pub(crate) fn new(body: Bytes, tape: Tape, usage: Option<Usage>) -> Self {
        let root = tape.root(&body);
        let text = |name: &str| root.text(name).unwrap_or_default().into_owned();
        let (id, model) = (text("id"), text("model"));
        let mut complete = true;
        let mut finish_reason = None;
        for choice in root.get("choices").into_iter().flat_map(|choices| choices.items()) {
            match choice.text("finish_reason") {
                Some(reason) => finish_reason = finish_reason.or(Some(reason.into_owned())),
                None => complete = false,
            }
        }
        Self { complete, finish_reason, id, model, usage, body, tape }
    }

    /// Returns the JSON to send.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the tokens that the provider reports.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Returns why the first choice ended.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }

    /// Returns the answer's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the model that answered, as the provider names it.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Says whether every choice ended with a reason.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the texts that the model wrote, choice by choice.
    #[must_use]
    pub fn texts(&self) -> Vec<AnswerText<'_>> {
        let mut slots = Vec::new();
        let root = self.tape.root(&self.body);
        for (at, choice) in root.get("choices").into_iter().flat_map(|choices| choices.items()).enumerate() {
            let index = choice.get("index").and_then(|index| index.as_count());
            let choice_index = index.and_then(|index| u32::try_from(index).ok()).unwrap_or(at as u32);
            if let Some(message) = choice.get("message") {
                Collector { choice: choice_index, slots: &mut slots }.message(message);
            }
        }
        slots
    }

    /// Counts the characters of all texts, as a base for estimates.
    #[must_use]
    pub fn text_chars(&self) -> usize {
        self.texts().iter().map(|slot| slot.text.chars().count()).sum()
    }

    /// Returns the answer with some of its texts replaced; every other byte stays as it was.
    ///
    /// # Errors
    ///
    /// `internal`, if the result were no JSON; the original must not be sent in its place.
    pub fn with_texts(&self, replacements: &[(SlotId, String)]) -> Result<Self, ApiError> {
        let failed = || ApiError::new(ErrorCode::Internal, "a replaced text has no place in the answer");
        let mut edits = Splices::default();
        for (slot, text) in replacements {
            let value = self.tape.at(&self.body, slot.0).ok_or_else(failed)?;
            edits.replace_string(value.span(), text);
        }
        if edits.is_empty() {
            return Ok(self.clone());
        }
        let body = edits.apply(&self.body);
        let tape = Tape::read(&body, Rules::ANSWER).map_err(|_| failed())?;
        Ok(Self { body, tape, ..self.clone() })
    }

    /// Returns the answer as the only chunk of a stream: messages become deltas.
    pub(crate) fn as_chunk(&self) -> Bytes {
        let root = self.tape.root(&self.body);
        let mut edits = Splices::default();
        edits.set_field(root, "object", "\"chat.completion.chunk\"");
        for choice in root.get("choices").into_iter().flat_map(|choices| choices.items()) {
            if let Some((key, _)) = choice.members().find(|(key, _)| key.is("message")) {
                edits.replace(key.span(), "\"delta\"");
            }
        }
        edits.apply(&self.body)
    }

    /// Returns the JSON with `cost_usd` at the top level: a number, or null when the price is unknown.
    #[must_use]
    pub fn with_cost(&self, cost: Option<NanoUsd>) -> Bytes {
        with_cost(&self.body, self.tape.root(&self.body), cost)
    }
}

/// Adds `cost_usd` to a document and changes nothing else.
pub(crate) fn with_cost(body: &Bytes, root: Value<'_>, cost: Option<NanoUsd>) -> Bytes {
    let json = cost.map_or_else(|| "null".to_owned(), |cost| cost.to_string());
    let mut edits = Splices::default();
    edits.set_field(root, "cost_usd", &json);
    edits.apply(body)
}

struct Collector<'a, 's> {
    choice: u32,
    slots: &'s mut Vec<AnswerText<'a>>,
}

impl<'a> Collector<'a, '_> {
    fn push(&mut self, value: Value<'a>, kind: TextKind, tool: usize) {
        if let Some(text) = value.as_str() {
            let tool = u32::try_from(tool).unwrap_or(u32::MAX);
            self.slots.push(AnswerText { id: SlotId(value.index()), choice: self.choice, kind, tool, text });
        }
    }

    fn message(&mut self, message: Value<'a>) {
        for (key, value) in message.members() {
            match key.as_str().as_deref() {
                Some("content") => {
                    self.push(value, TextKind::Content, 0);
                    for part in value.items() {
                        if let Some(text) = part.get("text") {
                            self.push(text, TextKind::Content, 0);
                        }
                    }
                }
                Some("refusal") => self.push(value, TextKind::Refusal, 0),
                Some("reasoning_content" | "reasoning") => self.push(value, TextKind::Reasoning, 0),
                Some("audio") => {
                    if let Some(transcript) = value.get("transcript") {
                        self.push(transcript, TextKind::Content, 0);
                    }
                }
                Some("tool_calls") => {
                    for (at, call) in value.items().enumerate() {
                        if let Some(arguments) = call.get("function").and_then(|call| call.get("arguments")) {
                            self.push(arguments, TextKind::ToolArguments, at);
                        }
                    }
                }
                Some("function_call") => {
                    if let Some(arguments) = value.get("arguments") {
                        self.push(arguments, TextKind::ToolArguments, 0);
                    }
                }
                _ => {}
            }
        }
    }
}
