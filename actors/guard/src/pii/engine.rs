//! Puts the stages together: prefilter, detectors, context, threshold, overlaps.

use super::candidate::{Candidate, Candidates, Finding};
use super::config::{self, Pattern, PiiConfig, PiiConfigError};
use super::context::{Lexicon, index_of};
use super::entity::Entity;
use super::groups::Groups;
use super::judge::{Sieve, Survey, keep_best};
use super::prefilter::{Literal, Place, Prefilter, places};
use super::secrets::{self, Assigned};
use super::text::Text;
use super::{ids, net, numbers, phone};

/// The PII and secret detector.
///
/// Holds no state of a text: one engine serves all requests of a configuration, from any thread.
pub struct PiiEngine {
    prefilter: Prefilter,
    pub(super) lexicon: Lexicon,
    /// Bit per index of [`Entity::ALL`].
    enabled: u64,
    pub(super) threshold: f32,
    /// Sorted.
    pub(super) allow_list: Vec<String>,
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
            && secrets::FORMATS
                .iter()
                .map(|format| format.prefix)
                .chain(["eyJ"])
                .any(|prefix| (prefix.starts_with(word) && word.len() >= 2) || word.starts_with(prefix))
    }

    pub(super) fn enabled(&self, entity: &Entity) -> bool {
        index_of(entity).is_some_and(|index| self.enabled & 1_u64 << index != 0)
    }

    /// Collects and judges what is in `text`; what begins before `from` is left out, `whole` says that nothing follows.
    pub(crate) fn survey(&self, text: &str, from: usize, whole: bool) -> Survey {
        let view = Text::new(text);
        let mut sieve = Sieve::new(self, text, from, whole);
        // Candidates are judged place by place, so that memory grows with findings, not with look-alikes.
        let mut scratch = Candidates::new();
        places(view.bytes, |place| {
            // No detector of a place finds anything that begins behind it.
            if place.end() > from {
                self.at_place(view, place, &mut scratch);
                sieve.take(&mut scratch);
            }
        });
        if self.enabled(&Entity::Secret) || self.enabled(&Entity::Url) {
            let mut last_block_end = 0;
            self.prefilter.literals(view.bytes, |literal, start, end| {
                let cut = literal_at(view, literal, start, end, whole, &mut last_block_end, &mut scratch);
                sieve.take(&mut scratch);
                if let Some(cut) = cut {
                    sieve.leave_open(cut);
                }
            });
        }
        for pattern in &self.patterns {
            let mut at = from;
            while let Some(found) = pattern.regex.find_at(text, at) {
                sieve.take_pattern(&pattern.entity, found.range(), pattern.score);
                at = found.end();
            }
        }
        sieve.finish()
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
