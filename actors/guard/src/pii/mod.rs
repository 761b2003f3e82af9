//! Personal data and secrets: found, masked and put back, in whole texts and in streams.
//!
//! # Stages
//!
//! 1. `prefilter`: one look at every byte. A class table cuts the text into runs of letters and digits and stops at
//!    runs with a digit, at `@` and `:`; an automaton finds the literals that begin secrets. Prose costs a table look-up a
//!    byte.
//! 2. Detectors (`numbers`, `phone`, `ids`, `iban`, `net`, `secrets`) look closer at those places: shape, then
//!    check digits (`checks`). Each reads a bounded stretch around its place and nothing else, so the whole is linear
//!    in the length of the text whatever it holds.
//! 3. `context` weighs what is not certain: words around the candidate raise or lower it.
//! 4. Threshold, allow-list, overlaps (`judge`).
//!
//! Because stages 2 and 3 read bounded stretches, what is decided about a candidate is the same in any text that holds the
//! stretch. That is what makes the stream redactor equal to redacting the whole text.

mod candidate;
mod checks;
mod config;
mod context;
mod engine;
mod entity;
mod groups;
mod hold;
mod iban;
mod ids;
mod json;
mod judge;
mod net;
mod numbers;
mod offsets;
mod phone;
mod prefilter;
mod redact;
mod secrets;
mod stream;
mod text;
mod vault;
mod words;

pub use candidate::Finding;
pub use config::{
    MAX_PATTERN_MATCH, MAX_PATTERN_SOURCE, MAX_PATTERNS, PatternConfig, PiiConfig, PiiConfigError,
};
pub use engine::PiiEngine;
pub use entity::{Class, Entity, UnknownEntity};
pub use json::redact_json;
pub use judge::{count_by_entity, merge_findings};
pub use offsets::{CodePointFinding, to_code_points};
pub use redact::{Redaction, redact, redact_findings, restore, restore_json};
pub use stream::{MAX_HELD, StreamOptions, TextStream};
pub use vault::{MAX_VALUES, Origin, Vault};
