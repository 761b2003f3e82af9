//! The linear model: one signed byte a feature, four groups, two sets of weights (conversation and data).
//!
//! The evidence of a text is `bias + Σ_g scale_g · Σ_{i in g} w_i / sqrt(n_g)`, where `n_g` is the number of
//! distinct features of the group in the text: the root keeps long texts from being suspect for their length alone.

use super::space::{CLASS_BASE, SHAPE_BASE, SIZE, Seen, Sink, WORD_BASE};

/// Trained weights, written by `ops/injection/train.py`.
static WEIGHTS: &[u8] = include_bytes!("weights.bin");

const MAGIC: &[u8; 8] = b"SNTLINJ1";
const GROUPS: usize = 4;
const HEAD: usize = 4 * (1 + GROUPS + 2);
const PART: usize = HEAD + SIZE as usize;

/// The weights for one kind of text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    bias: f32,
    scales: [f32; GROUPS],
    /// Evidence at which the score is one half.
    middle: f32,
    /// Evidence per unit of log-odds of the score.
    width: f32,
    weights: &'static [u8],
}

/// Which of the two sets of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What a person writes to the assistant.
    Conversation = 0,
    /// What tools and documents bring in.
    Data = 1,
}

impl Model {
    /// The embedded weights of this kind; `None` when the file does not fit this build's feature space.
    pub(crate) fn embedded(kind: Kind) -> Option<Self> {
        let rest = WEIGHTS.strip_prefix(MAGIC)?;
        if rest.len() != 2 * PART {
            return None;
        }
        let part = rest.chunks_exact(PART).nth(kind as usize)?;
        let (head, weights) = part.split_at_checked(HEAD)?;
        let mut numbers = head.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let bias = numbers.next()?;
        let mut scales = [0.0; GROUPS];
        for scale in &mut scales {
            *scale = numbers.next()?;
        }
        let (middle, width) = (numbers.next()?, numbers.next()?);
        Some(Self { bias, scales, middle, width, weights })
    }

    /// The score, between 0 and 1, that this evidence stands for. Rises with the evidence.
    pub(crate) fn calibrate(&self, evidence: f32) -> f32 {
        let odds = f64::from((evidence - self.middle) / self.width);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a probability loses nothing that matters as f32"
        )]
        let score = (1.0 / (1.0 + (-odds).exp())) as f32;
        if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) }
    }
}

/// Adds up the weights of the distinct features of a text.
pub(crate) struct Sum<'a> {
    model: &'a Model,
    seen: Seen,
    totals: [i32; GROUPS],
    counts: [u32; GROUPS],
}

impl<'a> Sum<'a> {
    /// No feature yet.
    pub(crate) fn new(model: &'a Model) -> Self {
        Self { model, seen: Seen::new(), totals: [0; GROUPS], counts: [0; GROUPS] }
    }

    /// The evidence of all features so far.
    #[expect(clippy::cast_precision_loss, reason = "sums of at most 106,624 signed bytes are exact in f32")]
    pub(crate) fn evidence(&self) -> f32 {
        let mut evidence = self.model.bias;
        for ((total, count), scale) in self.totals.iter().zip(self.counts).zip(self.model.scales) {
            evidence += scale * *total as f32 / (count.max(1) as f32).sqrt();
        }
        evidence
    }
}

impl Sink for Sum<'_> {
    fn hit(&mut self, id: u32) {
        if !self.seen.insert(id) {
            return;
        }
        let group =
            usize::from(id >= WORD_BASE) + usize::from(id >= CLASS_BASE) + usize::from(id >= SHAPE_BASE);
        let Some(&weight) = self.model.weights.get(id as usize) else { return };
        if let (Some(total), Some(count)) = (self.totals.get_mut(group), self.counts.get_mut(group)) {
            *total += i32::from(weight.cast_signed());
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_weights_fit_the_feature_space_and_stay_small() {
        assert!(Model::embedded(Kind::Conversation).is_some() && Model::embedded(Kind::Data).is_some());
        assert!(WEIGHTS.len() <= 300 * 1024, "{} bytes", WEIGHTS.len());
    }

    #[test]
    fn more_evidence_never_scores_lower() {
        for kind in [Kind::Conversation, Kind::Data] {
            let model = Model::embedded(kind).unwrap();
            let scores: Vec<f32> = (-400..400).map(|at| model.calibrate(at as f32 / 8.0)).collect();
            assert!(scores.is_sorted() && scores.iter().all(|score| (0.0..=1.0).contains(score)));
            assert!(model.calibrate(f32::NEG_INFINITY) < 0.01 && model.calibrate(f32::INFINITY) > 0.99);
        }
    }
}
