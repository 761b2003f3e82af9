//! Redacts a text that is JSON, as the arguments of a tool call are, and leaves it JSON.
//!
//! The text is not parsed into a tree and printed again: order, spacing and the spelling of numbers stay as they were.
//! A validated text is walked token by token; only strings and numbers with a finding are rewritten.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::candidate::Finding;
use super::engine::PiiEngine;
use super::redact::{Redaction, redact, redact_findings};
use super::vault::{Origin, Vault};

/// Masks what the caller sent inside a JSON text. Text that is no JSON is redacted as plain text.
///
/// A number that is a finding becomes a string that holds its mask. Object keys give context to their values.
#[must_use]
pub fn redact_json<'t>(engine: &PiiEngine, text: &'t str, vault: &mut Vault) -> Redaction<'t> {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return redact(engine, text, vault);
    }
    vault.reserve(text);
    let mut writer = Writer { engine, vault, out: String::new(), counts: BTreeMap::new(), changed: false };
    let mut key = String::new();
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest
                .bytes()
                .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')))
                .unwrap_or(rest.len()),
            _ => {
                rest.bytes().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9')).unwrap_or(rest.len())
            }
        };
        let (token, tail) = rest.split_at_checked(length.max(1)).unwrap_or((rest, ""));
        match first {
            b'"' => {
                let decoded: String = serde_json::from_str(token).unwrap_or_default();
                if tail.trim_start().starts_with(':') {
                    writer.scalar("", &decoded, token);
                    key = decoded;
                } else {
                    writer.scalar(&key, &decoded, token);
                }
            }
            b'-' | b'0'..=b'9' => writer.scalar(&key, token, token),
            _ => writer.out.push_str(token),
        }
        rest = tail;
    }
    let Writer { out, counts, changed, .. } = writer;
    Redaction { text: if changed { Cow::Owned(out) } else { Cow::Borrowed(text) }, counts }
}

/// Returns the length of the string literal that `text` begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

struct Writer<'e, 'v> {
    engine: &'e PiiEngine,
    vault: &'v mut Vault,
    out: String,
    counts: BTreeMap<super::Entity, u32>,
    changed: bool,
}

impl Writer<'_, '_> {
    /// Writes one string or number, masked when it holds a finding.
    fn scalar(&mut self, key: &str, value: &str, token: &str) {
        // The detectors see the value beside its key, as they would in the raw text.
        let (probe, offset) = if key.is_empty() {
            (Cow::Borrowed(value), 0)
        } else {
            let label: String = key.chars().filter(|char| *char != '"').take(48).collect();
            let prefix = format!("\"{label}\": \"");
            let offset = prefix.len();
            (Cow::Owned(format!("{prefix}{value}\"")), offset)
        };
        let findings: Vec<Finding> = self
            .engine
            .scan(&probe)
            .into_iter()
            .filter(|finding| finding.start >= offset && finding.end <= offset + value.len())
            .map(|finding| Finding { start: finding.start - offset, end: finding.end - offset, ..finding })
            .collect();
        let redaction = redact_findings(value, &findings, self.vault, Origin::Caller);
        match redaction.text {
            Cow::Borrowed(_) => self.out.push_str(token),
            Cow::Owned(masked) => {
                self.out.push_str(&serde_json::Value::from(masked).to_string());
                self.changed = true;
            }
        }
        for (entity, count) in redaction.counts {
            *self.counts.entry(entity).or_insert(0) += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PiiConfig, restore_json};
    use super::*;

    #[test]
    fn strings_and_numbers_are_masked_and_the_rest_keeps_its_spelling() {
        let engine = PiiEngine::new(&PiiConfig::default()).unwrap();
        let mut vault = Vault::new();
        let text = r#"{ "z": 1.50, "note": "mail \"ann@corp.example.com\"\nnow", "card": 4111111111111111, "ssn":"536901234","a":[true,null,-1e3] }"#;
        let redaction = redact_json(&engine, text, &mut vault);
        assert_eq!(
            redaction.text,
            r#"{ "z": 1.50, "note": "mail \"[EMAIL_ADDRESS_1]\"\nnow", "card": "[CREDIT_CARD_1]", "ssn":"[US_SSN_1]","a":[true,null,-1e3] }"#
        );
        assert_eq!(redaction.counts.values().sum::<u32>(), 3);
        assert!(serde_json::from_str::<serde_json::Value>(&redaction.text).is_ok());
        let back: serde_json::Value = serde_json::from_str(&restore_json(&redaction.text, &vault)).unwrap();
        assert_eq!(back["note"], "mail \"ann@corp.example.com\"\nnow");
    }

    #[test]
    fn values_with_quotes_come_back_escaped() {
        let mut vault = Vault::new();
        let mask = vault.mask(&super::super::Entity::Secret, "a\"b\\c", Origin::Caller);
        let text = format!("{{\"x\":\"{mask}\"}}");
        let back: serde_json::Value = serde_json::from_str(&restore_json(&text, &vault)).unwrap();
        assert_eq!(back["x"], "a\"b\\c");
    }

    #[test]
    fn text_that_is_no_json_is_redacted_as_text() {
        let engine = PiiEngine::new(&PiiConfig::default()).unwrap();
        let redaction = redact_json(&engine, "{oops ann@corp.example.com", &mut Vault::new());
        assert_eq!(redaction.text, "{oops [EMAIL_ADDRESS_1]");
    }
}
