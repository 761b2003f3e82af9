//! The hash chain as pure rules: how a record is sealed, and what a walk along the chain finds.
//!
//! `hash = SHA-256(prev_hash || canonical)`, where `prev_hash` enters as its 64 lower-case hexadecimal characters and
//! `canonical` is the record's text without `hash` (see [`canonical`](super::canonical)). The first record of a chain
//! has the sequence 1 and [`GENESIS`] as `prev_hash`.
//!
//! The chain has no secret, so whoever can rewrite the store *and* every copy of the head can make a new history. That
//! is why the head is also kept apart from the rows and written to the log: the trail is tamper-evident, no more.

use std::fmt;

use sentinel_domain::audit::AuditRecord;
use sha2::{Digest, Sha256};

use super::canonical::write_canonical;
use super::error::AuditError;

mod verifier;
pub use verifier::{Break, BreakKind, Row, Verdict, Verifier};

/// What stands for the hash before the first record: 64 zeros.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A SHA-256, shown in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Returns the hash over the previous hash and the canonical text of a record.
    #[must_use]
    pub fn of(previous: &Self, canonical: &[u8]) -> Self {
        let mut hex = [0_u8; 64];
        // The buffer has exactly twice the length, the only thing that this can refuse.
        let _ = hex::encode_to_slice(previous.0, &mut hex);
        let mut hasher = Sha256::new();
        hasher.update(hex);
        hasher.update(canonical);
        Self(hasher.finalize().into())
    }

    /// Reads 64 hexadecimal characters.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The end of a chain: the last sequence and its hash. The default is a chain without records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The last record's sequence; 0 for an empty chain.
    pub sequence: u64,
    /// The last record's hash; zeros for an empty chain.
    pub hash: Hash,
}

impl Head {
    /// Length of [`Head::to_bytes`].
    pub const BYTES: usize = 40;

    /// Returns the stored form: sequence in big-endian order, then the hash.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (sequence, hash) = bytes.split_at_mut(8);
        sequence.copy_from_slice(&self.sequence.to_be_bytes());
        hash.copy_from_slice(&self.hash.0);
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`AuditError::Corrupt`] if the length is not that of a head.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AuditError> {
        let split = || {
            let (sequence, hash) = bytes.split_at_checked(8)?;
            Some(Self {
                sequence: u64::from_be_bytes(sequence.try_into().ok()?),
                hash: Hash(hash.try_into().ok()?),
            })
        };
        split().ok_or_else(|| AuditError::Corrupt(format!("a head of {} bytes", bytes.len())))
    }

    /// Gives `record` the next place in the chain and returns its canonical text.
    ///
    /// The record's sequence and hashes are filled in; the head moves on to it.
    pub fn seal(&mut self, record: &mut AuditRecord) -> Vec<u8> {
        record.sequence = self.sequence.saturating_add(1);
        record.prev_hash = self.hash.to_string();
        let mut canonical = Vec::with_capacity(768);
        write_canonical(record, &mut canonical);
        let hash = Hash::of(&self.hash, &canonical);
        record.hash = hash.to_string();
        *self = Self { sequence: record.sequence, hash };
        canonical
    }
}

#[cfg(test)]
mod tests;
