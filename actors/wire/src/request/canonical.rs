//! The part of a request that decides the answer, in one spelling: what a cache is keyed by.

use super::ChatRequest;
use crate::json::{Kind, Value};

/// Fields that say how the answer travels or is filed, not what it is.
const NOT_DECIDING: [&str; 10] = [
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "model",
];

impl ChatRequest {
    /// Returns the same bytes for two requests that ask for the same thing: fields sorted, white space and escapes
    /// in one spelling, null fields and fields that do not change the answer left out. The model is left out too:
    /// the caller keys by the target that it resolved to.
    #[must_use]
    pub fn canonical_key(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body().len());
        write_object(&mut out, self.root(), true);
        out
    }
}

fn write_object(out: &mut Vec<u8>, object: Value<'_>, top: bool) {
    let mut fields: Vec<_> = object
        .members()
        .filter_map(|(key, value)| key.as_str().map(|name| (name, value)))
        .filter(|(name, value)| !(top && (value.is_null() || NOT_DECIDING.contains(&name.as_ref()))))
        .collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.push(b'{');
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, name);
        write_value(out, *value);
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value.kind() {
        Kind::Object => write_object(out, value, false),
        Kind::Array => {
            out.push(b'[');
            for (at, item) in value.items().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Kind::String => write_text(out, &value.as_str().unwrap_or_default()),
        Kind::Number => {
            // `1`, `1.0` and `1e0` are one number; whole ones beyond a float's precision stay as written.
            match (value.as_i64(), value.as_f64()) {
                (Some(whole), _) => out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes()),
                (None, Some(number)) => out.extend_from_slice(number.to_string().as_bytes()),
                (None, None) => out.extend_from_slice(value.raw().as_bytes()),
            }
        }
        Kind::Null | Kind::True | Kind::False => out.extend_from_slice(value.raw().as_bytes()),
    }
}

/// Length first, so that no text can imitate the structure around it.
fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
    out.push(b':');
    out.extend_from_slice(text.as_bytes());
}
