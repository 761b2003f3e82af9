//! Masks findings in a whole text, and puts the caller's values back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::candidate::Finding;
use super::engine::PiiEngine;
use super::entity::Entity;
use super::vault::{Origin, Vault, masks};

/// A text with masks for its findings.
#[derive(Clone, PartialEq)]
pub struct Redaction<'t> {
    /// The text; borrowed when nothing was found.
    pub text: Cow<'t, str>,
    /// Findings by kind.
    pub counts: BTreeMap<Entity, u32>,
}

impl std::fmt::Debug for Redaction<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Redaction").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// Masks what the caller sent.
#[must_use]
pub fn redact<'t>(engine: &PiiEngine, text: &'t str, vault: &mut Vault) -> Redaction<'t> {
    redact_findings(text, &engine.scan(text), vault, Origin::Caller)
}

/// Masks given findings: in order, without overlaps, on char boundaries; others are passed over.
#[must_use]
pub fn redact_findings<'t>(
    text: &'t str,
    findings: &[Finding],
    vault: &mut Vault,
    origin: Origin,
) -> Redaction<'t> {
    // Literals first: their numbers must be known before one of them is given away.
    let taken: Vec<_> = masks(text)
        .into_iter()
        .filter(|mask| vault.lookup(&mask.kind, mask.number).is_some() && origin == Origin::Caller)
        .collect();
    vault.reserve(text);
    let mut counts = BTreeMap::new();
    if findings.is_empty() && taken.is_empty() {
        return Redaction { text: Cow::Borrowed(text), counts };
    }
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut literals = taken.into_iter().peekable();
    let mut literal_before = |limit: usize, copied: &mut usize, out: &mut String, vault: &mut Vault| {
        while let Some(mask) = literals.next_if(|mask| mask.start < limit) {
            if let (true, Some(gap), Some(value)) =
                (mask.start >= *copied, text.get(*copied..mask.start), text.get(mask.start..mask.end))
            {
                out.push_str(gap);
                out.push_str(&vault.mask_literal(value));
                *copied = mask.end;
            }
        }
    };
    for finding in findings {
        literal_before(finding.start, &mut copied, &mut out, vault);
        if finding.start < copied {
            continue;
        }
        let (Some(gap), Some(value)) =
            (text.get(copied..finding.start), text.get(finding.start..finding.end))
        else {
            continue;
        };
        out.push_str(gap);
        out.push_str(&vault.mask(&finding.entity, value, origin));
        copied = finding.end;
        *counts.entry(finding.entity.clone()).or_insert(0) += 1;
    }
    literal_before(usize::MAX, &mut copied, &mut out, vault);
    out.push_str(text.get(copied..).unwrap_or_default());
    Redaction { text: Cow::Owned(out), counts }
}

/// Puts the caller's values back for their masks.
#[must_use]
pub fn restore<'t>(text: &'t str, vault: &Vault) -> Cow<'t, str> {
    restore_with(text, vault, |out, value| out.push_str(value))
}

/// Puts the caller's values back into JSON text: values are escaped for the string they stand in.
#[must_use]
pub fn restore_json<'t>(text: &'t str, vault: &Vault) -> Cow<'t, str> {
    restore_with(text, vault, push_escaped)
}

fn restore_with<'t>(text: &'t str, vault: &Vault, push: impl Fn(&mut String, &str)) -> Cow<'t, str> {
    if vault.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out: Option<String> = None;
    let mut copied = 0;
    for mask in masks(text) {
        let Some((value, Origin::Caller)) = vault.lookup(&mask.kind, mask.number) else { continue };
        let out = out.get_or_insert_with(|| String::with_capacity(text.len() + value.len()));
        out.push_str(text.get(copied..mask.start).unwrap_or_default());
        push(out, value);
        copied = mask.end;
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// Appends `value` with the escapes of a JSON string, without the quotes.
pub(crate) fn push_escaped(out: &mut String, value: &str) {
    let quoted = serde_json::Value::from(value).to_string();
    out.push_str(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
}
