//! Named rules: why a text is suspect, in words an operator understands.
//!
//! Rules explain; they do not decide. The decision is the model's, which has the same classes among its features.

use serde::Serialize;

use super::lexicon::{Class, Event};
use super::views::View;

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Asks to ignore or override instructions, rules or restrictions.
    OverrideInstructions,
    /// Asks for the system prompt or the instructions given to the model.
    PromptExtraction,
    /// Asks for a password, key or other secret, also spelled or encoded.
    SecretExtraction,
    /// Sets up a persona that has no rules.
    UnrestrictedPersona,
    /// Names a known jailbreak or a "developer mode".
    JailbreakName,
    /// Announces new instructions or a new task in place of the given one.
    NewInstructions,
    /// Dictates the exact output or its first words.
    ForcedOutput,
    /// Forbids refusals, warnings or apologies.
    RefusalSuppression,
    /// Claims to speak with authority in order to be obeyed.
    AuthorityClaim,
    /// Markers of a chat template or of a system message inside the text.
    TemplateMarker,
    /// Tells the assistant to act, inside a tool result or document.
    OrderInData,
    /// Characters that show nothing, or letters of two alphabets in one word.
    HiddenCharacters,
    /// Text that makes sense only once decoded.
    EncodedText,
    /// The wording as a whole resembles known attacks; no single rule does.
    Wording,
}

impl Rule {
    /// Stable name for logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OverrideInstructions => "override_instructions",
            Self::PromptExtraction => "prompt_extraction",
            Self::SecretExtraction => "secret_extraction",
            Self::UnrestrictedPersona => "unrestricted_persona",
            Self::JailbreakName => "jailbreak_name",
            Self::NewInstructions => "new_instructions",
            Self::ForcedOutput => "forced_output",
            Self::RefusalSuppression => "refusal_suppression",
            Self::AuthorityClaim => "authority_claim",
            Self::TemplateMarker => "template_marker",
            Self::OrderInData => "order_in_data",
            Self::HiddenCharacters => "hidden_characters",
            Self::EncodedText => "encoded_text",
            Self::Wording => "wording",
        }
    }
}

/// One recognised rule and the reading of the text in which it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// What was recognised.
    pub rule: Rule,
    /// In which reading.
    pub view: View,
}

/// Words between the first and the last part of a rule.
const REACH: usize = 4;
/// Bytes between the first and the last part of a rule.
const SPAN: usize = 90;

/// Two sets of classes that make a rule when one of the second follows one of the first closely, in either order
/// when `either`.
struct Near {
    rule: Rule,
    first: &'static [Class],
    second: &'static [Class],
    either: bool,
}

const NEAR: &[Near] = &[
    Near {
        rule: Rule::OverrideInstructions,
        first: &[Class::Ignore, Class::Bypass],
        second: &[Class::Instr, Class::Restrict],
        either: true,
    },
    Near {
        rule: Rule::PromptExtraction,
        first: &[Class::Reveal, Class::Emit],
        second: &[Class::System, Class::Instr],
        either: true,
    },
    Near {
        rule: Rule::SecretExtraction,
        first: &[Class::Reveal, Class::Emit, Class::Encode],
        second: &[Class::Secret],
        either: true,
    },
    Near {
        rule: Rule::UnrestrictedPersona,
        first: &[Class::Persona],
        second: &[Class::Unrestr],
        either: true,
    },
    Near {
        rule: Rule::ForcedOutput,
        first: &[Class::Only, Class::Start],
        second: &[Class::Emit],
        either: true,
    },
    Near {
        rule: Rule::AuthorityClaim,
        first: &[Class::Authz],
        second: &[Class::System, Class::Reveal, Class::Obey],
        either: false,
    },
];

/// Rules seen in the events of one reading.
pub(crate) fn matches(events: &[Event], data: bool, mut found: impl FnMut(Rule)) {
    for (at, event) in events.iter().enumerate() {
        if event.is(Class::Jailword) {
            found(Rule::JailbreakName);
        }
        if event.is(Class::Template) {
            found(Rule::TemplateMarker);
        }
        if event.is(Class::Now) {
            let addressed = near(
                events,
                at,
                &[Class::You, Class::Your, Class::Instr, Class::Obey, Class::Persona, Class::Emit],
            );
            if addressed {
                found(Rule::NewInstructions);
            }
        }
        if event.is(Class::Never)
            && near(events, at, &[Class::Never])
            && near(events, at, &[Class::Restrict, Class::Emit, Class::Unrestr])
        {
            found(Rule::RefusalSuppression);
        }
        if data
            && event.is(Class::Action)
            && (near(events, at, &[Class::Taskref, Class::Urgent, Class::Ai])
                || before(events, at, &[Class::Taskref, Class::Urgent, Class::Ai]))
        {
            found(Rule::OrderInData);
        }
        for rule in NEAR {
            if event.among(rule.first) && near(events, at, rule.second)
                || rule.either && event.among(rule.second) && near(events, at, rule.first)
            {
                // Asking for rules or files is everyday speech; asking for *your* rules is not.
                if rule.rule == Rule::PromptExtraction
                    && !near(events, at, &[Class::Your, Class::Prior, Class::System])
                {
                    continue;
                }
                found(rule.rule);
            }
        }
    }
}

fn near(events: &[Event], at: usize, classes: &[Class]) -> bool {
    let Some(event) = events.get(at) else { return false };
    events
        .iter()
        .skip(at + 1)
        .take(REACH)
        .any(|other| other.start.saturating_sub(event.end) <= SPAN && other.among(classes))
}

fn before(events: &[Event], at: usize, classes: &[Class]) -> bool {
    let Some(event) = events.get(at) else { return false };
    events
        .iter()
        .take(at)
        .rev()
        .take(REACH)
        .any(|other| event.start.saturating_sub(other.end) <= SPAN && other.among(classes))
}
