//! Changes named places of a document and nothing else.

use std::ops::Range;

use bytes::Bytes;

use super::value::Value;
use super::write::escape_into;

/// A set of replacements in one document. Ranges must not overlap; where two do, the earlier one wins.
#[derive(Debug, Default)]
pub(crate) struct Splices {
    edits: Vec<(Range<usize>, Vec<u8>)>,
}

impl Splices {
    pub(crate) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts JSON text in the place of a range.
    pub(crate) fn replace(&mut self, range: Range<usize>, json: impl Into<Vec<u8>>) {
        self.edits.push((range, json.into()));
    }

    /// Puts a string in the place of a range that holds a value.
    pub(crate) fn replace_string(&mut self, range: Range<usize>, text: &str) {
        let mut json = Vec::with_capacity(text.len() + 2);
        escape_into(&mut json, text);
        self.edits.push((range, json));
    }

    /// Sets a field of an object: replaces its value, or adds it at the end.
    pub(crate) fn set_field(&mut self, object: Value<'_>, name: &str, json: &str) {
        match object.get(name) {
            Some(value) => self.replace(value.span(), json),
            None => self.add_field(object, name, json),
        }
    }

    /// Adds a field at the end of an object that does not have it.
    pub(crate) fn add_field(&mut self, object: Value<'_>, name: &str, json: &str) {
        let comma = if object.members().next().is_some() { "," } else { "" };
        let at = match object.members().last() {
            Some((_, value)) => value.span().end,
            None => object.span().start + 1,
        };
        self.replace(at..at, format!("{comma}\"{name}\":{json}"));
    }

    /// Adds a field at the beginning of an object.
    pub(crate) fn add_first(&mut self, object: Value<'_>, name: &str, json: &str) {
        let comma = if object.members().next().is_some() { "," } else { "" };
        let at = object.span().start + 1;
        self.replace(at..at, format!("\"{name}\":{json}{comma}"));
    }

    /// Takes a field out of an object, with the comma that belonged to it.
    pub(crate) fn remove_field(&mut self, object: Value<'_>, name: &str) {
        let mut before = None;
        let mut members = object.members();
        while let Some((key, value)) = members.next() {
            if key.is(name) {
                let range = match (before, members.next()) {
                    (Some(end), _) => end..value.span().end,
                    (None, Some((next, _))) => key.span().start..next.span().start,
                    (None, None) => key.span().start..value.span().end,
                };
                self.replace(range, "");
                return;
            }
            before = Some(value.span().end);
        }
    }

    /// Returns where a place that no replacement touches stands in the result.
    pub(crate) fn moved(&self, place: usize) -> usize {
        let before = self.edits.iter().filter(|(range, _)| range.end <= place);
        let (added, removed) = before
            .fold((0, 0), |(added, removed), (range, json)| (added + json.len(), removed + range.len()));
        (place + added).saturating_sub(removed)
    }

    /// Returns the document with all replacements made.
    pub(crate) fn apply(mut self, bytes: &Bytes) -> Bytes {
        if self.edits.is_empty() {
            return bytes.clone();
        }
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.edits.iter().map(|(_, json)| json.len()).sum();
        let mut out = Vec::with_capacity(bytes.len() + added);
        let mut copied = 0;
        for (range, json) in &self.edits {
            if range.start < copied {
                continue;
            }
            out.extend_from_slice(bytes.get(copied..range.start).unwrap_or_default());
            out.extend_from_slice(json);
            copied = range.end;
        }
        out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
        Bytes::from(out)
    }
}
