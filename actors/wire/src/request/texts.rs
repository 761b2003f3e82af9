//! Every text that a person, a tool or a model wrote into a request, and how to replace it.

use sentinel_domain::{ApiError, ErrorCode};

use super::{ChatRequest, Limits, parse};
use crate::json::{Splices, Value};
use crate::text::{Role, SlotId, TextKind, TextSlot};

impl ChatRequest {
    /// Returns the texts of all messages in order: contents and text parts, refusals, reasoning, arguments of tool
    /// calls, tool results, names, and the caller's prediction. Tool definitions and schemas are not among them.
    #[must_use]
    pub fn texts(&self) -> Vec<TextSlot<'_>> {
        let mut slots = Vec::new();
        let root = self.root();
        for (index, message) in root.get("messages").into_iter().flat_map(|list| list.items()).enumerate() {
            let role = message.text("role").and_then(|role| Role::from_wire(&role)).unwrap_or(Role::User);
            let mut found = Collector { role, message: index, slots: &mut slots };
            found.message(message);
        }
        if let Some(content) = root.get("prediction").and_then(|prediction| prediction.get("content")) {
            let mut found = Collector { role: Role::User, message: 0, slots: &mut slots };
            found.content(content, TextKind::Prediction);
        }
        slots
    }

    /// Counts the characters of all texts, as a base for estimates.
    #[must_use]
    pub fn text_chars(&self) -> usize {
        self.texts().iter().map(|slot| slot.text.chars().count()).sum()
    }

    /// Returns the request with some of its texts replaced; every other byte stays as it was.
    ///
    /// # Errors
    ///
    /// `internal`, if the result were no valid request; the original must not be sent in its place.
    pub fn with_texts(&self, replacements: &[(SlotId, String)]) -> Result<Self, ApiError> {
        let mut edits = Splices::default();
        for (slot, text) in replacements {
            let value = self.inner.tape.at(&self.inner.body, slot.0).ok_or_else(|| {
                ApiError::new(ErrorCode::Internal, "a replaced text has no place in the request")
            })?;
            edits.replace_string(value.span(), text);
        }
        if edits.is_empty() {
            return Ok(self.clone());
        }
        let unbounded = Limits {
            max_messages: usize::MAX,
            max_message_chars: usize::MAX,
            max_depth: usize::MAX,
            max_values: usize::MAX,
        };
        parse::parse(edits.apply(&self.inner.body), &unbounded)
            .map_err(|_| ApiError::new(ErrorCode::Internal, "a replaced text made the request invalid"))
    }
}

struct Collector<'a, 's> {
    role: Role,
    message: usize,
    slots: &'s mut Vec<TextSlot<'a>>,
}

impl<'a> Collector<'a, '_> {
    fn push(&mut self, value: Value<'a>, kind: TextKind) {
        if let Some(text) = value.as_str() {
            let id = SlotId(value.index());
            self.slots.push(TextSlot { id, role: self.role, kind, message: self.message, text });
        }
    }

    fn message(&mut self, message: Value<'a>) {
        let content = if self.role == Role::Tool { TextKind::ToolResult } else { TextKind::Content };
        for (key, value) in message.members() {
            match key.as_str().as_deref() {
                Some("content") => self.content(value, content),
                Some("refusal") => self.push(value, TextKind::Refusal),
                Some("reasoning_content" | "reasoning") => self.push(value, TextKind::Reasoning),
                // A tool's name is a function of the client's program, not a person.
                Some("name") if self.role != Role::Tool => self.push(value, TextKind::Name),
                Some("tool_calls") => {
                    for call in value.items() {
                        self.arguments(call.get("function"));
                    }
                }
                Some("function_call") => self.arguments(Some(value)),
                _ => {}
            }
        }
    }

    fn arguments(&mut self, function: Option<Value<'a>>) {
        if let Some(arguments) = function.and_then(|function| function.get("arguments")) {
            self.push(arguments, TextKind::ToolArguments);
        }
    }

    fn content(&mut self, content: Value<'a>, kind: TextKind) {
        self.push(content, kind);
        for part in content.items() {
            // Parts of other types hold text under the same names (`input_text`, a reasoning part, a document).
            for (key, value) in part.members() {
                match key.as_str().as_deref() {
                    Some("text") => self.push(value, kind),
                    Some("refusal") => self.push(value, TextKind::Refusal),
                    Some("content") => self.content(value, kind),
                    _ => {}
                }
            }
        }
    }
}
