//! Writes compact JSON by hand: translation mostly copies spans, so a value tree would only cost time.

use std::ops::Range;

use bytes::Bytes;

/// Writes one JSON document. Commas are placed by the writer; the caller keeps objects and arrays balanced.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// Puts a comma unless this is the first thing in its container or follows a field name.
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    pub(crate) fn open_object(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'{');
        self
    }

    pub(crate) fn close_object(&mut self) -> &mut Self {
        self.out.push(b'}');
        self
    }

    pub(crate) fn open_array(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'[');
        self
    }

    pub(crate) fn close_array(&mut self) -> &mut Self {
        self.out.push(b']');
        self
    }

    /// Writes a field name; names come from the code or are escaped like any string.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        escape_into(&mut self.out, name);
        self.out.push(b':');
        self
    }

    /// Writes a string and returns the bytes that it takes, quotes included.
    pub(crate) fn string(&mut self, text: &str) -> Range<usize> {
        self.separate();
        let start = self.out.len();
        escape_into(&mut self.out, text);
        start..self.out.len()
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self
    }

    pub(crate) fn boolean(&mut self, yes: bool) -> &mut Self {
        self.raw(if yes { "true" } else { "false" })
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.raw("null")
    }

    /// Copies a JSON value as it stands.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    /// Writes a field with a string.
    pub(crate) fn field(&mut self, name: &str, text: &str) -> &mut Self {
        self.key(name).string(text);
        self
    }

    /// Writes a field with a JSON value as it stands.
    pub(crate) fn raw_field(&mut self, name: &str, json: &str) -> &mut Self {
        self.key(name).raw(json)
    }

    /// Writes a field with a count.
    pub(crate) fn count_field(&mut self, name: &str, number: u64) -> &mut Self {
        self.key(name).number(number)
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.out)
    }

    /// Ends an inner document that goes into another one.
    pub(crate) fn into_text(self) -> String {
        String::from_utf8(self.out).unwrap_or_else(|_| "null".to_owned())
    }
}

/// Appends a text as a JSON string in quotes.
pub(crate) fn escape_into(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().copied().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend(HEX.get(usize::from(byte >> 4)));
                out.extend(HEX.get(usize::from(byte & 15)));
            }
        }
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    out.push(b'"');
}
