//! The texts in requests and answers that people and models wrote, as places a guard can read and replace.

use std::borrow::Cow;

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `system`.
    System,
    /// `developer`.
    Developer,
    /// `user`.
    User,
    /// `assistant`.
    Assistant,
    /// `tool`, and the older `function`.
    Tool,
}

impl Role {
    /// Returns the name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    pub(crate) fn from_wire(name: &str) -> Option<Self> {
        Some(match name {
            "system" => Self::System,
            "developer" => Self::Developer,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" | "function" => Self::Tool,
            _ => return None,
        })
    }
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// Message text, or a text part of it.
    Content,
    /// The text of a refusal.
    Refusal,
    /// A model's reasoning as far as it is shown.
    Reasoning,
    /// The arguments of a tool call: itself JSON, in a string.
    ToolArguments,
    /// What a tool gave back.
    ToolResult,
    /// A participant's name.
    Name,
    /// The caller's prediction of the answer.
    Prediction,
}

/// Names one text in one request or answer; of no meaning anywhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub(crate) u32);

/// One text of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSlot<'a> {
    /// By which it is replaced.
    pub id: SlotId,
    /// Who wrote the message that it is part of.
    pub role: Role,
    /// What it is.
    pub kind: TextKind,
    /// Position of its message; 0 for what stands beside the messages.
    pub message: usize,
    /// The text, unescaped.
    pub text: Cow<'a, str>,
}

/// One text of a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerText<'a> {
    /// By which it is replaced.
    pub id: SlotId,
    /// Which choice it belongs to.
    pub choice: u32,
    /// What it is.
    pub kind: TextKind,
    /// Position of the tool call, for arguments; else 0.
    pub tool: u32,
    /// The text, unescaped.
    pub text: Cow<'a, str>,
}
