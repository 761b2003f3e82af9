//! The space of feature identifiers: which range belongs to which kind of evidence.
//!
//! The trainer reads the same identifiers from this crate, so that the features exist in one language only.

/// Character n-grams take `2^CHAR_BITS` identifiers, from 0.
pub(crate) const CHAR_BITS: u32 = 16;
/// Word n-grams take `2^WORD_BITS` identifiers.
pub(crate) const WORD_BITS: u32 = 15;
/// First identifier of the word n-grams.
pub(crate) const WORD_BASE: u32 = 1 << CHAR_BITS;
/// First identifier of the word-class features.
pub(crate) const CLASS_BASE: u32 = WORD_BASE + (1 << WORD_BITS);
/// Number of word-class features.
pub(crate) const CLASS_SIZE: u32 = 8_192;
/// First identifier of the shape features.
pub(crate) const SHAPE_BASE: u32 = CLASS_BASE + CLASS_SIZE;
/// Number of shape features.
pub(crate) const SHAPE_SIZE: u32 = 128;
/// Number of identifiers.
pub(crate) const SIZE: u32 = SHAPE_BASE + SHAPE_SIZE;

/// Takes feature identifiers one by one.
pub(crate) trait Sink {
    /// Called for each occurrence; the taker drops repeats.
    fn hit(&mut self, id: u32);
}

/// Remembers which identifiers were seen.
pub(crate) struct Seen {
    bits: [u64; SIZE.div_ceil(64) as usize],
}

impl Seen {
    /// Nothing seen yet.
    pub(crate) fn new() -> Self {
        Self { bits: [0; SIZE.div_ceil(64) as usize] }
    }

    /// Whether `id` is new; notes it.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        let Some(word) = self.bits.get_mut((id >> 6) as usize) else { return false };
        let bit = 1_u64 << (id & 63);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
