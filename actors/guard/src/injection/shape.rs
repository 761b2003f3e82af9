//! The shape of a text: length, alphabets, punctuation, markup. Small evidence that wording does not carry.

use super::space::{SHAPE_BASE, Sink};

/// Counts over one text, from a single pass over its bytes.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Survey {
    /// Bytes.
    pub(crate) length: usize,
    upper: usize,
    lower: usize,
    digits: usize,
    punctuation: usize,
    foreign: usize,
    newlines: usize,
    words: usize,
    /// Words with punctuation between letters, or a capital after a small letter.
    odd_words: usize,
    /// Words where digits or signs stand between letters.
    leet_words: usize,
    /// Longest run of single letters separated by one blank or sign.
    pub(crate) spaced_run: usize,
    /// Longest run without a blank, of characters that base64 and hex use.
    pub(crate) code_run: usize,
    /// Number of percent-encoded bytes.
    pub(crate) percent: usize,
    /// Words that English words become under ROT13.
    pub(crate) rotated: usize,
}

/// Frequent English words under ROT13.
const ROTATED: [&[u8]; 14] = [
    b"gur", b"naq", b"lbh", b"lbhe", b"nyy", b"sbe", b"gung", b"guvf", b"jvgu", b"abg", b"gb", b"bs", b"nal",
    b"ner",
];

impl Survey {
    /// Looks at canonical text once.
    pub(crate) fn of(text: &str) -> Self {
        let mut survey = Self { length: text.len(), ..Self::default() };
        let mut spaced = 0_usize;
        for word in text.split_ascii_whitespace() {
            survey.word(word.as_bytes());
            if is_single(word) {
                spaced += 1;
                survey.spaced_run = survey.spaced_run.max(spaced);
            } else {
                spaced = 0;
            }
        }
        survey.newlines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
        survey
    }

    /// Whether enough words are spelled with digits and signs to be worth a second reading. A few such words in a
    /// long text are names and formats.
    pub(crate) fn looks_leet(&self) -> bool {
        self.leet_words >= 8 || (self.leet_words >= 1 && self.leet_words * 48 >= self.words)
    }

    fn word(&mut self, word: &[u8]) {
        self.words += 1;
        let (mut run, mut switches, mut inner, mut dotted) = (0_usize, 0_usize, 0_usize, 0_usize);
        let mut before = Kind::Edge;
        let (mut letters, mut substitutes) = (0_usize, 0_usize);
        for (at, &byte) in word.iter().enumerate() {
            let kind = Kind::of(byte);
            match kind {
                Kind::Upper => self.upper += 1,
                Kind::Lower => self.lower += 1,
                Kind::Digit => self.digits += 1,
                Kind::Foreign => self.foreign += 1,
                Kind::Sign | Kind::Edge => {
                    self.punctuation += 1;
                    if byte == b'%'
                        && word.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
                    {
                        self.percent += 1;
                    }
                }
            }
            if kind.is_letter() {
                letters += 1;
            } else if matches!(
                byte,
                b'0' | b'1' | b'3' | b'4' | b'5' | b'7' | b'8' | b'@' | b'$' | b'!' | b'|' | b'+'
            ) {
                substitutes += 1;
            }
            if kind == Kind::Upper && before == Kind::Lower {
                switches += 1;
            }
            if kind.is_letter() && before == Kind::Sign && at > 1 {
                inner += 1;
            }
            // Single letters joined by one sign each: i-g-n-o-r-e.
            if at % 2 == 1 && kind == Kind::Sign && before.is_letter() {
                dotted += 1;
            }
            run = if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_') {
                run + 1
            } else {
                0
            };
            self.code_run = self.code_run.max(run);
            before = kind;
        }
        if dotted >= 3 && dotted + 1 >= word.len() / 2 {
            self.spaced_run = self.spaced_run.max(dotted + 1);
        }
        if switches + inner > 1 && word.len() < 40 {
            self.odd_words += 1;
        }
        if letters >= 2 && substitutes >= 1 && letters + substitutes + 1 >= word.len() && word.len() < 24 {
            self.leet_words += 1;
        }
        if (2..=4).contains(&word.len()) && ROTATED.iter().any(|rotated| word.eq_ignore_ascii_case(rotated)) {
            self.rotated += 1;
        }
    }

    /// Gives the identifiers of the shape to `sink`.
    pub(crate) fn extract(&self, text: &str, sink: &mut impl Sink) {
        let mut flag = |at: u32| sink.hit(SHAPE_BASE + at);
        let total = self.length.max(1);
        flag(total.ilog2().min(15));
        let share = |part: usize| part.saturating_mul(100) / total;
        flag(16 + bin(share(self.upper), &[1, 4, 8, 16, 40]));
        flag(22 + bin(share(self.punctuation), &[1, 3, 5, 8, 14, 25]));
        flag(29 + bin(share(self.digits), &[1, 3, 8, 20]));
        flag(34 + bin(share(self.foreign), &[1, 5, 25, 60]));
        flag(39 + bin(self.newlines, &[1, 3, 8, 20]));
        let odd = self.odd_words.saturating_mul(100) / self.words.max(1);
        flag(44 + bin(odd, &[1, 4, 10, 25]));
        flag(49 + bin(self.leet_words.saturating_mul(100) / self.words.max(1), &[1, 10, 30]));
        if self.spaced_run >= 5 {
            flag(53);
        }
        if memchr::memmem::find(text.as_bytes(), b"<!--").is_some() {
            flag(54);
        }
        let last = text.trim_end().chars().next_back().unwrap_or(' ');
        flag(match last {
            '?' | '？' => 55,
            '.' | '。' => 56,
            '!' => 57,
            ':' => 58,
            '"' | '\'' => 59,
            '}' | ']' | '>' | ')' => 60,
            _ => 61,
        });
        let first = text.trim_start().chars().next().unwrap_or(' ');
        flag(match first {
            '{' | '[' | '<' => 62,
            '"' | '\'' => 63,
            '|' | '#' | '-' | '*' => 64,
            'A'..='Z' => 65,
            'a'..='z' => 66,
            _ => 67,
        });
        flag(68 + bin(self.words, &[2, 4, 7, 12, 20, 40, 80, 160, 400]));
    }
}

/// Identifier (within the shape range) of "invisible characters were there".
pub(crate) const INVISIBLE: u32 = SHAPE_BASE + 80;
/// Identifier of "words mix alphabets".
pub(crate) const MIXED: u32 = SHAPE_BASE + 81;

fn bin(value: usize, edges: &[usize]) -> u32 {
    u32::try_from(edges.iter().filter(|&&edge| value >= edge).count()).unwrap_or(0)
}

fn is_single(word: &str) -> bool {
    word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Edge,
    Upper,
    Lower,
    Digit,
    Sign,
    Foreign,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            b'A'..=b'Z' => Self::Upper,
            b'a'..=b'z' => Self::Lower,
            b'0'..=b'9' => Self::Digit,
            0x80.. => Self::Foreign,
            _ => Self::Sign,
        }
    }

    fn is_letter(self) -> bool {
        matches!(self, Self::Upper | Self::Lower | Self::Foreign)
    }
}
