//! Telephone numbers.
//!
//! International forms (`+CC ...`) and national forms with unmistakable grouping stand on their own; other groupings need a
//! context word. Country codes are the ones assigned in ITU-T E.164 (list of 2024).

use super::candidate::{Candidate, Candidates, Proof};
use super::entity::Entity;
use super::groups::{Groups, begins};
use super::text::{Text, word};

/// Fewest and most digits of an international number, country code included.
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;

/// Looks for a number whose first digit run begins at `start`.
pub(crate) fn locate(text: Text<'_>, start: usize, groups: &Groups, out: &mut Candidates) {
    match text.before(start, 1) {
        b'+' if !word(text.before(start, 2)) => international(text, start, out),
        b'(' if text.at(groups.end(1)) == b')' => bracketed(text, start, groups, out),
        _ if begins(text, start) => national(text, start, groups, out),
        _ => {}
    }
}

fn closes(text: Text<'_>, end: usize) -> bool {
    let (next, after) = (text.at(end), text.at(end + 1));
    !(word(next) || matches!(next, b'-' | b'.' | b'/' | b':') && after.is_ascii_digit())
}

/// Returns the length of the country code that the digits begin with.
fn country_code(digits: &[u8]) -> Option<usize> {
    match digits {
        [b'1' | b'7', ..] => Some(1),
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0' | b'1' | b'2' | b'3' | b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3' | b'4' | b'5' | b'6' | b'7' | b'8' | b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => Some(2),
        [b'2', b'1'..=b'6' | b'8' | b'9', _, ..]
        | [b'3', b'5' | b'7' | b'8', _, ..]
        | [b'4', b'2', _, ..]
        | [b'5', b'0' | b'9', _, ..]
        | [b'6', b'7'..=b'9', _, ..]
        | [b'8', b'0' | b'5' | b'7' | b'8', _, ..]
        | [b'9', b'6' | b'7' | b'9', _, ..] => Some(3),
        _ => None,
    }
}

/// Says whether a national number of this many digits exists behind the country code.
fn length_fits(digits: &[u8], code: usize) -> bool {
    let national = digits.len() - code;
    match digits.get(..code) {
        Some(b"1") => national == 10,
        Some(b"7" | b"44") => (9..=10).contains(&national),
        Some(b"33" | b"31" | b"32" | b"34" | b"48" | b"41" | b"61" | b"27") => (8..=11).contains(&national),
        _ => (6..=12).contains(&national),
    }
}

/// `+CC` and groups parted by one blank, hyphen, dot or slash, with optional brackets around one group.
fn international(text: Text<'_>, start: usize, out: &mut Candidates) {
    let mut digits = [0_u8; 16];
    let mut count = 0;
    let mut cursor = start;
    let mut end = start;
    let mut open = false;
    let mut gap = 0;
    while cursor < start + 32 {
        let byte = text.at(cursor);
        match byte {
            b'0'..=b'9' => {
                let Some(slot) = digits.get_mut(count) else { return };
                *slot = byte;
                count += 1;
                gap = 0;
                end = cursor + 1;
            }
            b'(' if !open && count > 0 && gap <= 1 => {
                open = true;
                gap = 0;
            }
            b')' if open => {
                open = false;
                gap = 0;
            }
            b' ' | b'-' | b'.' | b'/' if gap == 0 => gap += 1,
            _ => break,
        }
        cursor += 1;
    }
    // A trunk zero in brackets is written, not dialled.
    let Some(number) = digits.get(..count) else { return };
    let Some(code) = country_code(number) else { return };
    let trunk = usize::from(text.slice(start, end).windows(3).any(|three| three == b"(0)"));
    let plausible = INTERNATIONAL.contains(&(count - trunk)) && length_fits(number, code + trunk);
    if plausible && closes(text, end) {
        out.push(Candidate::new(Entity::PhoneNumber, start - 1, end, Proof::Sure, 3));
    }
}

/// `(415) 555-0132`, `(089) 5782016`.
fn bracketed(text: Text<'_>, start: usize, groups: &Groups, out: &mut Candidates) {
    let Some(area) = groups.lengths().first().copied() else { return };
    let close = groups.end(1);
    if text.at(close) != b')' || word(text.before(start, 2)) || !(2..=5).contains(&area) {
        return;
    }
    let rest_start = if matches!(text.at(close + 1), b' ' | b'-' | b'.') { close + 2 } else { close + 1 };
    if !text.at(rest_start).is_ascii_digit() {
        return;
    }
    let rest = Groups::read(text, rest_start);
    let used = rest.lengths().len().min(4);
    let total: usize = rest.lengths().iter().take(used).map(|length| usize::from(*length)).sum();
    let end = rest.end(used);
    let american = area == 3
        && matches!(groups.digits(1), [b'2'..=b'9'])
        && rest.shaped(&[3, 4], b"-. ").or_else(|| rest.shaped(&[7], b"")).is_some();
    let trunk = groups.digits(1) == b"0" && (5..=8).contains(&total);
    if (american || trunk) && closes(text, end) {
        out.push(Candidate::new(Entity::PhoneNumber, start - 1, end, Proof::Firm, 7));
    }
}

fn national(text: Text<'_>, start: usize, groups: &Groups, out: &mut Candidates) {
    let mut push = |end: usize, proof: Proof, rank: u8| {
        out.push(Candidate::new(Entity::PhoneNumber, start, end, proof, rank));
    };
    let exchange = |area: usize| {
        let digits = groups.digits(area + 4);
        matches!(digits.get(area), Some(b'2'..=b'9')) && matches!(digits.get(area + 3), Some(b'2'..=b'9'))
    };
    for (shape, area) in [(&[3_u8, 3, 4][..], 0), (&[1, 3, 3, 4][..], 1)] {
        let lead = area == 0 || groups.digits(1) == b"1";
        for (separators, proof) in [(&b"-."[..], Proof::Firm), (&b" "[..], Proof::Shape)] {
            // After a leading `1` every grouping is a telephone number.
            let proof = if area == 1 { Proof::Firm } else { proof };
            if let Some(end) = groups.shaped(shape, separators)
                && closes(text, end)
                && lead
                && exchange(area)
            {
                push(end, proof, 6);
            }
        }
    }
    let lengths = groups.lengths();
    let digits = groups.digits(2);
    let mut total = 0;
    for (index, length) in lengths.iter().enumerate().take(6) {
        total += usize::from(*length);
        let count = index + 1;
        let end = groups.end(count);
        let last = count == lengths.len();
        if !last && groups.separator(index) != b' ' {
            continue;
        }
        if total > 15 || !closes(text, end) || !spaced(groups, count) {
            continue;
        }
        if let [b'0', second] = digits {
            // `020 7946 0937`, `06 12 52 42 02`, `06-46982562`, `0049 30 901820`.
            let abroad = *second == b'0' && (10..=15).contains(&total);
            let trunk =
                (2..=5).contains(&count) && (9..=12).contains(&total) && *second != b'0' && trunked(groups);
            if count > 1 && (trunk || (abroad && groups.separator(0) != b'.')) {
                push(end, if last { Proof::Firm } else { Proof::Shape }, 5);
                continue;
            }
        }
        if (7..=13).contains(&total) && !is_date(groups) {
            push(end, Proof::Shape, 3);
        }
    }
}

/// Groups parted by blanks, hyphens or dots alike; the first separator may differ, as in `030/123 456`.
fn spaced(groups: &Groups, count: usize) -> bool {
    let inner = groups.separator(1);
    (1..count.saturating_sub(1)).all(|index| groups.separator(index) == inner)
        && groups.lengths().iter().take(count).all(|length| *length <= 12)
}

/// `02-03-2024`, `2024-03-02`.
fn is_date(groups: &Groups) -> bool {
    matches!(groups.lengths(), [1 | 2, 1 | 2, 2 | 4, ..] | [4, 2, 2, ..])
        && matches!(groups.separator(0), b'-' | b'.' | b'/')
        && groups.separator(0) == groups.separator(1)
        && groups.lengths().iter().take(3).map(|length| usize::from(*length)).sum::<usize>() <= 8
        && !matches!(groups.lengths(), [2, 2, 2, 2, ..])
}

/// Says whether the groups can be a trunk code and a number: no decimal, date, card or number of another kind.
fn trunked(groups: &Groups) -> bool {
    let lengths = groups.lengths();
    let decimal = groups.separator(0) == b'.' && (lengths.len() < 3 || groups.separator(1) != b'.');
    let other = matches!(lengths, [4, 4, 4, ..] | [3, 2, 4] | [5, 4] | [1, ..]);
    lengths.first().is_some_and(|first| (2..=5).contains(first)) && !decimal && !other && !is_date(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, proof: Proof) -> Vec<&str> {
        let mut out = Candidates::new();
        let view = Text::new(text);
        for start in 0..text.len() {
            if view.at(start).is_ascii_digit() && !view.before(start, 1).is_ascii_digit() {
                locate(view, start, &Groups::read(view, start), &mut out);
            }
        }
        out.iter().filter(|one| one.proof == proof).map(|one| &text[one.start..one.end]).collect()
    }

    #[test]
    fn unmistakable_forms_stand_alone() {
        for number in [
            "+1 415 555 0132",
            "+49 (0)89 5782016",
            "+33 1 43 27 83 24",
            "+442079460364",
            "(415) 555-0132",
            "415-555-0132",
            "206.555.3938",
            "020 7946 0937",
            "07700 900403",
            "06 12 52 42 02",
            "06-46982562",
            "(089) 5782016",
            "+55 11 98456 5666",
            "06.12.52.42.02",
        ] {
            let text = format!("x: {number}.");
            let all = [found(&text, Proof::Sure), found(&text, Proof::Firm)].concat();
            assert!(all.contains(&number), "{number}");
        }
    }

    #[test]
    fn dates_versions_and_ranges_do_not() {
        for text in [
            "2024-03-02 10:00",
            "02-03-2024",
            "02.03.2024",
            "Range 406-9135 of 3348017252",
            "3.14159265358979",
            "10.0.0.1",
            "+0200",
            "x 0.74269533 y",
            "00:00:00.0000000",
            "v1.415-555-0132",
        ] {
            assert!(found(text, Proof::Firm).is_empty() && found(text, Proof::Sure).is_empty(), "{text}");
        }
    }
}
