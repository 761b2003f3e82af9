//! Which mask stands for which value, for one conversation.
//!
//! A mask is `[EMAIL_ADDRESS_1]`: the kind and a number that counts up per kind; the same value has the same number. A text
//! may itself hold something that looks like a mask. [`Vault::reserve`] makes ours start above such numbers, so a mask
//! of ours never equals a literal of the caller; where a number was already given away, the literal itself is masked
//! (`[LITERAL_1]`) and comes back like any value. Either way a mask in an answer means one thing only.

use std::collections::{BTreeMap, HashMap};

use zeroize::Zeroize;

use super::entity::Entity;

/// Most values of one conversation; over that, masks carry no number and are not put back.
pub const MAX_VALUES: usize = 65_536;
/// Longest spelling of a mask that is recognised, in bytes.
pub(crate) const MAX_MASK: usize = 72;
/// Kind of a masked literal.
const LITERAL: &str = "LITERAL";

/// Whose value a mask stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller sent it: it may be put back into the answer.
    Caller,
    /// The model wrote it: it stays masked.
    Model,
}

struct Entry {
    number: u32,
    value: String,
    origin: Origin,
}

#[derive(Default)]
struct Kind {
    /// Highest number given out or seen in a literal.
    highest: u32,
    entries: Vec<Entry>,
    /// Position in `entries` by number.
    by_number: BTreeMap<u32, usize>,
    /// Positions in `entries` by hash of the value; the value itself is stored once, so that it can be wiped.
    by_hash: HashMap<u64, Vec<usize>>,
}

/// Values and masks of one conversation. Wiped when dropped; `Debug` prints counts only.
#[derive(Default)]
pub struct Vault {
    kinds: HashMap<String, Kind>,
    hasher: ahash::RandomState,
    values: usize,
    overflowed: u64,
    /// Highest number of literals whose kind is no built-in one: bounded, however many names a text makes up.
    highest_other: u32,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Vault")
            .field("values", &self.values)
            .field("overflowed", &self.overflowed)
            .finish()
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        for entry in self.kinds.values_mut().flat_map(|kind| &mut kind.entries) {
            entry.value.zeroize();
        }
    }
}

impl Vault {
    /// Creates an empty vault.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many values are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values
    }

    /// Says whether no value is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values == 0
    }

    /// Returns how many masks were given without a number because the vault was full.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Takes the numbers of everything in `text` that looks like a mask out of circulation.
    ///
    /// Call it for every text of a request before the first is redacted.
    pub fn reserve(&mut self, text: &str) {
        for mask in masks(text) {
            if built_in(&mask.kind) {
                let kind = self.kinds.entry(mask.kind).or_default();
                kind.highest = kind.highest.max(mask.number);
            } else {
                self.highest_other = self.highest_other.max(mask.number);
            }
        }
    }

    /// Returns the mask of `value`, a new one when the value is new.
    pub fn mask(&mut self, entity: &Entity, value: &str, origin: Origin) -> String {
        self.mask_as(entity.name(), value, origin)
    }

    /// Masks a text that looks like one of our masks but is not.
    pub(crate) fn mask_literal(&mut self, value: &str) -> String {
        self.mask_as(LITERAL, value, Origin::Caller)
    }

    fn mask_as(&mut self, name: &str, value: &str, origin: Origin) -> String {
        let hash = self.hasher.hash_one(value);
        let full = self.values >= MAX_VALUES;
        let kind = match self.kinds.get_mut(name) {
            Some(kind) => kind,
            None => self.kinds.entry(name.to_owned()).or_default(),
        };
        let known = kind.by_hash.get(&hash).into_iter().flatten().copied();
        for position in known {
            if let Some(entry) = kind.entries.get_mut(position).filter(|entry| entry.value == value) {
                // The caller's own value stays the caller's, whoever wrote it first.
                if origin == Origin::Caller {
                    entry.origin = Origin::Caller;
                }
                return format!("[{name}_{}]", entry.number);
            }
        }
        let seen = if built_in(name) { kind.highest } else { kind.highest.max(self.highest_other) };
        let Some(number) = seen.checked_add(1).filter(|_| !full) else {
            self.overflowed += 1;
            return format!("[{name}]");
        };
        kind.highest = number;
        let position = kind.entries.len();
        kind.entries.push(Entry { number, value: value.to_owned(), origin });
        kind.by_number.insert(number, position);
        kind.by_hash.entry(hash).or_default().push(position);
        self.values += 1;
        format!("[{name}_{number}]")
    }

    /// Returns the value of a mask that was given out.
    pub(crate) fn lookup(&self, kind: &str, number: u32) -> Option<(&str, Origin)> {
        let kind = self.kinds.get(kind)?;
        let entry = kind.entries.get(*kind.by_number.get(&number)?)?;
        Some((&entry.value, entry.origin))
    }

    /// Says whether the caller sent this value.
    pub(crate) fn is_callers(&self, value: &str) -> bool {
        let hash = self.hasher.hash_one(value);
        self.kinds.values().any(|kind| {
            kind.by_hash.get(&hash).into_iter().flatten().any(|position| {
                kind.entries
                    .get(*position)
                    .is_some_and(|entry| entry.origin == Origin::Caller && entry.value == value)
            })
        })
    }
}

fn built_in(name: &str) -> bool {
    name == LITERAL || Entity::ALL.iter().any(|entity| entity.name() == name)
}

/// Something that looks like a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: String,
    pub(crate) number: u32,
}

/// Finds everything in `text` that looks like a mask.
pub(crate) fn masks(text: &str) -> Vec<Mask> {
    memchr::memchr_iter(b'[', text.as_bytes()).filter_map(|start| parse_mask(text, start)).collect()
}

/// Says whether `byte` may occur inside a mask; models write `\_` for `_` where they think of Markdown.
pub(crate) fn mask_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'\\')
}

fn parse_mask(text: &str, start: usize) -> Option<Mask> {
    let bytes = text.as_bytes();
    let window = bytes.get(start + 1..bytes.len().min(start + MAX_MASK))?;
    let close = window.iter().position(|byte| !mask_byte(*byte))?;
    if window.get(close) != Some(&b']') {
        return None;
    }
    let inner: String =
        text.get(start + 1..start + 1 + close)?.chars().filter(|char| *char != '\\').collect();
    let (kind, number) = inner.rsplit_once('_')?;
    let canonical =
        !number.starts_with('0') && kind.bytes().next().is_some_and(|first| first.is_ascii_uppercase());
    let number = number.parse().ok().filter(|_| canonical)?;
    Some(Mask { start, end: start + close + 2, kind: kind.to_owned(), number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_value_has_the_same_number_and_kinds_count_apart() {
        let mut vault = Vault::new();
        assert_eq!(vault.mask(&Entity::EmailAddress, "a@b.de", Origin::Caller), "[EMAIL_ADDRESS_1]");
        assert_eq!(vault.mask(&Entity::EmailAddress, "c@d.fr", Origin::Caller), "[EMAIL_ADDRESS_2]");
        assert_eq!(vault.mask(&Entity::EmailAddress, "a@b.de", Origin::Model), "[EMAIL_ADDRESS_1]");
        assert_eq!(vault.mask(&Entity::UsSsn, "a@b.de", Origin::Model), "[US_SSN_1]");
        assert!(vault.is_callers("a@b.de") && !vault.is_callers("x"));
        assert_eq!(vault.lookup("EMAIL_ADDRESS", 2), Some(("c@d.fr", Origin::Caller)));
    }

    #[test]
    fn reserved_numbers_are_never_given() {
        let mut vault = Vault::new();
        vault.reserve(r"what is [EMAIL_ADDRESS_1] or [EMAIL\_ADDRESS\_3]?");
        assert_eq!(vault.mask(&Entity::EmailAddress, "a@b.de", Origin::Caller), "[EMAIL_ADDRESS_4]");
        vault.reserve("[TICKET_7]");
        let ticket = Entity::Custom("TICKET".into());
        assert_eq!(vault.mask(&ticket, "TK-1", Origin::Caller), "[TICKET_8]");
    }

    #[test]
    fn debug_prints_no_value() {
        let mut vault = Vault::new();
        vault.mask(&Entity::EmailAddress, "planted@value.example", Origin::Caller);
        assert!(!format!("{vault:?}").contains("planted"));
    }

    #[test]
    fn only_exact_spellings_are_masks() {
        for text in [
            "[1]",
            "[A_]",
            "[_1]",
            "[a_1]",
            "[EMAIL_ADDRESS_01]",
            "[EMAIL ADDRESS_1]",
            "[X_99999999999]",
            "[EMAIL_ADDRESS_1",
        ] {
            assert!(masks(text).is_empty(), "{text}");
        }
        assert_eq!(masks("[[US_SSN_12]]").len(), 1);
    }
}
