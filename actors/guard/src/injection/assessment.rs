//! What goes into the detector beside the text, and what comes out.

use serde::Serialize;
use smallvec::SmallVec;

use super::rules::Reason;

/// Where a text comes from, which decides what would be normal in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceRole {
    /// The application's own instructions. Trusted, not scanned: they hold the very sentences that are searched for.
    System,
    /// A person's turn.
    User,
    /// The model's own earlier turn. Not scanned.
    Assistant,
    /// What a tool returned.
    Tool,
    /// A retrieved or attached document.
    Document,
}

impl SourceRole {
    /// The role that a chat message's `role` names; an unknown one is taken for a user's.
    #[must_use]
    pub fn from_message_role(role: &str) -> Self {
        match role {
            "system" | "developer" => Self::System,
            "assistant" => Self::Assistant,
            "tool" | "function" => Self::Tool,
            "document" => Self::Document,
            _ => Self::User,
        }
    }

    pub(super) fn is_data(self) -> bool {
        matches!(self, Self::Tool | Self::Document)
    }

    pub(super) fn is_trusted(self) -> bool {
        matches!(self, Self::System | Self::Assistant)
    }
}

/// Thresholds and limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InjectionConfig {
    /// Score from which a person's turn is an injection. The weights are calibrated so that about 0.4 % of
    /// harmless texts of unseen origin reach the default.
    pub threshold: f32,
    /// The same for tool results and documents, whose scores are calibrated on harmless documents.
    pub tool_threshold: f32,
    /// Bytes of one text that are looked at; of a longer one, the beginning and the end.
    pub max_bytes: usize,
}

impl Default for InjectionConfig {
    fn default() -> Self {
        Self { threshold: 0.8, tool_threshold: 0.8, max_bytes: 64 * 1024 }
    }
}

/// The conclusion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Below one half of the odds.
    #[default]
    Clean,
    /// Worth a look, not worth a refusal.
    Suspicious,
    /// At or above the threshold.
    Injection,
}

impl Verdict {
    /// Stable name for metrics, logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Suspicious => "suspicious",
            Self::Injection => "injection",
        }
    }
}

/// What was not looked at, so that "clean" never means "not read".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skipped {
    /// The role is trusted.
    TrustedRole,
    /// Only the beginning and the end of a long text were read.
    Middle {
        /// Bytes that were not read.
        bytes: usize,
    },
    /// The embedded weights do not fit this build; nothing can be scored.
    NoModel,
}

impl Skipped {
    /// Stable name for logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TrustedRole => "trusted_role",
            Self::Middle { .. } => "middle",
            Self::NoModel => "no_model",
        }
    }
}

/// The result for one text or one conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// 0 to 1, higher is more suspect.
    pub score: f32,
    /// The conclusion from the score and the role's threshold.
    pub verdict: Verdict,
    /// Why, most telling rules first; empty when clean.
    pub reasons: SmallVec<[Reason; 4]>,
    /// What was not read.
    pub skipped: Option<Skipped>,
}

impl Assessment {
    /// The more suspect of two.
    pub(super) fn max(self, other: Self) -> Self {
        if other.score > self.score { other } else { self }
    }
}
