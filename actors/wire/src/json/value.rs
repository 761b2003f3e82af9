//! Reads fields off a tape without copying.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::Node;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// Returns the name for messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::True | Self::False => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// A value of a document: a place on its tape. Copying it is free.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) nodes: &'a [Node],
    pub(super) at: usize,
}

impl<'a> Value<'a> {
    fn node(&self) -> Option<&'a Node> {
        self.nodes.get(self.at)
    }

    /// Returns what it is.
    pub(crate) fn kind(&self) -> Kind {
        self.node().map_or(Kind::Null, |node| node.kind)
    }

    /// Returns its index on the tape, by which it is found again.
    pub(crate) fn index(&self) -> u32 {
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    /// Returns the bytes that it takes, quotes included.
    pub(crate) fn span(&self) -> Range<usize> {
        self.node().map_or(0..0, |node| node.start as usize..node.end as usize)
    }

    /// Returns its text as it stands in the document.
    pub(crate) fn raw(&self) -> &'a str {
        self.bytes.get(self.span()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("null")
    }

    /// Returns a string's text as bytes: for field names that are only compared, which need not be checked to be
    /// UTF-8 each for itself.
    pub(crate) fn name(&self) -> Cow<'a, [u8]> {
        match self.node() {
            Some(node) if node.kind == Kind::String && !node.escaped => {
                let inner = node.start as usize + 1..(node.end as usize).saturating_sub(1);
                Cow::Borrowed(self.bytes.get(inner).unwrap_or_default())
            }
            Some(node) if node.kind == Kind::String => {
                Cow::Owned(decode_text(self.bytes, node).into_owned().into())
            }
            _ => Cow::Borrowed(&[]),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    pub(crate) fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    pub(crate) fn is_array(&self) -> bool {
        self.kind() == Kind::Array
    }

    pub(crate) fn as_str(&self) -> Option<Cow<'a, str>> {
        let node = self.node()?;
        (node.kind == Kind::String).then(|| decode_text(self.bytes, node))
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// Returns a number that fits a finite float.
    pub(crate) fn as_f64(&self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.raw().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Returns a whole number, written without fraction or exponent.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.raw().parse().ok()
    }

    /// Returns a count, however it is written (`12`, `12.0`); anything below zero is no count.
    pub(crate) fn as_count(&self) -> Option<u64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.raw().parse().ok().or_else(|| {
            let number = self.as_f64()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be a whole number in range"
            )]
            let whole = ((0.0..1e15).contains(&number) && number.fract() == 0.0).then_some(number as u64);
            whole
        })
    }

    /// Returns a field of an object, unless it is missing or this is no object.
    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members().find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// Returns a field that is there and not null.
    pub(crate) fn set(&self, name: &str) -> Option<Value<'a>> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// Returns a field's text, if it is a string.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.as_str()
    }

    /// Returns the fields of an object; nothing for anything else.
    pub(crate) fn members(&self) -> Members<'a> {
        let end = if self.is_object() { self.end() } else { 0 };
        Members { bytes: self.bytes, nodes: self.nodes, at: self.at + 1, end }
    }

    /// Returns the items of an array; nothing for anything else.
    pub(crate) fn items(&self) -> Items<'a> {
        let end = if self.is_array() { self.end() } else { 0 };
        Items { bytes: self.bytes, nodes: self.nodes, at: self.at + 1, end }
    }

    fn end(&self) -> usize {
        self.node().map_or(0, |node| node.next as usize)
    }

    /// Says whether this is the string `text`.
    pub(crate) fn is(&self, text: &str) -> bool {
        match self.node() {
            Some(node) if node.kind == Kind::String && !node.escaped => {
                let inner = node.start as usize + 1..(node.end as usize).saturating_sub(1);
                self.bytes.get(inner) == Some(text.as_bytes())
            }
            Some(node) if node.kind == Kind::String => decode_text(self.bytes, node) == text,
            _ => false,
        }
    }
}

/// The fields of an object in document order.
pub(crate) struct Members<'a> {
    bytes: &'a [u8],
    nodes: &'a [Node],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let key = Value { bytes: self.bytes, nodes: self.nodes, at: self.at };
        let value = Value { bytes: self.bytes, nodes: self.nodes, at: self.at + 1 };
        self.at = self.nodes.get(self.at + 1)?.next as usize;
        Some((key, value))
    }
}

/// The items of an array in document order.
pub(crate) struct Items<'a> {
    bytes: &'a [u8],
    nodes: &'a [Node],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { bytes: self.bytes, nodes: self.nodes, at: self.at };
        self.at = self.nodes.get(self.at)?.next as usize;
        Some(value)
    }
}

/// Decodes the text of a string node.
pub(super) fn decode_text<'a>(bytes: &'a [u8], node: &Node) -> Cow<'a, str> {
    let inner = node.start as usize + 1..(node.end as usize).saturating_sub(1);
    let text = bytes.get(inner).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    if node.escaped { Cow::Owned(unescape(text)) } else { Cow::Borrowed(text) }
}

/// Decodes the inside of a string that the scan accepted; half a surrogate pair becomes U+FFFD.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut letters = tail.chars();
        letters.next();
        match letters.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let after = letters.as_str();
                let high = unit(after);
                let low = after.get(4..).and_then(|next| next.strip_prefix("\\u")).map(unit);
                let (letter, used) = match (high, low) {
                    (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
                        (char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 10)
                    }
                    _ => (char::from_u32(high), 4),
                };
                out.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = after.get(used..).unwrap_or_default();
                continue;
            }
            Some(letter) => out.push(letter),
            None => {}
        }
        rest = letters.as_str();
    }
    out.push_str(rest);
    out
}

fn unit(text: &str) -> u32 {
    text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xFFFD)
}
