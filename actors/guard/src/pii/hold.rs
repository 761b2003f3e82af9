//! Decides how much of a growing text may be sent: everything whose fate no further byte can change.
//!
//! The rule errs on one side only. What is held back although it turns out to be harmless costs a few milliseconds; what
//! is sent can never be taken back. A place is safe to cut at when
//!
//! - no finding spans it (those below the threshold do not count: they change nothing);
//! - every candidate before it has its whole context window in the text, and no detector that began before it ran into
//!   the end of the text (`Survey::open`);
//! - it is not inside the run of bytes at the end of the text that a name, an address or a token could be growing in;
//! - it is not inside the groups of digits at the end that a spaced number could be growing in;
//! - it is not inside a mask, nor nearer to the end than an operator's pattern is long.
//!
//! Detectors read bounded stretches, so these are all the ways in which a later byte can reach back.

use super::checks::nino_prefix;
use super::engine::PiiEngine;
use super::judge::Survey;
use super::text::{Text, floor_boundary, word};
use super::vault::{MAX_MASK, mask_byte};

/// Longest run at the end that is held as a whole, in bytes. Longer things (vendor tokens, web tokens, key blocks) report
/// themselves through `Survey::open` as soon as their beginning is in the text.
const RUN: usize = 512;
/// Longest spaced number, in bytes, with the letters that may precede it.
const CHAIN: usize = 80;
/// Longest group of a spaced number.
const GROUP: usize = 34;
/// Bytes a custom pattern may look at behind its match (one code point, for `\b` and `$`).
const LOOK: usize = 4;

/// Returns up to where `view` may be sent; at least `from`, at most its length.
///
/// `from` is the last safe cut: nothing before it is reconsidered.
pub(crate) fn safe_cut(
    engine: Option<&PiiEngine>,
    view: &str,
    from: usize,
    survey: &Survey,
    masks: bool,
) -> usize {
    let text = Text::new(view);
    let length = text.len();
    let mut cut = survey.open.unwrap_or(length);
    if masks {
        cut = cut.min(open_mask(text));
    }
    if let Some(engine) = engine {
        cut = cut.min(growing(text));
        if engine.longest_pattern() > 0 {
            cut = cut.min(length.saturating_sub(engine.longest_pattern() + LOOK));
        }
        cut = before_spans(survey, cut);
    }
    floor_boundary(view, cut).max(from)
}

/// Moves `cut` before every finding that spans it.
fn before_spans(survey: &Survey, mut cut: usize) -> usize {
    loop {
        let spanning = survey
            .scored
            .iter()
            .map(|one| (one.candidate.start, one.candidate.end))
            .filter(|(start, end)| *start < cut && cut < *end)
            .map(|(start, _)| start)
            .min();
        match spanning {
            Some(start) => cut = start,
            None => return cut,
        }
    }
}

/// Returns where a mask begins that the text cuts off.
fn open_mask(text: Text<'_>) -> usize {
    let start = text.run_back(text.len(), MAX_MASK, mask_byte);
    if text.before(start, 1) == b'[' { start - 1 } else { text.len() }
}

/// Bytes that single-token candidates are made of: names, addresses, tokens, web addresses.
fn token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'`' | b'|' | b'{' | b'}' | b')' | b']' | b'(' | b'[')
}

/// Returns where something that further bytes could complete begins.
fn growing(text: Text<'_>) -> usize {
    let length = text.len();
    let run = text.run_back(length, RUN, token_byte);
    let tail = text.slice(run, length);
    // A word of lower-case letters continues no number; a single letter may be the suffix of one.
    let continues = tail.len() <= 1
        || tail.iter().any(|byte| byte.is_ascii_digit())
        || (tail.len() <= 4 && tail.iter().all(u8::is_ascii_uppercase));
    if continues { chain(text, run).min(run) } else { run }
}

/// Walks back over groups that one spaced number can be made of, and answers where it would begin.
fn chain(text: Text<'_>, run: usize) -> usize {
    let floor = text.len().saturating_sub(CHAIN);
    let mut begin = run;
    let mut cursor = run;
    let mut next_is_number = text.at(run) == 0 || text.at(run).is_ascii_digit();
    loop {
        let gap = text.run_back(cursor, 3, |byte| matches!(byte, b' ' | b'(' | b')'));
        if gap == cursor || gap <= floor {
            return begin;
        }
        let start = text.run_back(gap, GROUP, |byte| token_byte(byte) || matches!(byte, b'(' | b')'));
        let piece = text.slice(start, gap);
        let digits = piece.iter().any(u8::is_ascii_digit);
        let opening = piece.iter().all(|byte| !byte.is_ascii_alphanumeric());
        let capitals = piece.len() <= 4 && piece.iter().all(|byte| byte.is_ascii_uppercase());
        // Two letters may be the prefix of a national insurance number, whatever punctuation precedes them.
        let pair = nino_prefix(text.before(gap, 2), text.before(gap, 1)) && !word(text.before(gap, 3));
        if start == gap && text.before(gap, 1) != b'(' {
            // A bracket opens the number: `(415) 555`.
            return if text.slice(gap, cursor).contains(&b'(') && next_is_number { gap } else { begin };
        }
        if digits || (pair && next_is_number) || (opening && next_is_number) {
            begin = start;
        } else if !capitals {
            return if text.slice(gap, cursor).contains(&b'(') && next_is_number {
                gap.min(begin)
            } else {
                begin
            };
        }
        next_is_number =
            piece.first().is_some_and(|first| first.is_ascii_digit() || matches!(first, b'(' | b'+'));
        cursor = start;
    }
}

/// Says whether the tail of a stalled stream is plain words that may be sent although they could, in theory, begin a name.
pub(crate) fn plain(tail: &str, prefixes: impl Fn(&str) -> bool) -> bool {
    let words = tail.bytes().all(|byte| {
        byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'.' | b',' | b'!' | b'?' | b'\'' | b'-' | b'\n')
    });
    words
        && !tail
            .split(|char: char| !char.is_ascii_alphabetic())
            .any(|word| !word.is_empty() && prefixes(word))
}
