//! The one pass that looks at every byte: which places of the text deserve a closer look.
//!
//! Two machines run over the text. A byte-class scan cuts it into runs of letters and digits and stops only at runs with a
//! digit, at `@` and at `:`; prose passes at the speed of a table look-up. An automaton over the literals that begin
//! secrets (vendor prefixes, `-----BEGIN`, `://`, names such as `password`) finds the rest.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::secrets::{FORMATS, Keyword};

/// What a literal of the automaton begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literal {
    /// The vendor format with this index.
    Vendor(usize),
    /// The secret name with this index.
    Keyword(usize),
    /// `eyJ`.
    WebToken,
    /// `-----BEGIN`.
    KeyBlock,
    /// `://`.
    Scheme,
    /// `Basic ` or `Bearer `; true for the former.
    Authorization(bool),
    /// `-u ` or `--user ` of a command line.
    CurlUser,
    /// Path of a web hook.
    Webhook,
}

/// Automaton over all literals.
pub(crate) struct Prefilter {
    automaton: AhoCorasick,
    targets: Vec<Literal>,
}

impl Prefilter {
    /// Builds the automaton.
    ///
    /// # Errors
    ///
    /// The automaton's own limits, which the built-in lists are far below.
    pub(crate) fn new() -> Result<Self, aho_corasick::BuildError> {
        let mut patterns: Vec<&str> = Vec::new();
        let mut targets = Vec::new();
        let mut add = |pattern: &'static str, target| {
            patterns.push(pattern);
            targets.push(target);
        };
        for (index, format) in FORMATS.iter().enumerate() {
            add(format.prefix, Literal::Vendor(index));
        }
        for (index, (name, ..)) in Keyword::NAMES.iter().enumerate() {
            add(name, Literal::Keyword(index));
        }
        add("eyJ", Literal::WebToken);
        add("-----BEGIN", Literal::KeyBlock);
        add("://", Literal::Scheme);
        add("basic ", Literal::Authorization(true));
        add("bearer ", Literal::Authorization(false));
        add("bot ", Literal::Authorization(false));
        add(" -u ", Literal::CurlUser);
        add(" --user ", Literal::CurlUser);
        add("hooks.slack.com/services/", Literal::Webhook);
        add("hooks.slack.com/workflows/", Literal::Webhook);
        add("discord.com/api/webhooks/", Literal::Webhook);
        add("discordapp.com/api/webhooks/", Literal::Webhook);
        add("webhook.office.com/", Literal::Webhook);
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(patterns)?;
        Ok(Self { automaton, targets })
    }

    /// Calls `visit` with the place of every literal in `bytes`.
    pub(crate) fn literals(&self, bytes: &[u8], mut visit: impl FnMut(Literal, usize, usize)) {
        for found in self.automaton.find_overlapping_iter(bytes) {
            if let Some(target) = self.targets.get(found.pattern().as_usize()) {
                visit(*target, found.start(), found.end());
            }
        }
    }
}

/// A place the byte-class scan stopped at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A run of letters and digits that holds a digit.
    Run(usize, usize),
    /// A run of letters that may still matter: two long, or 20 and more.
    Letters(usize, usize),
    /// An `@`.
    At(usize),
    /// A `:`.
    Colon(usize),
}

impl Place {
    /// Returns the end of the place.
    pub(crate) fn end(self) -> usize {
        match self {
            Self::Run(_, end) | Self::Letters(_, end) => end,
            Self::At(index) | Self::Colon(index) => index + 1,
        }
    }
}

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const MARK: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut table = [0_u8; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time over the table's own length")]
        {
            table[byte] = match byte as u8 {
                b'0'..=b'9' => DIGIT,
                b'A'..=b'Z' | b'a'..=b'z' => LETTER,
                b'@' | b':' => MARK,
                _ => 0,
            };
        }
        byte += 1;
    }
    table
};

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Calls `visit` with every place of interest, in order.
pub(crate) fn places(bytes: &[u8], mut visit: impl FnMut(Place)) {
    let mut iterator = bytes.iter().enumerate();
    while let Some((index, byte)) = iterator.next() {
        match class(*byte) {
            0 => {}
            MARK => visit(if *byte == b'@' { Place::At(index) } else { Place::Colon(index) }),
            first => {
                let mut seen = first;
                let mut end = bytes.len();
                let mut mark = None;
                for (next, byte) in iterator.by_ref() {
                    let class = class(*byte);
                    if class == 0 || class == MARK {
                        end = next;
                        mark = (class == MARK).then_some(*byte);
                        break;
                    }
                    seen |= class;
                }
                let length = end - index;
                if seen & DIGIT != 0 {
                    visit(Place::Run(index, end));
                } else if length == 2 || length >= 20 {
                    visit(Place::Letters(index, end));
                }
                match mark {
                    Some(b'@') => visit(Place::At(end)),
                    Some(_) => visit(Place::Colon(end)),
                    None => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_has_no_places_and_data_has() {
        let collect = |text: &str| {
            let mut all = Vec::new();
            places(text.as_bytes(), |place| all.push(place));
            all
        };
        assert!(collect("The quick brown fox jumps over the dog.").is_empty());
        assert_eq!(collect("a@b 12:x9"), [Place::At(1), Place::Run(4, 6), Place::Colon(6), Place::Run(7, 9)]);
        assert_eq!(collect("AB-CD"), [Place::Letters(0, 2), Place::Letters(3, 5)]);
    }
}
