//! The one pass over a document: checks the grammar and writes the tape.

use std::collections::HashSet;

use super::value::{Kind, Value, decode_text};

/// Objects up to this many fields are checked for duplicates by comparing; larger ones by hashing.
const COMPARED_FIELDS: usize = 16;

/// What a document may look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Containers inside containers.
    pub(crate) max_depth: usize,
    /// Values and field names in all; bounds the memory of the tape.
    pub(crate) max_nodes: usize,
    /// Refuses a field that stands twice, and halves of surrogate pairs.
    pub(crate) strict: bool,
}

impl Rules {
    /// What providers' answers are read with: bounded, but forgiving about what does not concern the gateway.
    pub(crate) const ANSWER: Self = Self { max_depth: 128, max_nodes: 4_000_000, strict: false };
}

/// Why a document was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON; the text says what was expected.
    Syntax(&'static str),
    /// Not UTF-8.
    Utf8,
    /// Nested too deeply.
    Depth,
    /// A field stands twice in one object.
    Duplicate,
    /// More values than allowed.
    TooManyValues,
}

/// A refused document: why, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// Why.
    pub(crate) fault: Fault,
    /// Offset of the first wrong byte.
    pub(crate) offset: usize,
    /// Path of the value concerned, such as `messages[0].content`.
    pub(crate) path: String,
}

/// Boxed, since the scan hands a result up for every value and nearly all of them are good.
type Scanned<T> = Result<T, Box<JsonError>>;

impl JsonError {
    fn new(fault: Fault, offset: usize) -> Box<Self> {
        Box::new(Self { fault, offset, path: String::new() })
    }

    fn inside(mut self: Box<Self>, segment: &str) -> Box<Self> {
        if !self.path.is_empty() && !self.path.starts_with('[') {
            self.path.insert(0, '.');
        }
        self.path.insert_str(0, segment);
        self
    }

    /// Returns line and column, both from one; the column counts characters.
    pub(crate) fn position(&self, bytes: &[u8]) -> (usize, usize) {
        let before = bytes.get(..self.offset).unwrap_or(bytes);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.iter().skip(line_start).filter(|byte| (**byte & 0xC0) != 0x80).count() + 1;
        (line, column)
    }
}

/// One value or field name: where it stands and where the next one on its level begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Index of the first node after this one and everything in it.
    pub(super) next: u32,
    pub(super) kind: Kind,
    /// A string with escapes in it.
    pub(super) escaped: bool,
}

/// The places of all values of one document, in document order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
}

impl Tape {
    /// Reads a whole document. White space around it is allowed, anything else after it is not.
    pub(crate) fn read(bytes: &[u8], rules: Rules) -> Scanned<Self> {
        let mut tape = Self::default();
        tape.refill(bytes, rules)?;
        Ok(tape)
    }

    /// As [`Tape::read`], in the memory of an earlier document.
    pub(crate) fn refill(&mut self, bytes: &[u8], rules: Rules) -> Scanned<()> {
        self.nodes.clear();
        if u32::try_from(bytes.len()).is_err() {
            return Err(JsonError::new(Fault::TooManyValues, 0));
        }
        if let Err(error) = std::str::from_utf8(bytes) {
            return Err(JsonError::new(Fault::Utf8, error.valid_up_to()));
        }
        let mut scan = Scan { bytes, at: 0, nodes: &mut self.nodes, rules };
        scan.space();
        scan.value(0)?;
        scan.space();
        if scan.at < bytes.len() { Err(scan.syntax("nothing after the value")) } else { Ok(()) }
    }

    /// Returns the document itself, given the bytes that the tape was read from.
    pub(crate) fn root<'a>(&'a self, bytes: &'a [u8]) -> Value<'a> {
        Value { bytes, nodes: &self.nodes, at: 0 }
    }

    /// Returns the value at an index that [`Value::index`] gave.
    pub(crate) fn at<'a>(&'a self, bytes: &'a [u8], index: u32) -> Option<Value<'a>> {
        let at = index as usize;
        self.nodes.get(at).map(|_| Value { bytes, nodes: &self.nodes, at })
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
    rules: Rules,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn syntax(&self, expected: &'static str) -> Box<JsonError> {
        JsonError::new(Fault::Syntax(expected), self.at)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Opens a node at the current place; `close` sets its end.
    fn open(&mut self, kind: Kind) -> Scanned<usize> {
        let index = self.nodes.len();
        if index >= self.rules.max_nodes {
            return Err(JsonError::new(Fault::TooManyValues, self.at));
        }
        let start = narrow(self.at);
        self.nodes.push(Node { start, end: start, next: narrow(index + 1), kind, escaped: false });
        Ok(index)
    }

    fn close(&mut self, index: usize, escaped: bool) {
        let (end, next) = (narrow(self.at), narrow(self.nodes.len()));
        if let Some(node) = self.nodes.get_mut(index) {
            node.end = end;
            node.next = next;
            node.escaped = escaped;
        }
    }

    fn value(&mut self, depth: usize) -> Scanned<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b't') => self.word(b"true", Kind::True),
            Some(b'f') => self.word(b"false", Kind::False),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.syntax("a value")),
        }
    }

    fn word(&mut self, word: &'static [u8], kind: Kind) -> Scanned<()> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.syntax("a value"));
        }
        let index = self.open(kind)?;
        self.at += word.len();
        self.close(index, false);
        Ok(())
    }

    fn digits(&mut self) -> Scanned<()> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == first { Err(self.syntax("a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Scanned<()> {
        let index = self.open(Kind::Number)?;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.close(index, false);
        Ok(())
    }

    fn string(&mut self) -> Scanned<usize> {
        let index = self.open(Kind::String)?;
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_run(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.close(index, escaped);
                    return Ok(index);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.syntax("an escape instead of a control character")),
                None => return Err(self.syntax("the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let unit = self.unit()?;
                let lone = match unit {
                    0xD800..=0xDBFF => {
                        let low = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u"));
                        let before = self.at;
                        self.at += usize::from(low);
                        if low && (0xDC00..=0xDFFF).contains(&self.unit()?) {
                            false
                        } else {
                            self.at = before;
                            true
                        }
                    }
                    0xDC00..=0xDFFF => true,
                    _ => false,
                };
                if lone && self.rules.strict {
                    self.at = start;
                    return Err(self.syntax("both halves of a surrogate pair"));
                }
            }
            _ => return Err(self.syntax("an escape that JSON knows")),
        }
        Ok(())
    }

    /// Reads `uXXXX` and returns the unit.
    fn unit(&mut self) -> Scanned<u16> {
        self.at += 1;
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        if text.len() != 4 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.syntax("four hexadecimal digits"));
        }
        self.at += 4;
        u16::from_str_radix(text, 16).map_err(|_| self.syntax("four hexadecimal digits"))
    }

    fn enter(&mut self, kind: Kind, depth: usize) -> Scanned<usize> {
        if depth > self.rules.max_depth {
            return Err(JsonError::new(Fault::Depth, self.at));
        }
        let index = self.open(kind)?;
        self.at += 1;
        self.space();
        Ok(index)
    }

    fn array(&mut self, depth: usize) -> Scanned<()> {
        let index = self.enter(Kind::Array, depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            self.close(index, false);
            return Ok(());
        }
        let mut position = 0_usize;
        loop {
            self.value(depth).map_err(|error| error.inside(&format!("[{position}]")))?;
            position += 1;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    self.close(index, false);
                    return Ok(());
                }
                _ => return Err(self.syntax("`,` or `]`")),
            }
            self.space();
        }
    }

    fn object(&mut self, depth: usize) -> Scanned<()> {
        let index = self.enter(Kind::Object, depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.close(index, false);
            return Ok(());
        }
        let mut seen = Seen::default();
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.syntax("a field name in quotes"));
            }
            let key = self.string()?;
            if self.rules.strict && seen.again(self.bytes, self.nodes, index, key) {
                let start = self.nodes.get(key).map_or(0, |node| node.start as usize);
                return Err(JsonError::new(Fault::Duplicate, start).inside(&self.name(key)));
            }
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.syntax("`:`"));
            }
            self.at += 1;
            self.space();
            if let Err(error) = self.value(depth) {
                return Err(error.inside(&self.name(key)));
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    self.close(index, false);
                    return Ok(());
                }
                _ => return Err(self.syntax("`,` or `}`")),
            }
            self.space();
        }
    }

    /// Returns a field name as it may be shown: short, and free of control characters.
    fn name(&self, key: usize) -> String {
        let name = self.nodes.get(key).map(|node| decode_text(self.bytes, node)).unwrap_or_default();
        name.chars().filter(|letter| !letter.is_control()).take(64).collect()
    }
}

/// The field names of one open object.
#[derive(Default)]
struct Seen {
    count: usize,
    hashed: Option<HashSet<String>>,
}

impl Seen {
    /// Notes the name at `key` in the object at `object`; says whether it was there before.
    fn again(&mut self, bytes: &[u8], nodes: &[Node], object: usize, key: usize) -> bool {
        let Some(node) = nodes.get(key) else { return false };
        self.count += 1;
        if let Some(names) = &mut self.hashed {
            return !names.insert(decode_text(bytes, node).into_owned());
        }
        let earlier = Names { nodes, at: object + 1, end: key };
        if self.count <= COMPARED_FIELDS {
            return earlier.into_iter().any(|other| same_name(bytes, other, node));
        }
        let mut names: HashSet<String> =
            earlier.map(|other| decode_text(bytes, other).into_owned()).collect();
        let again = !names.insert(decode_text(bytes, node).into_owned());
        self.hashed = Some(names);
        again
    }
}

struct Names<'a> {
    nodes: &'a [Node],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        if self.at >= self.end {
            return None;
        }
        let name = self.nodes.get(self.at)?;
        self.at = self.nodes.get(self.at + 1)?.next as usize;
        Some(name)
    }
}

fn same_name(bytes: &[u8], a: &Node, b: &Node) -> bool {
    if a.escaped || b.escaped {
        return decode_text(bytes, a) == decode_text(bytes, b);
    }
    let text = |node: &Node| bytes.get(node.start as usize..node.end as usize);
    text(a) == text(b)
}

/// Sizes were checked to fit before the scan began.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Counts the leading bytes that are neither a quote, a backslash nor a control character, eight at a time.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest marked byte is always right; borrows can only mark bytes above it in error.
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
    }
    let mut rest = bytes;
    let mut count = 0;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * b'"' as u64), 1);
        let backslash = below(word ^ (ONES * b'\\' as u64), 1);
        let hit = quote | backslash | below(word, 0x20);
        if hit != 0 {
            return count + hit.trailing_zeros() as usize / 8;
        }
        count += 8;
        rest = tail;
    }
    count + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1F)).count()
}
