//! International bank account numbers.
//!
//! Lengths and shapes are the ones of the SWIFT IBAN registry (release 99, 2024-12): `n` digits, `a` upper-case letters,
//! `c` letters or digits, each with its count.

use super::candidate::{Candidate, Candidates, Proof};
use super::checks;
use super::entity::Entity;
use super::text::Text;

/// Kinds of characters with their counts.
type Shape = &'static [(u8, u8)];

const SHAPES: &[(&[u8; 2], Shape)] = &[
    (b"AD", &[(b'n', 8), (b'c', 12)]),
    (b"AE", &[(b'n', 19)]),
    (b"AL", &[(b'n', 8), (b'c', 16)]),
    (b"AT", &[(b'n', 16)]),
    (b"AZ", &[(b'a', 4), (b'c', 20)]),
    (b"BA", &[(b'n', 16)]),
    (b"BE", &[(b'n', 12)]),
    (b"BG", &[(b'a', 4), (b'n', 6), (b'c', 8)]),
    (b"BH", &[(b'a', 4), (b'c', 14)]),
    (b"BI", &[(b'n', 23)]),
    (b"BR", &[(b'n', 23), (b'a', 1), (b'c', 1)]),
    (b"BY", &[(b'c', 4), (b'n', 4), (b'c', 16)]),
    (b"CH", &[(b'n', 5), (b'c', 12)]),
    (b"CR", &[(b'n', 18)]),
    (b"CY", &[(b'n', 8), (b'c', 16)]),
    (b"CZ", &[(b'n', 20)]),
    (b"DE", &[(b'n', 18)]),
    (b"DJ", &[(b'n', 23)]),
    (b"DK", &[(b'n', 14)]),
    (b"DO", &[(b'c', 4), (b'n', 20)]),
    (b"EE", &[(b'n', 16)]),
    (b"EG", &[(b'n', 25)]),
    (b"ES", &[(b'n', 20)]),
    (b"FI", &[(b'n', 14)]),
    (b"FK", &[(b'a', 2), (b'n', 12)]),
    (b"FO", &[(b'n', 14)]),
    (b"FR", &[(b'n', 10), (b'c', 11), (b'n', 2)]),
    (b"GB", &[(b'a', 4), (b'n', 14)]),
    (b"GE", &[(b'a', 2), (b'n', 16)]),
    (b"GI", &[(b'a', 4), (b'c', 15)]),
    (b"GL", &[(b'n', 14)]),
    (b"GR", &[(b'n', 7), (b'c', 16)]),
    (b"GT", &[(b'c', 24)]),
    (b"HN", &[(b'a', 4), (b'n', 20)]),
    (b"HR", &[(b'n', 17)]),
    (b"HU", &[(b'n', 24)]),
    (b"IE", &[(b'a', 4), (b'n', 14)]),
    (b"IL", &[(b'n', 19)]),
    (b"IQ", &[(b'a', 4), (b'n', 15)]),
    (b"IS", &[(b'n', 22)]),
    (b"IT", &[(b'a', 1), (b'n', 10), (b'c', 12)]),
    (b"JO", &[(b'a', 4), (b'n', 4), (b'c', 18)]),
    (b"KW", &[(b'a', 4), (b'c', 22)]),
    (b"KZ", &[(b'n', 3), (b'c', 13)]),
    (b"LB", &[(b'n', 4), (b'c', 20)]),
    (b"LC", &[(b'a', 4), (b'c', 24)]),
    (b"LI", &[(b'n', 5), (b'c', 12)]),
    (b"LT", &[(b'n', 16)]),
    (b"LU", &[(b'n', 3), (b'c', 13)]),
    (b"LV", &[(b'a', 4), (b'c', 13)]),
    (b"LY", &[(b'n', 21)]),
    (b"MC", &[(b'n', 10), (b'c', 11), (b'n', 2)]),
    (b"MD", &[(b'c', 20)]),
    (b"ME", &[(b'n', 18)]),
    (b"MK", &[(b'n', 3), (b'c', 10), (b'n', 2)]),
    (b"MN", &[(b'n', 16)]),
    (b"MR", &[(b'n', 23)]),
    (b"MT", &[(b'a', 4), (b'n', 5), (b'c', 18)]),
    (b"MU", &[(b'a', 4), (b'n', 19), (b'a', 3)]),
    (b"NI", &[(b'a', 4), (b'n', 20)]),
    (b"NL", &[(b'a', 4), (b'n', 10)]),
    (b"NO", &[(b'n', 11)]),
    (b"OM", &[(b'n', 3), (b'c', 16)]),
    (b"PK", &[(b'a', 4), (b'c', 16)]),
    (b"PL", &[(b'n', 24)]),
    (b"PS", &[(b'a', 4), (b'c', 21)]),
    (b"PT", &[(b'n', 21)]),
    (b"QA", &[(b'a', 4), (b'c', 21)]),
    (b"RO", &[(b'a', 4), (b'c', 16)]),
    (b"RS", &[(b'n', 18)]),
    (b"RU", &[(b'n', 14), (b'c', 15)]),
    (b"SA", &[(b'n', 2), (b'c', 18)]),
    (b"SC", &[(b'a', 4), (b'n', 20), (b'a', 3)]),
    (b"SD", &[(b'n', 14)]),
    (b"SE", &[(b'n', 20)]),
    (b"SI", &[(b'n', 15)]),
    (b"SK", &[(b'n', 20)]),
    (b"SM", &[(b'a', 1), (b'n', 10), (b'c', 12)]),
    (b"SO", &[(b'n', 19)]),
    (b"ST", &[(b'n', 21)]),
    (b"SV", &[(b'a', 4), (b'n', 20)]),
    (b"TL", &[(b'n', 19)]),
    (b"TN", &[(b'n', 20)]),
    (b"TR", &[(b'n', 6), (b'c', 16)]),
    (b"UA", &[(b'n', 6), (b'c', 19)]),
    (b"VA", &[(b'n', 18)]),
    (b"VG", &[(b'a', 4), (b'n', 16)]),
    (b"XK", &[(b'n', 16)]),
    (b"YE", &[(b'a', 4), (b'n', 4), (b'c', 18)]),
];

/// Longest account number of the registry.
const MAX_LENGTH: usize = 34;

fn shape_of(country: [u8; 2]) -> Option<Shape> {
    SHAPES
        .binary_search_by(|(code, _)| (*code).cmp(&country))
        .ok()
        .and_then(|at| SHAPES.get(at))
        .map(|entry| entry.1)
}

fn shaped(bban: &[u8], shape: &[(u8, u8)]) -> bool {
    let mut rest = bban;
    for (kind, count) in shape {
        let Some((part, tail)) = rest.split_at_checked(usize::from(*count)) else { return false };
        let fits = part.iter().all(|byte| match kind {
            b'n' => byte.is_ascii_digit(),
            b'a' => byte.is_ascii_uppercase(),
            _ => byte.is_ascii_alphanumeric(),
        });
        if !fits {
            return false;
        }
        rest = tail;
    }
    rest.is_empty()
}

/// Looks for an account number that begins at `start`, written in one piece or in blocks of four.
pub(crate) fn locate(text: Text<'_>, start: usize, out: &mut Candidates) {
    let country = [text.at(start).to_ascii_uppercase(), text.at(start + 1).to_ascii_uppercase()];
    if !text.at(start + 2).is_ascii_digit() || !text.at(start + 3).is_ascii_digit() || !text.opens(start) {
        return;
    }
    let Some(shape) = shape_of(country) else { return };
    let length = 4 + shape.iter().map(|(_, count)| usize::from(*count)).sum::<usize>();
    let mut compact = [0_u8; MAX_LENGTH];
    let mut index = start;
    let mut separator = 0_u8;
    for (taken, slot) in compact.iter_mut().take(length).enumerate() {
        if taken > 0 && taken % 4 == 0 && matches!(text.at(index), b' ' | b'-') {
            let here = text.at(index);
            if (taken == 4 && separator == 0) || separator == here {
                separator = here;
                index += 1;
            }
        }
        let byte = text.at(index);
        // Lower case only in one piece: in prose, blocks of lower-case letters are words.
        if !byte.is_ascii_alphanumeric() || (separator != 0 && byte.is_ascii_lowercase()) {
            return;
        }
        *slot = byte.to_ascii_uppercase();
        index += 1;
    }
    let Some(number) = compact.get(..length) else { return };
    if text.closes(index) && number.get(4..).is_some_and(|bban| shaped(bban, shape)) && checks::mod97(number)
    {
        out.push(Candidate::new(Entity::IbanCode, start, index, Proof::Sure, 9));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut out = Candidates::new();
        for start in 0..text.len() {
            locate(Text::new(text), start, &mut out);
        }
        out.iter().map(|candidate| &text[candidate.start..candidate.end]).collect()
    }

    #[test]
    fn shapes_are_sorted_for_the_binary_search() {
        assert!(SHAPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(
            SHAPES.iter().all(|(_, shape)| shape.iter().map(|(_, n)| usize::from(*n)).sum::<usize>() <= 30)
        );
    }

    #[test]
    fn one_piece_blocks_and_hyphens_are_found_and_wrong_checks_are_not() {
        assert_eq!(found("to GB82WEST12345698765432, please"), ["GB82WEST12345698765432"]);
        assert_eq!(found("GB82 WEST 1234 5698 7654 32."), ["GB82 WEST 1234 5698 7654 32"]);
        assert_eq!(found("DE89-3704-0044-0532-0130-00"), ["DE89-3704-0044-0532-0130-00"]);
        assert!(found("GB83 WEST 1234 5698 7654 32").is_empty());
        assert!(found("DE8937040044053201300").is_empty());
        assert!(found("GB82WEST123456987654321").is_empty());
    }
}
