//! Finds what a provider says about its failure, in the shapes that providers use.

use crate::json::{Kind, Value};

const MAX_MESSAGE_CHARS: usize = 4000;

/// An error as a provider describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) message: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) param: Option<String>,
    /// An HTTP status that stands inside the body.
    pub(crate) status: Option<u16>,
}

impl Report {
    /// Says whether a document is an error and not an answer.
    pub(crate) fn is_error(root: Value<'_>) -> bool {
        match root.get("error") {
            Some(error) => match error.kind() {
                Kind::Null | Kind::False => false,
                Kind::String => !error.is(""),
                Kind::Object => error.members().next().is_some(),
                _ => true,
            },
            None => {
                root.get("object").or_else(|| root.get("type")).is_some_and(|kind| kind.is("error"))
                    && root.get("message").is_some()
            }
        }
    }

    /// Reads the error in a document. Shapes: OpenAI and Anthropic (`error` object), a plain `error` text, FastAPI's
    /// `detail` (Mistral), a flat object (Mistral, vLLM), a list around any of them (Gemini).
    pub(crate) fn find(root: Value<'_>) -> Option<Self> {
        let root = root.items().next().unwrap_or(root);
        if !root.is_object() {
            return None;
        }
        let found = match root.get("error") {
            Some(error) if error.is_object() => Self::read(error),
            Some(error) => Self { message: error.as_str().map(bounded), ..Self::read(root) },
            None => match root.get("detail") {
                Some(detail) => Self { message: Self::detail(detail), ..Self::read(root) },
                None => Self::read(root),
            },
        };
        (found != Self::default()).then_some(found)
    }

    fn read(object: Value<'_>) -> Self {
        let status = ["status", "status_code", "code"]
            .iter()
            .filter_map(|name| object.get(name))
            .filter_map(|value| value.as_count().or_else(|| value.as_str()?.parse().ok()))
            .find_map(|number| u16::try_from(number).ok().filter(|status| (400..=599).contains(status)));
        Self {
            message: object.text("message").map(bounded),
            kind: object.text("type").and_then(word),
            code: object.text("code").and_then(word),
            param: object.text("param").map(|param| param.chars().take(200).collect()),
            status,
        }
    }

    fn detail(detail: Value<'_>) -> Option<String> {
        if let Some(text) = detail.as_str() {
            return Some(bounded(text));
        }
        let problems: Vec<String> = detail
            .items()
            .take(5)
            .filter_map(|problem| {
                let message = problem.text("msg")?;
                let place: Vec<_> = problem
                    .get("loc")
                    .into_iter()
                    .flat_map(|loc| loc.items())
                    .map(|step| step.as_str().unwrap_or(step.raw().into()))
                    .collect();
                Some(if place.is_empty() {
                    message.into_owned()
                } else {
                    format!("{}: {message}", place.join("."))
                })
            })
            .collect();
        if problems.is_empty() {
            detail.text("message").map(bounded)
        } else {
            Some(bounded(problems.join("; ").into()))
        }
    }

    fn says(&self, word: &str) -> bool {
        self.kind.as_deref() == Some(word) || self.code.as_deref() == Some(word)
    }

    fn mentions(&self, phrases: &[&str]) -> bool {
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }

    /// Says whether the account is out of money or over a cap, which waiting for seconds does not mend.
    ///
    /// OpenAI "Error codes": `insufficient_quota`; Anthropic "Errors": `billing_error`, and the 400 whose message says
    /// that the credit balance is too low (both read 2026-11).
    pub(crate) fn is_quota(&self) -> bool {
        ["insufficient_quota", "billing_error", "billing_hard_limit_reached", "enforced_spend_limit_reached"]
            .iter()
            .any(|word| self.says(word))
            || self.mentions(&[
                "credit balance is too low",
                "exceeded your current quota",
                "usage limits. you will regain",
            ])
    }

    /// Says whether the prompt was too long for the model, in the words of the providers.
    pub(crate) fn is_context_length(&self) -> bool {
        ["context_length_exceeded", "model_context_window_exceeded", "exceed_context_size_error"]
            .iter()
            .any(|word| self.says(word))
            || self.mentions(&[
                "prompt is too long",
                "prompt too long",
                "maximum context length",
                "exceed context limit",
                "exceeds the context",
                "exceeds the available context size",
                "context length exceeded",
            ])
    }

    /// Returns the HTTP status that an error inside a 200 stands for.
    pub(crate) fn implied_status(&self) -> u16 {
        if let Some(status) = self.status {
            return status;
        }
        let table: [(&str, u16); 17] = [
            ("overloaded_error", 529),
            ("rate_limit_error", 429),
            ("rate_limit_exceeded", 429),
            ("insufficient_quota", 429),
            ("billing_error", 402),
            ("authentication_error", 401),
            ("invalid_api_key", 401),
            ("permission_error", 403),
            ("not_found_error", 404),
            ("model_not_found", 404),
            ("request_too_large", 413),
            ("timeout_error", 504),
            ("content_filter", 400),
            ("context_length_exceeded", 400),
            ("invalid_request_error", 400),
            ("api_error", 500),
            ("server_error", 500),
        ];
        table.iter().find(|(word, _)| self.says(word)).map_or(500, |(_, status)| *status)
    }
}

fn bounded(text: std::borrow::Cow<'_, str>) -> String {
    if text.len() <= MAX_MESSAGE_CHARS {
        text.into_owned()
    } else {
        text.chars().take(MAX_MESSAGE_CHARS).collect()
    }
}

/// Keeps a type or code that looks like one.
fn word(text: std::borrow::Cow<'_, str>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(plain)).then(|| text.into_owned())
}
