//! What goes into a record besides what the request itself says: bounds, events of the trail, requests that never ended.

use std::collections::BTreeMap;

use sentinel_domain::audit::{AuditEvent, AuditRecord};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest name, address or code in a record, in characters.
pub const MAX_TEXT: usize = 256;
/// Most steps of a timeline and most kinds of entities that are kept.
const MAX_ITEMS: usize = 64;

/// What is known of a request when it is admitted: enough for a record should it never end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Intent {
    /// The request's id.
    pub request_id: String,
    /// When it arrived, RFC 3339, UTC, milliseconds.
    pub timestamp: String,
    /// The virtual key's name.
    pub key: Option<String>,
    /// The client's address, without port.
    pub client_addr: String,
    /// The name of the model as asked, or its route.
    pub route: Option<String>,
    /// Whether a stream was asked for.
    pub stream: bool,
}

impl Intent {
    /// Brings the texts to the bounds of a record.
    pub(crate) fn bound(&mut self) {
        let texts = [&mut self.request_id, &mut self.timestamp, &mut self.client_addr];
        texts.into_iter().chain(self.key.as_mut()).chain(self.route.as_mut()).for_each(clean);
    }

    /// Returns the record of a request whose outcome nobody reported, for `why` (`aborted`, `process_ended`).
    #[must_use]
    pub fn unfinished(&self, why: &str) -> AuditRecord {
        AuditRecord {
            request_id: self.request_id.clone(),
            timestamp: self.timestamp.clone(),
            key: self.key.clone(),
            client_addr: self.client_addr.clone(),
            route: self.route.clone(),
            stream: self.stream,
            status: 500,
            error_code: Some(why.to_owned()),
            ..AuditRecord::default()
        }
    }
}

/// Makes the row in which the trail speaks about itself.
pub(crate) fn event_record(event: AuditEvent, now_ms: u64) -> AuditRecord {
    let kind = match event {
        AuditEvent::Anchor { .. } => "anchor",
        AuditEvent::Recovered { .. } => "recovered",
    };
    AuditRecord {
        request_id: format!("sentinel-{kind}"),
        timestamp: format_ms(now_ms),
        event: Some(event),
        ..AuditRecord::default()
    }
}

/// Cuts every text of a record to its bound and takes control characters out of names, so that neither a line of an export
/// nor a terminal that shows it can be led astray by what a client or an upstream sent.
pub(crate) fn bound(record: &mut AuditRecord, content_limit: usize) {
    let texts = [&mut record.request_id, &mut record.timestamp, &mut record.client_addr];
    let optional = [
        &mut record.key,
        &mut record.route,
        &mut record.provider,
        &mut record.model,
        &mut record.cache,
        &mut record.finish_reason,
        &mut record.error_code,
    ];
    texts.into_iter().chain(optional.into_iter().flatten()).for_each(clean);
    record.timeline.truncate(MAX_ITEMS);
    for step in &mut record.timeline {
        clean(&mut step.step);
        clean(&mut step.detail);
    }
    while record.pii_detected.len() > MAX_ITEMS {
        record.pii_detected.pop_last();
    }
    if record.pii_detected.keys().any(|entity| !is_clean(entity)) {
        let entities: BTreeMap<_, _> = std::mem::take(&mut record.pii_detected);
        for (mut entity, count) in entities {
            clean(&mut entity);
            record.pii_detected.insert(entity, count);
        }
    }
    if let Some(content) = &mut record.content {
        cut(content, content_limit);
    }
    if record.injection_score.is_some_and(|score| !score.is_finite()) {
        record.injection_score = None;
    }
}

fn is_clean(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

fn clean(text: &mut String) {
    if is_clean(text) {
        return;
    }
    *text = text.chars().take(MAX_TEXT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
}

fn cut(text: &mut String, limit: usize) {
    if let Some((end, _)) = text.char_indices().nth(limit) {
        text.truncate(end);
    }
}

/// Reads an RFC 3339 time as milliseconds since 1970; `None` if it is no time.
#[must_use]
pub fn parse_ms(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Writes milliseconds since 1970 as RFC 3339 with exactly three decimal places, UTC.
#[must_use]
pub fn format_ms(ms: u64) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    let nanos = i128::from(ms).saturating_mul(1_000_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&format).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_control_characters_leave_names() {
        let mut record = AuditRecord {
            request_id: "a\u{1b}[31m\nb".into(),
            model: Some("m".repeat(1000)),
            pii_detected: (0..100).map(|n| (format!("E\t{n:03}"), 1)).collect(),
            content: Some("é\n".repeat(10)),
            injection_score: Some(f64::NAN),
            ..AuditRecord::default()
        };
        bound(&mut record, 5);
        assert_eq!(record.request_id, "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(record.model.map(|model| model.len()), Some(MAX_TEXT));
        assert_eq!(record.pii_detected.len(), MAX_ITEMS);
        assert!(record.pii_detected.contains_key("E\u{fffd}000"));
        assert_eq!(record.content.as_deref(), Some("é\né\né"));
        assert_eq!(record.injection_score, None);
    }

    #[test]
    fn times_are_read_and_written() {
        let text = "2026-11-28T08:30:00.250Z";
        assert_eq!(parse_ms(text).map(format_ms).as_deref(), Some(text));
        assert_eq!(parse_ms("2026-11-28T09:30:00.250+01:00"), parse_ms(text));
        assert_eq!(parse_ms("yesterday"), None);
        assert_eq!(parse_ms("1960-01-01T00:00:00Z"), None);
    }
}
