//! Hashed n-grams of characters (3 to 5, inside words) and of words (1 to 3).
//!
//! The polynomial of the last five characters is kept up to date while reading, so that each character costs
//! three multiplications and three look-ups, whatever the length of the text.

use super::space::{CHAR_BITS, Sink, WORD_BASE, WORD_BITS};

const RADIX: u64 = 0x0001_0001_B3C5_1F27;
const RADIX_2: u64 = RADIX.wrapping_mul(RADIX);
const RADIX_3: u64 = RADIX_2.wrapping_mul(RADIX);
const RADIX_4: u64 = RADIX_3.wrapping_mul(RADIX);
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bucket of a hash among `2^bits`.
fn bucket(hash: u64, bits: u32) -> u32 {
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(SPREAD);
    u32::try_from(mixed >> (64 - bits)).unwrap_or(0)
}

/// Whether the script is written without blanks, so that each character counts as a word.
pub(crate) fn is_unspaced(character: char) -> bool {
    matches!(character, '\u{0e00}'..='\u{0eff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

/// Reads `text` and gives every n-gram's bucket to `sink`, in order, repeats included.
pub(crate) fn extract(text: &str, sink: &mut impl Sink) {
    if text.is_ascii() {
        read(text.bytes().map(char::from), sink);
    } else {
        read(text.chars(), sink);
    }
}

fn read(characters: impl Iterator<Item = char>, sink: &mut impl Sink) {
    let mut window = Window::default();
    let mut words = Words::default();
    for character in characters {
        let code = fold(character);
        if code == u64::from(b' ') {
            window.close(sink);
            words.close(sink);
            continue;
        }
        window.push(code, sink);
        if is_unspaced(character) {
            words.close(sink);
            words.push(code);
            words.close(sink);
        } else if character.is_alphanumeric()
            || (!character.is_ascii() && !character.is_ascii_punctuation() && unicode_letter_like(character))
        {
            words.push(code);
        } else if character != '\'' {
            words.close(sink);
        }
    }
    window.close(sink);
    words.close(sink);
}

/// Vowel signs of Indic scripts are marks, not letters, but belong to their word.
fn unicode_letter_like(character: char) -> bool {
    matches!(character, '\u{0900}'..='\u{0dff}')
}

/// Lower case, all digits alike, all blanks alike.
fn fold(character: char) -> u64 {
    match character {
        'A'..='Z' => u64::from(character) | 0x20,
        '0'..='9' => u64::from(b'0'),
        _ if character.is_ascii() => {
            if character.is_ascii_whitespace() || character.is_ascii_control() {
                u64::from(b' ')
            } else {
                u64::from(character)
            }
        }
        _ if character.is_whitespace() => u64::from(b' '),
        _ => u64::from(character),
    }
}

/// The last characters of the current word, with a blank on each side.
#[derive(Default)]
struct Window {
    last: [u64; 4],
    length: u32,
}

impl Window {
    fn push(&mut self, code: u64, sink: &mut impl Sink) {
        if self.length == 0 {
            self.last = [0, 0, 0, u64::from(b' ')];
            self.length = 1;
        }
        let [fifth, fourth, third, second] = self.last;
        self.length = self.length.saturating_add(1);
        if self.length >= 3 {
            let three =
                third.wrapping_mul(RADIX_2).wrapping_add(second.wrapping_mul(RADIX)).wrapping_add(code);
            sink.hit(bucket(three.wrapping_add(3 << 40), CHAR_BITS));
            if self.length >= 4 {
                let four = fourth.wrapping_mul(RADIX_3).wrapping_add(three);
                sink.hit(bucket(four.wrapping_add(4 << 40), CHAR_BITS));
                if self.length >= 5 {
                    let five = fifth.wrapping_mul(RADIX_4).wrapping_add(four);
                    sink.hit(bucket(five.wrapping_add(5 << 40), CHAR_BITS));
                }
            }
        }
        self.last = [fourth, third, second, code];
    }

    fn close(&mut self, sink: &mut impl Sink) {
        if self.length > 0 {
            self.push(u64::from(b' '), sink);
            self.length = 0;
        }
    }
}

/// The current word's hash and those of the two words before it.
#[derive(Default)]
struct Words {
    current: u64,
    before: u64,
    before_that: u64,
}

impl Words {
    fn push(&mut self, code: u64) {
        self.current = self.current.wrapping_mul(RADIX).wrapping_add(code + 1);
    }

    fn close(&mut self, sink: &mut impl Sink) {
        if self.current == 0 {
            return;
        }
        let one = self.current;
        sink.hit(WORD_BASE + bucket(one, WORD_BITS));
        if self.before != 0 {
            let two = self.before.rotate_left(21).wrapping_mul(SPREAD) ^ one;
            sink.hit(WORD_BASE + bucket(two, WORD_BITS));
            if self.before_that != 0 {
                let three = self.before_that.rotate_left(43).wrapping_mul(RADIX) ^ two.rotate_left(7);
                sink.hit(WORD_BASE + bucket(three, WORD_BITS));
            }
        }
        self.before_that = self.before;
        self.before = one;
        self.current = 0;
    }
}
