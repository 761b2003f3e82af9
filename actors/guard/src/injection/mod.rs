//! Prompt-injection detection: a small linear model over several readings of a text, with named reasons.
//!
//! A text is folded (`canon`), read in other ways when it shows a trick (`views`), and each reading is scored by
//! one linear model over hashed n-grams (`ngrams`), word classes in some thirty languages (`lexicon`) and shape
//! (`shape`). What people write and what tools return have their own weights (`model`). Rules (`rules`) name
//! what was recognised; they do not decide. The detector is a filter, not a proof: most attacks of a new kind pass at
//! a threshold that harmless traffic can bear, so it must not be the only defence.

mod assessment;
mod canon;
mod detector;
mod lexicon;
mod model;
mod ngrams;
mod rules;
mod shape;
mod space;
#[cfg(test)]
mod tests;
pub mod training;
mod views;

pub use assessment::{Assessment, InjectionConfig, Skipped, SourceRole, Verdict};
pub use detector::InjectionDetector;
pub use rules::{Reason, Rule};
pub use views::View;
