//! Puts the stages together: prefilter, detectors, context, threshold, overlaps.

use std::collections::BTreeMap;

use super::candidate::{Candidate, Candidates, Finding, Proof};
use super::config::{self, Pattern, PiiConfig, PiiConfigError};
use super::context::{Lexicon, index_of, reach};
use super::entity::Entity;
use super::groups::Groups;
use super::prefilter::{Literal, Place, Prefilter, places};
use super::secrets::{self, Assigned};
use super::text::Text;
use super::{ids, net, numbers, phone};

/// The PII and secret detector.
///
/// Holds no state of a text: one engine serves all requests of a configuration, from any thread.
pub struct PiiEngine {
    prefilter: Prefilter,
    lexicon: Lexicon,
    /// Bit per index of [`Entity::ALL`].
    enabled: u64,
    threshold: f32,
    allow_list: Vec<String>,
    patterns: Vec<Pattern>,
    pass_private_ips: bool,
}

impl std::fmt::Debug for PiiEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The allow-list may itself hold personal values.
        formatter
            .debug_struct("PiiEngine")
            .field("entities", &self.enabled.count_ones())
            .field("threshold", &self.threshold)
            .field("patterns", &self.patterns.len())
            .finish_non_exhaustive()
    }
}

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

impl PiiEngine {
    /// Builds an engine.
    ///
    /// # Errors
    ///
    /// [`PiiConfigError`] names the setting and says what is wrong with it.
    pub fn new(config: &PiiConfig) -> Result<Self, PiiConfigError> {
        let tables = |error: aho_corasick::BuildError| PiiConfigError::Tables(error.to_string());
        let enabled = config::select(&config.entities)?
            .iter()
            .filter_map(index_of)
            .fold(0, |mask, index| mask | 1_u64 << index);
        let mut allow_list = config.allow_list.clone();
        allow_list.sort();
        Ok(Self {
            prefilter: Prefilter::new().map_err(tables)?,
            lexicon: Lexicon::new().map_err(tables)?,
            enabled,
            threshold: config::unit("threshold", config.threshold)?,
            allow_list,
            patterns: config::compile(&config.patterns)?,
            pass_private_ips: config.pass_private_ips,
        })
    }

    /// Finds everything in `text`, in order, without overlaps.
    #[must_use]
    pub fn scan(&self, text: &str) -> Vec<Finding> {
        keep_best(self.survey(text, 0, true).scored)
    }

    /// Returns the longest match an operator's pattern can have, in bytes; 0 without patterns.
    pub(crate) fn longest_pattern(&self) -> usize {
        self.patterns.iter().map(|pattern| pattern.longest).max().unwrap_or(0)
    }

    /// Says whether `word` could be growing into a token with a vendor prefix.
    pub(crate) fn may_begin_secret(&self, word: &str) -> bool {
        self.enabled(&Entity::Secret)
            && secrets::FORMATS.iter().map(|format| format.prefix).chain(["eyJ"]).any(|prefix| {
                (prefix.starts_with(word) && word.len() >= 2)
                    || word.starts_with(prefix)
                    || word.starts_with(prefix.trim_end_matches(['-', '_', '.']))
            })
    }

    fn enabled(&self, entity: &Entity) -> bool {
        index_of(entity).is_some_and(|index| self.enabled & 1_u64 << index != 0)
    }

    /// Collects and judges what is in `text`; what begins before `from` is left out, `whole` says that nothing follows.
    pub(crate) fn survey(&self, text: &str, from: usize, whole: bool) -> Survey {
        let view = Text::new(text);
        let mut candidates = Candidates::new();
        let mut open: Option<usize> = None;
        places(view.bytes, |place| self.at_place(view, place, &mut candidates));
        if self.enabled(&Entity::Secret) || self.enabled(&Entity::Url) {
            let mut last_block_end = 0;
            self.prefilter.literals(view.bytes, |literal, start, end| {
                let cut = literal_at(view, literal, start, end, whole, &mut last_block_end, &mut candidates);
                open = match (open, cut.filter(|cut| *cut >= from)) {
                    (Some(open), Some(cut)) => Some(open.min(cut)),
                    (open, cut) => open.or(cut),
                };
            });
        }
        candidates.retain(|candidate| candidate.start >= from && self.enabled(&candidate.entity));
        for pattern in &self.patterns {
            let mut at = from;
            while let Some(found) = pattern.regex.find_at(text, at) {
                candidates.push(Candidate {
                    entity: pattern.entity.clone(),
                    start: found.start(),
                    end: found.end(),
                    proof: Proof::Sure,
                    rank: 9,
                    fixed_score: Some(pattern.score),
                });
                at = found.end();
            }
        }
        if !whole {
            candidates.retain(|candidate| {
                let settled = settled_at(text, candidate) <= text.len();
                if !settled {
                    open = Some(open.map_or(candidate.start, |open| open.min(candidate.start)));
                }
                settled
            });
        }
        Survey { scored: self.judge(text, candidates), open }
    }

    fn at_place(&self, text: Text<'_>, place: Place, out: &mut Candidates) {
        match place {
            Place::At(at) => net::email(text, at, out),
            Place::Colon(at) => net::colons(text, at, self.pass_private_ips, out),
            Place::Letters(start, end) => {
                if end - start == 2 {
                    net::mac_at(text, start, end, out);
                } else {
                    secrets::discord(text, start, end, out);
                    ids::locate(text, start, end, out);
                }
            }
            Place::Run(start, end) => self.at_run(text, start, end, out),
        }
    }

    fn at_run(&self, text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
        let digits_end = text.run(start, 26, |byte| byte.is_ascii_digit());
        if digits_end > start {
            let groups = Groups::read(text, start);
            numbers::locate(text, start, &groups, out);
            phone::locate(text, start, &groups, out);
            if text.at(digits_end) == b'.' {
                net::ipv4(text, start, self.pass_private_ips, out);
            }
            if digits_end - start == 2 {
                ids::nino_in_pairs(text, start, out);
            }
            secrets::telegram(text, start, digits_end, out);
        }
        if digits_end < end {
            ids::locate(text, start, end, out);
            ids::grouped_license(text, start, end, out);
        }
        let mut cursor = start;
        while end - cursor >= 6 && end - start <= 64 {
            let run_start = text.run(cursor, 64, |byte| !byte.is_ascii_digit()).min(end);
            let run_end = text.run(run_start, 65, |byte| byte.is_ascii_digit());
            numbers::finnish(text, run_start, run_end, out);
            cursor = run_end.max(cursor + 1).min(end);
        }
        match end - start {
            2 | 4 => net::mac_at(text, start, end, out),
            23..=28 => secrets::discord(text, start, end, out),
            32 => secrets::mailchimp(text, start, end, out),
            _ => {}
        }
        if end - start <= 40 {
            let value = text.run_back(start, 41, super::text::base64);
            secrets::quoted_key(text, value, out);
        }
    }

    /// Scores the candidates and drops those below the threshold or on the allow-list.
    fn judge(&self, text: &str, candidates: Candidates) -> Vec<Scored> {
        let view = Text::new(text);
        let mut cached: Option<(usize, usize, super::context::Context)> = None;
        candidates
            .into_iter()
            .filter_map(|candidate| {
                let (score, tier) = if let Some(score) = candidate.fixed_score {
                    (score, 3)
                } else if candidate.proof == Proof::Sure {
                    (0.95 + f32::from(candidate.rank) * 0.005, 3)
                } else {
                    let place = (candidate.start, candidate.end);
                    if cached.as_ref().is_none_or(|(start, end, _)| (*start, *end) != place) {
                        cached = Some((place.0, place.1, self.lexicon.read(view, place.0, place.1)));
                    }
                    let lettered = view.slice(place.0, place.1).iter().any(u8::is_ascii_alphabetic);
                    cached.as_ref().map_or((0.0, 0), |(_, _, context)| weigh(&candidate, context, lettered))
                };
                let value = text.get(candidate.start..candidate.end)?;
                let kept = score >= self.threshold
                    && self.allow_list.binary_search_by(|allowed| allowed.as_str().cmp(value)).is_err();
                kept.then_some(Scored { candidate, score, tier })
            })
            .collect()
    }
}

/// Returns from which length of text on nothing about the candidate can change.
fn settled_at(text: &str, candidate: &Candidate) -> usize {
    match candidate.proof {
        Proof::Sure => candidate.end + 4,
        _ => reach(Text::new(text), candidate.end),
    }
}

/// Weighs shape against context.
fn weigh(candidate: &Candidate, context: &super::context::Context, lettered: bool) -> (f32, u8) {
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
        let before = kept.range(..end).next_back().is_some_and(|(_, other)| other.end > start);
        if !before && end > start {
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

/// Runs the detector of a literal; answers where something cut off begins.
fn literal_at(
    text: Text<'_>,
    literal: Literal,
    start: usize,
    end: usize,
    whole: bool,
    last_block_end: &mut usize,
    out: &mut Candidates,
) -> Option<usize> {
    match literal {
        Literal::Vendor(index) => secrets::vendor(text, start, index, out).filter(|_| !whole),
        Literal::Keyword(index) => match secrets::assigned(text, start, end, index, whole, out) {
            Assigned::Open(value) => Some(value),
            Assigned::Done => None,
        },
        Literal::WebToken => secrets::jwt(text, start, out).filter(|_| !whole),
        Literal::KeyBlock => {
            // A block is read once: what begins inside it is part of it. Without this, a text of nothing but
            // beginnings would be read over and over.
            if start < *last_block_end || text.slice(start, end) != b"-----BEGIN" {
                return None;
            }
            let before = out.len();
            let open = secrets::pem(text, start, whole, out);
            if let Some(found) = out.get(before..).and_then(<[Candidate]>::first) {
                *last_block_end = found.end;
            }
            open.map(|open| open.start)
        }
        Literal::Scheme => {
            net::url(text, start, out);
            secrets::userinfo(text, start, whole, out)
        }
        Literal::Authorization(basic) => {
            secrets::authorization(text, start, end, basic, out).filter(|_| !whole)
        }
        Literal::CurlUser => secrets::curl_user(text, end, whole, out),
        Literal::Webhook => {
            secrets::webhook(text, end, out);
            None
        }
    }
}

#[cfg(test)]
mod tests;
