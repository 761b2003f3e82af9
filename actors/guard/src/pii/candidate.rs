//! What a detector hands to the scorer: a place, a kind, and how much its shape proves.

use super::entity::Entity;

/// How much shape and check prove on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing else looks like this. Context changes nothing.
    Sure,
    /// Convincing, unless a counter-word says that the number is something else.
    Firm,
    /// A check that a tenth of random numbers pass: needs a context word, or to be the whole text.
    Checked,
    /// A mere shape: needs a context word.
    Shape,
}

/// A possible finding, before context, threshold and overlaps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) entity: Entity,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) proof: Proof,
    /// Breaks ties between kinds of one proof: the stricter check is higher, 0 to 9.
    pub(crate) rank: u8,
}

impl Candidate {
    pub(crate) fn new(entity: Entity, start: usize, end: usize, proof: Proof, rank: u8) -> Self {
        Self { entity, start, end, proof, rank }
    }
}

/// Where detectors put what they found.
pub(crate) type Candidates = Vec<Candidate>;

/// Span and score of one kind in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What it is.
    pub entity: Entity,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Confidence, 0 to 1.
    pub score: f32,
}
