//! Redaction and restoration of a text that arrives in pieces.
//!
//! For every text and every way to cut it, what [`TextStream`] emits is what redacting the whole text emits. It keeps the
//! last bytes it sent as context and the bytes it has not sent; at each piece it runs the same detectors over both and
//! sends what `hold` calls settled. The claim holds because a detector sees the same bytes either way: it reads
//! at most 384 bytes back, and nothing is sent before all it reads ahead has come.
//!
//! A piece of prose is usually sent at once but for its last word, which might be growing into an address; it follows with
//! the next piece, or when [`TextStream::deadline`] is called.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::candidate::Finding;
use super::engine::PiiEngine;
use super::entity::Entity;
use super::hold::{plain, safe_cut};
use super::judge::{Survey, keep_best};
use super::redact::push_escaped;
use super::text::floor_boundary;
use super::vault::{Mask, Origin, Vault, masks};

/// Bytes already sent that are kept as context. No detector looks farther back.
pub(crate) const CONTEXT: usize = 384;
/// Most bytes that are held back. Over that the tail is decided as if the text ended there.
pub const MAX_HELD: usize = 32 * 1024;
/// A long held-back stretch is looked at again only when it has grown by this part of itself.
const GROWTH: usize = 32;

/// What a [`TextStream`] does.
#[derive(Debug, Clone, Default)]
pub struct StreamOptions {
    /// Masks findings with this engine; `None` leaves them.
    pub redact: Option<Arc<PiiEngine>>,
    /// Puts the caller's values back for their masks, and leaves the caller's own values unmasked.
    pub restore: bool,
    /// The text is JSON (arguments of a tool call): restored values are escaped, masks outside strings are quoted.
    pub json: bool,
}

/// One text of a streamed answer: of one choice, one tool call, or one reasoning text.
pub struct TextStream {
    options: StreamOptions,
    /// Context and held-back bytes.
    raw: String,
    /// `raw` with JSON escapes blanked, of the same length; unused for plain text.
    view: String,
    /// Last safe cut: everything before it is final.
    from: usize,
    /// Everything before it has been sent; beyond `from` only after a deadline.
    sent: usize,
    /// Length of `raw` from which on another look pays.
    look_at: usize,
    counts: BTreeMap<Entity, u32>,
    escape: Escape,
    in_string: bool,
}

/// Where a JSON escape stands at the end of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Backslash,
    Unicode(u8),
}

impl std::fmt::Debug for TextStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TextStream")
            .field("held", &self.held())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl TextStream {
    /// Starts a text.
    #[must_use]
    pub fn new(options: StreamOptions) -> Self {
        Self {
            options,
            raw: String::new(),
            view: String::new(),
            from: 0,
            sent: 0,
            look_at: 0,
            counts: BTreeMap::new(),
            escape: Escape::None,
            in_string: false,
        }
    }

    /// Redacts and restores a text that is there as a whole.
    #[must_use]
    pub fn whole(options: StreamOptions, text: &str, vault: &mut Vault) -> (String, BTreeMap<Entity, u32>) {
        let mut stream = Self::new(options);
        if stream.options.redact.is_none() && !stream.options.restore {
            return (text.to_owned(), BTreeMap::new());
        }
        stream.append(text);
        let out = stream.flush(vault);
        (out, std::mem::take(&mut stream.counts))
    }

    /// Returns how many bytes are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.raw.len() - self.sent
    }

    /// Returns how many findings have been masked so far, by kind.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<Entity, u32> {
        &self.counts
    }

    /// Takes the next piece and answers what may be sent now.
    #[must_use]
    pub fn push(&mut self, piece: &str, vault: &mut Vault) -> String {
        if self.options.redact.is_none() && !self.options.restore {
            return piece.to_owned();
        }
        self.append(piece);
        if self.raw.len() < self.look_at {
            return String::new();
        }
        let survey = self.survey(false);
        let mut cut = self.cut(&survey);
        if self.raw.len() - cut.max(self.sent) > MAX_HELD {
            cut = self.forced_cut(&survey);
        }
        self.look_at = match self.raw.len() - cut.max(self.sent) {
            held if held > 2048 => self.raw.len() + held / GROWTH,
            _ => 0,
        };
        self.emit(cut, cut, survey, vault)
    }

    /// Ends the text, or the stretch of it before an event that is not text, and answers the rest.
    #[must_use]
    pub fn flush(&mut self, vault: &mut Vault) -> String {
        let survey = self.survey(true);
        let end = self.raw.len();
        let out = self.emit(end, end, survey, vault);
        self.look_at = 0;
        out
    }

    /// Answers what may be sent although more text could still change it, for an owner whose timer ran out.
    ///
    /// Plain words go out; digits, addresses and beginnings of secrets stay. If a plain word turns out to be the beginning
    /// of a name after all, the rest of the name is masked.
    #[must_use]
    pub fn deadline(&mut self, vault: &mut Vault) -> String {
        if self.held() == 0 {
            return String::new();
        }
        let survey = self.survey(false);
        let cut = self.cut(&survey);
        let tail = self.raw.get(cut..).unwrap_or_default();
        let engine = self.options.redact.clone();
        let harmless = survey.open.is_none()
            && plain(tail, |word| engine.as_ref().is_some_and(|engine| engine.may_begin_secret(word)));
        let until = if harmless { self.raw.len() } else { cut };
        self.look_at = 0;
        self.emit(cut, until, survey, vault)
    }

    fn text(&self) -> &str {
        if self.options.json { &self.view } else { &self.raw }
    }

    fn append(&mut self, piece: &str) {
        self.raw.push_str(piece);
        if !self.options.json {
            return;
        }
        for char in piece.chars() {
            let blank = match (self.escape, char) {
                (Escape::None, '\\') => {
                    self.escape = Escape::Backslash;
                    true
                }
                (Escape::None, _) => false,
                (Escape::Backslash, 'u') => {
                    self.escape = Escape::Unicode(4);
                    true
                }
                (Escape::Unicode(left), _) if left > 1 => {
                    self.escape = Escape::Unicode(left - 1);
                    true
                }
                (Escape::Backslash | Escape::Unicode(_), _) => {
                    self.escape = Escape::None;
                    true
                }
            };
            if blank {
                self.view.extend(std::iter::repeat_n(' ', char.len_utf8()));
            } else {
                self.view.push(char);
            }
        }
    }

    fn survey(&self, whole: bool) -> Survey {
        match &self.options.redact {
            Some(engine) => engine.survey(self.text(), self.from, whole),
            None => Survey { scored: Vec::new(), open: None },
        }
    }

    fn cut(&self, survey: &Survey) -> usize {
        let cut =
            safe_cut(self.options.redact.as_deref(), self.text(), self.from, survey, self.options.restore);
        // An escape is sent whole.
        match self.escape {
            Escape::None => cut,
            _ => cut.min(self.raw.rfind('\\').unwrap_or(cut)).max(self.from),
        }
    }

    /// Returns a cut that leaves little behind, for a text that never settles; still never inside a finding.
    fn forced_cut(&self, survey: &Survey) -> usize {
        let wish = floor_boundary(&self.raw, self.raw.len().saturating_sub(CONTEXT));
        keep_best(survey.scored.clone())
            .iter()
            .find(|finding| finding.start < wish && wish < finding.end)
            .map_or(wish, |finding| if finding.start > self.sent { finding.start } else { finding.end })
    }

    /// Sends everything up to `until`; everything up to `cut` is final.
    fn emit(&mut self, cut: usize, until: usize, survey: Survey, vault: &mut Vault) -> String {
        let mut out = String::new();
        if until > self.sent {
            let findings = Self::findings(survey, until);
            let found_masks = if self.options.restore || self.options.redact.is_some() {
                masks(self.raw.get(..until).unwrap_or_default())
            } else {
                Vec::new()
            };
            self.write(&findings, &found_masks, until, vault, &mut out);
            self.sent = until;
        }
        self.from = self.from.max(cut.min(self.sent));
        self.trim();
        out
    }

    fn findings(survey: Survey, until: usize) -> Vec<Finding> {
        keep_best(survey.scored.into_iter().filter(|one| one.candidate.end <= until).collect())
    }

    /// Writes `raw[sent..until]` with its findings masked and its masks restored.
    fn write(
        &mut self,
        findings: &[Finding],
        found: &[Mask],
        until: usize,
        vault: &mut Vault,
        out: &mut String,
    ) {
        let sent = self.sent;
        let mut findings = findings.iter().filter(|finding| finding.end > sent).peekable();
        let mut found = found.iter().filter(|mask| mask.end > sent && mask.end <= until).peekable();
        let mut at = sent;
        loop {
            let next_mask = found.peek().map_or(usize::MAX, |mask| mask.start);
            let next_finding = findings.peek().map_or(usize::MAX, |finding| finding.start);
            let (start, end, replacement, counted) = if next_mask <= next_finding {
                let Some(mask) = found.next() else { break };
                let replacement = match vault.lookup(&mask.kind, mask.number) {
                    Some((value, Origin::Caller)) if self.options.restore => Some(value.to_owned()),
                    Some(_) => None,
                    None => {
                        // A mask that nobody gave out must not be given to a value later.
                        vault.reserve(self.raw.get(mask.start..mask.end).unwrap_or_default());
                        None
                    }
                };
                (mask.start, mask.end, replacement.map(|value| (value, true)), None)
            } else {
                let Some(finding) = findings.next() else { break };
                let value = self.raw.get(finding.start..finding.end).unwrap_or_default();
                let own = self.options.restore && vault.is_callers(&self.plain_value(value));
                let replacement = (!own).then(|| (vault.mask(&finding.entity, value, Origin::Model), false));
                (finding.start, finding.end, replacement, Some(&finding.entity))
            };
            if start < at && end <= at {
                continue;
            }
            let Some((replacement, restored)) = replacement else { continue };
            self.copy(at, start.max(at), out);
            if let Some(entity) = counted {
                *self.counts.entry(entity.clone()).or_insert(0) += 1;
            }
            if self.options.json && !self.in_string {
                out.push_str(&serde_json::Value::from(replacement).to_string());
            } else if self.options.json && restored {
                push_escaped(out, &replacement);
            } else {
                out.push_str(&replacement);
            }
            at = end;
        }
        self.copy(at, until, out);
    }

    /// Returns a value as the caller wrote it, without JSON escapes.
    fn plain_value<'v>(&self, value: &'v str) -> Cow<'v, str> {
        if self.options.json && value.contains('\\') {
            serde_json::from_str(&format!("\"{value}\"")).map_or(Cow::Borrowed(value), Cow::Owned)
        } else {
            Cow::Borrowed(value)
        }
    }

    fn copy(&mut self, start: usize, end: usize, out: &mut String) {
        let Some(part) = self.raw.get(start..end) else { return };
        out.push_str(part);
        if self.options.json {
            let quotes =
                self.view.get(start..end).map_or(0, |view| view.bytes().filter(|byte| *byte == b'"').count());
            self.in_string ^= quotes % 2 == 1;
        }
    }

    /// Forgets what is no longer needed as context.
    fn trim(&mut self) {
        let excess = floor_boundary(&self.raw, self.from.saturating_sub(CONTEXT));
        // Moving the rest is not worth it for every piece.
        if excess < CONTEXT {
            return;
        }
        self.raw.drain(..excess);
        if self.options.json {
            self.view.drain(..excess);
        }
        self.from -= excess;
        self.sent -= excess;
        self.look_at = self.look_at.saturating_sub(excess);
    }
}

impl Drop for TextStream {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.raw.zeroize();
        self.view.zeroize();
    }
}

#[cfg(test)]
mod tests;
