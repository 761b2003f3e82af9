//! A borrowed text with the byte look-ups every detector needs, none of which can fail.

/// Bytes of context a detector may look at before its candidate.
pub(crate) const BACK: usize = 96;
/// Bytes of context a detector may look at after its candidate.
pub(crate) const AHEAD: usize = 32;

/// Bytes of a text under scan. All offsets are byte offsets.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Text<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes() }
    }

    pub(crate) fn len(self) -> usize {
        self.bytes.len()
    }

    /// Returns the byte at `index`, or 0 outside the text: NUL is in none of the classes the detectors use.
    pub(crate) fn at(self, index: usize) -> u8 {
        self.bytes.get(index).copied().unwrap_or(0)
    }

    /// Returns the byte `distance` before `index`, or 0 before the beginning.
    pub(crate) fn before(self, index: usize, distance: usize) -> u8 {
        index.checked_sub(distance).map_or(0, |index| self.at(index))
    }

    pub(crate) fn slice(self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end.min(self.len())).unwrap_or(&[])
    }

    /// Returns the end of the run of bytes that `accept` starting at `start`, at most `limit` bytes long.
    pub(crate) fn run(self, start: usize, limit: usize, accept: impl Fn(u8) -> bool) -> usize {
        let window = self.slice(start, start.saturating_add(limit));
        start + window.iter().position(|byte| !accept(*byte)).unwrap_or(window.len())
    }

    /// Returns the start of the run of bytes that `accept` ending at `end`, at most `limit` bytes long.
    pub(crate) fn run_back(self, end: usize, limit: usize, accept: impl Fn(u8) -> bool) -> usize {
        let window = self.slice(end.saturating_sub(limit), end);
        end - window.iter().rev().position(|byte| !accept(*byte)).unwrap_or(window.len())
    }

    /// Says whether a letter outside ASCII stands directly before `index`.
    pub(crate) fn follows_foreign_letter(self, index: usize) -> bool {
        (2..=4).any(|length| {
            let part = index.checked_sub(length).map_or(&[][..], |start| self.slice(start, index));
            let mut chars = std::str::from_utf8(part).unwrap_or_default().chars();
            chars.next().is_some_and(|char| !char.is_ascii() && char.is_alphabetic())
                && chars.next().is_none()
        })
    }

    /// Says whether an identifier may begin at `start`: it is glued to nothing that makes it part of a longer thing.
    pub(crate) fn opens(self, start: usize) -> bool {
        let previous = self.before(start, 1);
        if word(previous) {
            return false;
        }
        // `build-1234`, `v1.2`, `a/b`, `x+y`: the candidate is the tail of a longer name.
        !(matches!(previous, b'-' | b'.' | b'/' | b'+' | b'@' | b'%' | b'~' | b'\\')
            && word(self.before(start, 2)))
    }

    /// Says whether an identifier may end at `end`.
    pub(crate) fn closes(self, end: usize) -> bool {
        let next = self.at(end);
        if word(next) {
            return false;
        }
        !(matches!(next, b'-' | b'.' | b'/' | b'+' | b'@' | b'~') && word(self.at(end + 1)))
    }
}

/// Letters, digits, underscore.
pub(crate) fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The bytes of base64 in its URL-safe alphabet.
pub(crate) fn base64url(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

/// The bytes of base64 in its standard alphabet with padding.
pub(crate) fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Returns the largest char boundary that is not above `index`.
pub(crate) fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}
