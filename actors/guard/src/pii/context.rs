//! What the surroundings of a candidate say about it.
//!
//! One automaton holds the context words of every kind and the counter-words; it runs once over a window of 96 bytes
//! before the candidate and 32 after it, and only beside candidates that passed their shape. Nothing outside that
//! window is ever read: the stream redactor's proof rests on it.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::candidate::Proof;
use super::entity::Entity;
use super::text::{AHEAD, BACK, Text};
use super::words;

/// How far before the number a counter-word still speaks about it, in bytes.
const COUNTER_REACH: usize = 30;
/// How near a counter-word must be to speak against a convincing number: `Order 4111 ...`, not `the order of my card 4111`.
const COUNTER_NEAR: u8 = 12;
/// A counter-word may stand this much nearer: `taxpayer ID 123` speaks of a taxpayer.
const ID_SLACK: u8 = 4;
/// Longest `key=` that is read as a key, in bytes.
const KEY_REACH: usize = 44;
/// Most bytes the automaton reads on one side.
const WINDOW: usize = BACK + KEY_REACH;
/// Words this long also count inside a compound.
const COMPOUND: usize = 7;
/// A word behind the number counts as if it were this much farther away.
const BEHIND: usize = 10;

/// Automaton over all words.
pub(crate) struct Lexicon {
    automaton: AhoCorasick,
    /// For each pattern: the index of its entity in [`Entity::ALL`], or `None` for a counter-word.
    targets: Vec<Option<u8>>,
}

/// What the window says.
pub(crate) struct Context {
    /// Distance of the nearest context word by entity index; `u8::MAX` means none.
    distance: [u8; 64],
    /// Distance of the nearest counter-word.
    counter: u8,
    /// The window holds nothing but the candidate and its like.
    pub(crate) standalone: bool,
}

impl Context {
    /// Returns the distance of the nearest context word of `entity` when no counter-word is nearer.
    pub(crate) fn supports(&self, entity: &Entity) -> Option<u8> {
        let distance = index_of(entity).and_then(|index| self.distance.get(usize::from(index)).copied())?;
        (distance != u8::MAX && distance <= self.counter.saturating_add(ID_SLACK)).then_some(distance)
    }

    /// Says whether a counter-word speaks about the candidate; a convincing one is only doubted from close by.
    pub(crate) fn objects(&self, proof: Proof) -> bool {
        self.counter <= if proof == Proof::Firm { COUNTER_NEAR } else { u8::MAX - 1 }
    }
}

/// Returns the position of a built-in kind in [`Entity::ALL`].
pub(crate) fn index_of(entity: &Entity) -> Option<u8> {
    Entity::ALL.iter().position(|other| other == entity).and_then(|index| u8::try_from(index).ok())
}

impl Lexicon {
    /// Builds the automaton.
    ///
    /// # Errors
    ///
    /// The automaton's own limits, which the built-in lists are far below.
    pub(crate) fn new() -> Result<Self, aho_corasick::BuildError> {
        let mut patterns: Vec<String> = Vec::new();
        let mut targets = Vec::new();
        let targets_of = words::CONTEXT
            .iter()
            .flat_map(|(entity, list)| list.iter().map(move |word| (*word, index_of(entity))))
            .chain(words::COUNTER.iter().map(|word| (*word, None)));
        for (word, target) in targets_of {
            // The window has blanks for underscores and hyphens; `accountNumber` has neither.
            let word = word.replace(['_', '-'], " ");
            if word.contains(' ') {
                patterns.push(word.replace(' ', ""));
                targets.push(target);
            }
            patterns.push(word);
            targets.push(target);
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(patterns)?;
        Ok(Self { automaton, targets })
    }

    /// Reads the window around `start..end`.
    pub(crate) fn read(&self, text: Text<'_>, start: usize, end: usize) -> Context {
        let mut context = Context { distance: [u8::MAX; 64], counter: u8::MAX, standalone: false };
        let (from, key) = window_start(text, start);
        let mut buffer = [0_u8; WINDOW];
        let before = blanked(text.slice(from.max(start.saturating_sub(WINDOW)), start), &mut buffer);
        let from = start - before.len();
        for found in self.automaton.find_overlapping_iter(before) {
            let pattern = found.pattern().as_usize();
            if self.bounded(text, pattern, from + found.start(), from + found.end()) {
                let distance = before.len() - found.end();
                self.note(&mut context, pattern, distance, key || distance <= COUNTER_REACH);
            }
        }
        let until = window_end(text, end);
        let after = blanked(text.slice(end, until), &mut buffer);
        for found in self.automaton.find_overlapping_iter(after) {
            let (word_start, word_end) = (end + found.start(), end + found.end());
            // `123 ssn=...`: the word is the key of the next value.
            let is_key = matches!(text.at(word_end), b'=' | b':') && word_end < until;
            let pattern = found.pattern().as_usize();
            if self.bounded(text, pattern, word_start, word_end) && !is_key {
                self.note(&mut context, pattern, found.start() + BEHIND, false);
            }
        }
        context.standalone = standalone(text, start, end);
        context
    }

    /// Says whether the word at `start..end` stands on its own; long context words may also be part of a compound.
    fn bounded(&self, text: Text<'_>, pattern: usize, start: usize, end: usize) -> bool {
        let letter = |byte: u8| byte.is_ascii_alphabetic() || byte >= 0x80;
        let first = text.at(start);
        let last = text.before(end, 1);
        let counter = self.targets.get(pattern).copied().flatten().is_none();
        let long = end - start >= COMPOUND && !counter;
        let (previous, next) = (text.before(start, 1), text.at(end));
        let left = !letter(previous) || long || (previous.is_ascii_lowercase() && first.is_ascii_uppercase());
        let right = !letter(next) || long || (last.is_ascii_lowercase() && next.is_ascii_uppercase());
        left && right
    }

    fn note(&self, context: &mut Context, pattern: usize, distance: usize, may_object: bool) {
        let distance = u8::try_from(distance).unwrap_or(u8::MAX - 1);
        match self.targets.get(pattern).copied().flatten() {
            Some(index) => {
                if let Some(slot) = context.distance.get_mut(usize::from(index)) {
                    *slot = (*slot).min(distance);
                }
            }
            None if may_object => context.counter = context.counter.min(distance),
            None => {}
        }
    }
}

/// Returns where the window before `start` begins, and whether it is just the key of a key-value pair.
fn window_start(text: Text<'_>, start: usize) -> (usize, bool) {
    let floor = start.saturating_sub(BACK);
    let mut cursor = start;
    if matches!(text.before(cursor, 1), b'"' | b'\'' | b'`') {
        cursor -= 1;
    }
    while cursor > floor && text.before(cursor, 1) == b' ' {
        cursor -= 1;
    }
    let (separator, before_it) = (text.before(cursor, 1), text.before(cursor, 2));
    if separator == b'=' && before_it != b' ' && before_it != b'=' {
        // `key=value`; a key may have blanks in it (`phone number=`), but no separator.
        let floor = start.saturating_sub(KEY_REACH);
        let from = text.run_back(cursor - 1, cursor - 1 - floor.min(cursor - 1), |byte| {
            !matches!(byte, b',' | b';' | b'&' | b'|' | b'{' | b'}' | b'"' | b'\n' | b'=' | b'?')
        });
        return (from, true);
    }
    if separator == b':' && matches!(before_it, b'"' | b'\'') {
        let from = text.run_back(cursor - 2, KEY_REACH, |byte| !matches!(byte, b'"' | b'\n' | b'{' | b','));
        return (from, true);
    }
    let line = text.run_back(start, BACK, |byte| byte != b'\n');
    let alone_so_far =
        text.slice(line, start).iter().all(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80);
    // First on its line: the label stands on a line above.
    (if alone_so_far { floor } else { line }, false)
}

/// Returns where the window after `end` stops: at the end of the line or of the clause a label could be in.
fn window_end(text: Text<'_>, end: usize) -> usize {
    text.run(end, AHEAD, |byte| !matches!(byte, b'\n' | b',' | b'"' | b'{' | b'}' | b'|' | b';'))
}

/// Returns the length of text from which on the window behind a candidate that ends at `end` cannot change.
pub(crate) fn reach(text: Text<'_>, end: usize) -> usize {
    let until = window_end(text, end);
    // The byte that stops the window also settles whether the candidate stands alone; a word at its edge is judged by
    // the byte after it.
    if until < end + AHEAD { (until + 1).max(end + 2) } else { until + 2 }
}

/// Says whether the window on both sides holds neither words nor the punctuation of data.
fn standalone(text: Text<'_>, start: usize, end: usize) -> bool {
    let foreign = |byte: &u8| {
        byte.is_ascii_lowercase()
            || *byte >= 0x80
            || matches!(
                byte,
                b',' | b'['
                    | b']'
                    | b'{'
                    | b'}'
                    | b':'
                    | b'='
                    | b'"'
                    | b'\''
                    | b';'
                    | b'|'
                    | b'#'
                    | b'\n'
                    | b'<'
            )
    };
    start < BACK
        && !text.slice(0, start).iter().any(foreign)
        && !text.slice(end, end + AHEAD).iter().any(foreign)
}

/// Copies `part` with blanks for underscores and hyphens.
fn blanked<'b>(part: &[u8], buffer: &'b mut [u8; WINDOW]) -> &'b [u8] {
    let length = part.len().min(WINDOW);
    for (slot, byte) in buffer.iter_mut().zip(part) {
        *slot = if matches!(byte, b'_' | b'-') { b' ' } else { *byte };
    }
    buffer.get(..length).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, number: &str) -> Context {
        let start = text.find(number).unwrap();
        Lexicon::new().unwrap().read(Text::new(text), start, start + number.len())
    }

    #[test]
    fn nearest_word_wins_between_context_and_counter() {
        assert!(read("order for card 4111", "4111").supports(&Entity::CreditCard).is_some());
        let order = read("card order 4111", "4111");
        assert!(order.supports(&Entity::CreditCard).is_none() && order.objects(Proof::Firm));
    }

    #[test]
    fn key_decides_and_other_keys_do_not() {
        let json = read(r#"{"ssn": "1", "trackingNumber": "123456789"}"#, "123456789");
        assert!(json.supports(&Entity::UsSsn).is_none() && json.objects(Proof::Firm));
        assert!(read("phone number=206", "206").supports(&Entity::PhoneNumber).is_some());
        assert!(
            read(r#"{"driverLicense": "77", "x": 1}"#, "77").supports(&Entity::UsDriverLicense).is_some()
        );
    }

    #[test]
    fn label_on_the_line_above_or_behind_counts() {
        assert!(read("my mobile as requested:\n0770", "0770").supports(&Entity::PhoneNumber).is_some());
        assert!(read("Unter 583 (IdNr) finden", "583").supports(&Entity::DeTaxId).is_some());
        assert!(read("Mobiltelefonnummer 583", "583").supports(&Entity::PhoneNumber).is_some());
        assert!(read("the span 583", "583").supports(&Entity::InPan).is_none());
        assert!(read("as requested: 583", "583").counter == u8::MAX);
        assert!(read("accountNumber=583", "583").supports(&Entity::UsBankNumber).is_some());
    }

    #[test]
    fn whole_text_is_standalone_and_a_list_is_not() {
        assert!(read("0032698674", "0032698674").standalone);
        assert!(read("0032698674 ", "0032698674").standalone);
        assert!(!read("[1, 0032698674, 2]", "0032698674").standalone);
        assert!(!read("see 0032698674", "0032698674").standalone);
    }
}
