//! A run of digit groups, as a person writes a long number: `4111 1111 1111 1111`, `123-45-6789`.

use super::text::{Text, word};

/// Most digits that are read; no number we look for is longer.
const MAX_DIGITS: usize = 24;
/// Most groups that are read.
const MAX_GROUPS: usize = 8;

/// Digit groups that begin at one place, each parted from the next by one separator byte.
pub(crate) struct Groups {
    digits: [u8; MAX_DIGITS],
    lengths: [u8; MAX_GROUPS],
    separators: [u8; MAX_GROUPS],
    ends: [usize; MAX_GROUPS],
    count: usize,
}

impl Groups {
    /// Reads the groups that begin at `start`, the first byte of a digit run.
    pub(crate) fn read(text: Text<'_>, start: usize) -> Self {
        let mut groups = Self {
            digits: [0; MAX_DIGITS],
            lengths: [0; MAX_GROUPS],
            separators: [0; MAX_GROUPS],
            ends: [start; MAX_GROUPS],
            count: 0,
        };
        let mut total = 0;
        let mut cursor = start;
        while groups.count < MAX_GROUPS {
            let end = text.run(cursor, MAX_DIGITS + 1, |byte| byte.is_ascii_digit());
            let length = end - cursor;
            let Some(room) = groups.digits.get_mut(total..total + length) else { break };
            if length == 0 {
                break;
            }
            room.copy_from_slice(text.slice(cursor, end));
            total += length;
            let separator = text.at(end);
            let at = groups.count;
            if let (Some(slot), Some(sep), Some(stop)) =
                (groups.lengths.get_mut(at), groups.separators.get_mut(at), groups.ends.get_mut(at))
            {
                *slot = u8::try_from(length).unwrap_or(u8::MAX);
                *sep = separator;
                *stop = end;
            }
            groups.count += 1;
            if !matches!(separator, b' ' | b'-' | b'.' | b'/') || !text.at(end + 1).is_ascii_digit() {
                break;
            }
            cursor = end + 1;
        }
        groups
    }

    /// Returns the lengths of the groups.
    pub(crate) fn lengths(&self) -> &[u8] {
        self.lengths.get(..self.count).unwrap_or(&[])
    }

    /// Returns the first `count` digits.
    pub(crate) fn digits(&self, count: usize) -> &[u8] {
        self.digits.get(..count).unwrap_or(&[])
    }

    /// Returns the separator after group `index` (the byte that follows, when it is the last group).
    pub(crate) fn separator(&self, index: usize) -> u8 {
        self.separators.get(index).copied().unwrap_or(0)
    }

    /// Returns the end of the first `count` groups.
    pub(crate) fn end(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|index| self.ends.get(index)).copied().unwrap_or(0)
    }

    /// Returns the end of the groups when the number begins with exactly these, all parted by one of `separators`.
    pub(crate) fn shaped(&self, lengths: &[u8], separators: &[u8]) -> Option<usize> {
        if self.lengths().get(..lengths.len())? != lengths {
            return None;
        }
        let first = self.separator(0);
        let uniform = (0..lengths.len().saturating_sub(1)).all(|index| self.separator(index) == first);
        (uniform && (lengths.len() == 1 || separators.contains(&first))).then(|| self.end(lengths.len()))
    }

    /// Says whether the number begins with exactly these groups, all parted by one of `separators`, and may end there.
    ///
    /// Returns the end of the match. A blank after it may be followed by another number; a hyphen or dot may not.
    pub(crate) fn fits(&self, text: Text<'_>, lengths: &[u8], separators: &[u8]) -> Option<usize> {
        self.shaped(lengths, separators).filter(|end| ends(text, *end))
    }
}

/// Says whether a number may end at `end`.
pub(crate) fn ends(text: Text<'_>, end: usize) -> bool {
    let (next, after) = (text.at(end), text.at(end + 1));
    if word(next) {
        return false;
    }
    match next {
        b'-' | b'/' | b'+' | b'@' => !after.is_ascii_alphanumeric(),
        b'.' | b',' => !after.is_ascii_digit() || next == b',',
        _ => true,
    }
}

/// Says whether a number may begin at `start`.
pub(crate) fn begins(text: Text<'_>, start: usize) -> bool {
    let (previous, further) = (text.before(start, 1), text.before(start, 2));
    if word(previous) {
        return false;
    }
    match previous {
        b'.' | b',' => !further.is_ascii_digit() || previous == b',',
        b'-' | b'/' | b'+' | b'@' | b'%' | b'\\' | b'~' => !word(further),
        b'$' => false,
        _ => true,
    }
}
