//! From candidates to findings: context, threshold, allow-list, overlaps.

use std::collections::BTreeMap;
use std::ops::Range;

use super::candidate::{Candidate, Candidates, Finding, Proof};
use super::context::{Context, reach};
use super::engine::PiiEngine;
use super::entity::Entity;
use super::text::Text;

/// Everything one look at a text yields.
pub(crate) struct Survey {
    /// What reached the threshold, with overlaps.
    pub(crate) scored: Vec<Scored>,
    /// Where the first thing begins that further text could complete or change; `None` when nothing follows.
    pub(crate) open: Option<usize>,
}

/// A candidate with its score.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    pub(crate) candidate: Candidate,
    score: f32,
    /// Certain kinds come before kinds with a context word, those before the rest.
    tier: u8,
}

/// Judges candidates as they come and keeps what counts.
pub(crate) struct Sieve<'e, 't> {
    engine: &'e PiiEngine,
    text: &'t str,
    from: usize,
    whole: bool,
    survey: Survey,
    /// Context of the last place: several kinds usually claim one number.
    context: Option<(Range<usize>, Context)>,
}

impl<'e, 't> Sieve<'e, 't> {
    /// Starts a survey of `text` that leaves out what begins before `from`; `whole` says that nothing follows the text.
    pub(crate) fn new(engine: &'e PiiEngine, text: &'t str, from: usize, whole: bool) -> Self {
        Self { engine, text, from, whole, survey: Survey { scored: Vec::new(), open: None }, context: None }
    }

    /// Judges and removes the candidates.
    pub(crate) fn take(&mut self, candidates: &mut Candidates) {
        for candidate in candidates.drain(..) {
            if candidate.start >= self.from && self.engine.enabled(&candidate.entity) {
                self.judge(candidate);
            }
        }
    }

    /// Takes a match of the operator's pattern, with the operator's score.
    pub(crate) fn take_pattern(&mut self, entity: &Entity, span: Range<usize>, score: f32) {
        self.keep(Candidate::new(entity.clone(), span.start, span.end, Proof::Sure, 9), score, 3);
    }

    /// Notes that something begins at `start` that the text cuts off.
    pub(crate) fn leave_open(&mut self, start: usize) {
        if start >= self.from && !self.whole {
            self.survey.open = Some(self.survey.open.map_or(start, |open| open.min(start)));
        }
    }

    /// Returns what was kept.
    pub(crate) fn finish(self) -> Survey {
        self.survey
    }

    fn judge(&mut self, candidate: Candidate) {
        if candidate.proof == Proof::Sure {
            let score = 0.95 + f32::from(candidate.rank) * 0.005;
            self.keep(candidate, score, 3);
            return;
        }
        let text = Text::new(self.text);
        let place = candidate.start..candidate.end;
        if self.context.as_ref().is_none_or(|(known, _)| *known != place) {
            let context = self.engine.lexicon.read(text, place.start, place.end);
            self.context = Some((place.clone(), context));
        }
        let lettered = text.slice(place.start, place.end).iter().any(u8::is_ascii_alphabetic);
        if let Some((_, context)) = &self.context {
            let (score, tier) = weigh(&candidate, context, lettered);
            self.keep(candidate, score, tier);
        }
    }

    fn keep(&mut self, candidate: Candidate, score: f32, tier: u8) {
        if !self.whole && settled_at(Text::new(self.text), &candidate) > self.text.len() {
            self.leave_open(candidate.start);
            return;
        }
        let Some(value) = self.text.get(candidate.start..candidate.end) else { return };
        let allowed = &self.engine.allow_list;
        if score >= self.engine.threshold
            && allowed.binary_search_by(|known| known.as_str().cmp(value)).is_err()
        {
            self.survey.scored.push(Scored { candidate, score, tier });
        }
    }
}

/// Returns from which length of text on nothing about the candidate can change.
fn settled_at(text: Text<'_>, candidate: &Candidate) -> usize {
    match candidate.proof {
        Proof::Sure => candidate.end + 4,
        _ => reach(text, candidate.end),
    }
}

/// Weighs shape against context.
fn weigh(candidate: &Candidate, context: &Context, lettered: bool) -> (f32, u8) {
    let bonus = f32::from(candidate.rank) * 0.004;
    if let Some(distance) = context.supports(&candidate.entity) {
        let base = match candidate.proof {
            Proof::Sure | Proof::Firm => 0.90,
            Proof::Checked => 0.85,
            Proof::Shape => 0.70,
        };
        return (base + bonus + (1.0 - f32::from(distance.min(120)) / 120.0) * 0.05, 2);
    }
    let base = match candidate.proof {
        // A counter-word speaks about numbers; a check letter outweighs it.
        _ if context.objects(candidate.proof) && !(lettered && candidate.proof == Proof::Firm) => 0.25,
        Proof::Sure | Proof::Firm => 0.75,
        Proof::Checked if context.standalone => 0.55,
        Proof::Checked => 0.40,
        Proof::Shape => 0.15,
    };
    (base + bonus, 1)
}

/// Keeps the best of overlapping candidates, in order of place.
pub(crate) fn keep_best(mut scored: Vec<Scored>) -> Vec<Finding> {
    scored.sort_by(|left, right| {
        let length = |one: &Scored| one.candidate.end - one.candidate.start;
        right
            .tier
            .cmp(&left.tier)
            .then_with(|| right.score.total_cmp(&left.score))
            .then_with(|| length(right).cmp(&length(left)))
            .then_with(|| left.candidate.start.cmp(&right.candidate.start))
            .then_with(|| left.candidate.entity.cmp(&right.candidate.entity))
    });
    let mut kept: BTreeMap<usize, Finding> = BTreeMap::new();
    for one in scored {
        let Candidate { entity, start, end, .. } = one.candidate;
        let overlaps = kept.range(..end).next_back().is_some_and(|(_, other)| other.end > start);
        if !overlaps && end > start {
            kept.insert(start, Finding { entity, start, end, score: one.score.min(1.0) });
        }
    }
    kept.into_values().collect()
}

/// Merges findings of an outside engine into native ones: on an overlap the higher score wins, then the longer span.
///
/// Both lists are of the same text, in byte offsets; the answer is in order and without overlaps.
#[must_use]
pub fn merge_findings(native: Vec<Finding>, outside: Vec<Finding>) -> Vec<Finding> {
    let scored = native
        .into_iter()
        .chain(outside)
        .filter(|finding| finding.end > finding.start)
        .map(|finding| Scored {
            score: if finding.score.is_finite() { finding.score } else { 0.0 },
            tier: 0,
            candidate: Candidate::new(finding.entity, finding.start, finding.end, Proof::Sure, 0),
        })
        .collect();
    keep_best(scored)
}

/// Counts findings by kind.
#[must_use]
pub fn count_by_entity(findings: &[Finding]) -> BTreeMap<Entity, u32> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.entity.clone()).or_insert(0) += 1;
    }
    counts
}
