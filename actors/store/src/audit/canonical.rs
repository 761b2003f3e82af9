//! The one text of a record that is hashed.
//!
//! The canonical form is exactly what Python's
//! `json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)` writes, in UTF-8:
//!
//! - keys of every object in the order of their code points, no white space;
//! - strings with `\"`, `\\`, `\b`, `\f`, `\n`, `\r`, `\t`, other characters below U+0020 as `\u00xx` in lower case, everything
//!   else as it is;
//! - integers in decimal without a leading zero;
//! - `cost_usd` and `injection_score` as floating-point numbers with the fewest digits that read back to the same IEEE 754
//!   double: plain (`0.25`, `12.0`) from 1e-4 up to below 1e16, otherwise with an exponent of at least two digits
//!   (`1.5e-06`); zero is `0.0`, and what is not a number is `null`;
//! - absent values are `null`, except `timeline`, `event` and `content`, whose keys are left out.
//!
//! It is written by hand, in order, because it lies on the path of every request; a test compares it with a generic
//! writer that sorts.

use sentinel_domain::audit::{AuditEvent, AuditRecord, RecoveryReason, TimelineStep};
use sentinel_domain::usage::UsageSource;

/// The key before which `hash` stands in a complete line.
const AFTER_HASH: &[u8] = b"\"injection_score\":";

/// Appends the canonical text of `record` without its hash to `out`.
pub fn write_canonical(record: &AuditRecord, out: &mut Vec<u8>) {
    let mut json = Object::open(out);
    json.number("attempts", u64::from(record.attempts));
    json.optional_text("cache", record.cache.as_deref());
    json.number("cache_write_tokens", record.cache_write_tokens);
    json.number("cached_tokens", record.cached_tokens);
    json.text("client_addr", &record.client_addr);
    json.number("completion_tokens", record.completion_tokens);
    if let Some(content) = &record.content {
        json.text("content", content);
    }
    json.optional_float("cost_usd", record.cost_usd.map(|cost| cost.as_usd_f64()));
    json.optional_text("error_code", record.error_code.as_deref());
    if let Some(event) = &record.event {
        write_event(event, json.key("event"));
    }
    json.optional_text("finish_reason", record.finish_reason.as_deref());
    json.optional_float("injection_score", record.injection_score);
    json.optional_text("key", record.key.as_deref());
    json.number("latency_ms", record.latency_ms);
    json.optional_text("model", record.model.as_deref());
    let mut entities = Object::open(json.key("pii_detected"));
    for (entity, count) in &record.pii_detected {
        entities.number(entity, *count);
    }
    entities.close();
    json.boolean("pii_redacted", record.pii_redacted);
    json.text("prev_hash", &record.prev_hash);
    json.number("prompt_tokens", record.prompt_tokens);
    json.optional_text("provider", record.provider.as_deref());
    json.number("reasoning_tokens", record.reasoning_tokens);
    json.text("request_id", &record.request_id);
    json.optional_text("route", record.route.as_deref());
    json.number("sequence", record.sequence);
    json.number("status", u64::from(record.status));
    json.boolean("stream", record.stream);
    if !record.timeline.is_empty() {
        write_timeline(&record.timeline, json.key("timeline"));
    }
    json.text("timestamp", &record.timestamp);
    json.optional_number("ttft_ms", record.ttft_ms);
    json.optional_text("usage_source", record.usage_source.map(usage_source_name));
    json.close();
}

/// Returns the complete line of a stored row: the canonical text with its hash in its sorted place.
#[must_use]
pub fn with_hash(canonical: &[u8], hash_hex: &str) -> Vec<u8> {
    let at = memchr_key(canonical).unwrap_or(canonical.len());
    let (before, after) = canonical.split_at(at);
    [before, b"\"hash\":\"", hash_hex.as_bytes(), b"\",", after].concat()
}

/// Finds the key after `hash`. Inside of a string its quotes would be escaped, so the first hit is the key.
fn memchr_key(canonical: &[u8]) -> Option<usize> {
    canonical.windows(AFTER_HASH.len()).position(|window| window == AFTER_HASH)
}

fn usage_source_name(source: UsageSource) -> &'static str {
    match source {
        UsageSource::Provider => "provider",
        UsageSource::Estimated => "estimated",
        UsageSource::Partial => "partial",
    }
}

fn reason_name(reason: RecoveryReason) -> &'static str {
    match reason {
        RecoveryReason::UncleanStop => "unclean_stop",
        RecoveryReason::TailMissing => "tail_missing",
        RecoveryReason::StoreReplaced => "store_replaced",
        RecoveryReason::HeadMissing => "head_missing",
        RecoveryReason::StoreDeleted => "store_deleted",
    }
}

fn write_event(event: &AuditEvent, out: &mut Vec<u8>) {
    let mut json = Object::open(out);
    match event {
        AuditEvent::Anchor { sequence, hash } => {
            json.text("hash", hash);
            json.text("kind", "anchor");
            json.number("sequence", *sequence);
        }
        AuditEvent::Recovered { reason, expected_sequence, found_sequence, aborted } => {
            json.number("aborted", *aborted);
            json.number("expected_sequence", *expected_sequence);
            json.number("found_sequence", *found_sequence);
            json.text("kind", "recovered");
            json.text("reason", reason_name(*reason));
        }
    }
    json.close();
}

fn write_timeline(steps: &[TimelineStep], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, step) in steps.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let mut json = Object::open(out);
        json.number("at_ms", step.at_ms);
        if !step.detail.is_empty() {
            json.text("detail", &step.detail);
        }
        json.text("step", &step.step);
        json.close();
    }
    out.push(b']');
}

/// An object that is being written; the caller gives its keys in order.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_text(name, self.out);
        self.out.push(b':');
        self.out
    }

    fn text(&mut self, name: &str, value: &str) {
        write_text(value, self.key(name));
    }

    fn optional_text(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.null(name),
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        write_integer(value, self.key(name));
    }

    fn optional_number(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.null(name),
        }
    }

    fn optional_float(&mut self, name: &str, value: Option<f64>) {
        match value {
            Some(value) => write_float(value, self.key(name)),
            None => self.null(name),
        }
    }

    fn boolean(&mut self, name: &str, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.key(name).extend_from_slice(text);
    }

    fn null(&mut self, name: &str) {
        self.key(name).extend_from_slice(b"null");
    }
}

fn write_integer(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut rest = value;
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        let digit = (rest % 10) as u8;
        *slot = b'0' + digit;
        used += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - used));
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control @ 0..=0x1f => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(control >> 4), digit(control & 15)]);
            }
            other => out.push(other),
        }
    }
    out.push(b'"');
}

/// Writes the fewest digits that read back to `value`, laid out as Python does.
fn write_float(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    if value == 0.0 {
        out.extend_from_slice(b"0.0");
        return;
    }
    // Rust's `e` form has the fewest digits: `-1.275e-5`.
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        // `Display` never uses an exponent and has the same digits.
        let plain = value.to_string();
        out.extend_from_slice(plain.as_bytes());
        if !plain.contains('.') {
            out.extend_from_slice(b".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
    }
}

#[cfg(test)]
mod tests;
