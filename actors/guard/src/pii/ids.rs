//! Identifiers that mix letters and digits, and Bitcoin addresses.
//!
//! Called once for each run of letters and digits that holds both.

use super::candidate::{Candidate, Candidates, Proof};
use super::checks;
use super::entity::Entity;
use super::groups::ends;
use super::iban;
use super::text::Text;

/// Looks for identifiers in the run `start..end`.
pub(crate) fn locate(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    if !(4..=64).contains(&(end - start)) {
        return;
    }
    let run = text.slice(start, end);
    if let [first, second, third, fourth, ..] = run
        && first.is_ascii_alphabetic()
        && second.is_ascii_alphabetic()
        && third.is_ascii_digit()
        && fourth.is_ascii_digit()
    {
        iban::locate(text, start, out);
    }
    if !text.opens(start) {
        return;
    }
    hyphened(text, start, end, out);
    if !text.closes(end) {
        return;
    }
    let mut push =
        |entity: Entity, proof: Proof, rank: u8| out.push(Candidate::new(entity, start, end, proof, rank));
    let upper = !run.iter().any(u8::is_ascii_lowercase);
    match run {
        [a, b, digits @ .., suffix]
            if digits.len() == 6
                && all_digits(digits)
                && checks::nino_prefix(*a, *b)
                && nino_suffix(*suffix) =>
        {
            push(Entity::UkNino, if upper { Proof::Firm } else { Proof::Checked }, 5);
        }
        [a, digits @ .., last] if digits.len() == 7 && all_digits(digits) && last.is_ascii_alphabetic() => {
            if matches!(a.to_ascii_uppercase(), b'X' | b'Y' | b'Z') && checks::nie(*a, digits, *last) {
                push(Entity::EsNie, Proof::Firm, 7);
            }
            if checks::nric(*a, digits, *last) {
                push(Entity::SgNricFin, Proof::Firm, 6);
            }
        }
        [a, b, digits @ ..]
            if digits.len() == 7
                && all_digits(digits)
                && a.is_ascii_alphabetic()
                && (b.is_ascii_alphabetic() || *b == b'9')
                && upper
                && checks::dea(digits) =>
        {
            push(Entity::MedicalLicense, Proof::Checked, 5);
        }
        [a, digits @ ..] if digits.len() == 8 && all_digits(digits) && a.is_ascii_uppercase() => {
            push(Entity::UsPassport, Proof::Shape, 3);
        }
        [a, b, c, d, e, digits @ .., last]
            if digits.len() == 4
                && all_digits(digits)
                && [a, b, c, d, e, last].iter().all(|letter| letter.is_ascii_uppercase()) =>
        {
            // The fourth letter is the kind of holder; others occur in made-up examples, beside the word.
            push(Entity::InPan, if b"ABCFGHJLPT".contains(d) { Proof::Firm } else { Proof::Shape }, 5);
        }
        _ if run.len() == 16 => fiscal(text, start, end, out),
        _ => {}
    }
    driver_license(text, start, end, out);
    bitcoin(text, start, end, out);
}

fn all_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

fn nino_suffix(byte: u8) -> bool {
    matches!(byte.to_ascii_uppercase(), b'A'..=b'D')
}

/// Identifiers written with a hyphen before the check letter: `Y0513688-C`.
fn hyphened(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    let letter = text.at(end + 1);
    if text.at(end) != b'-' || !letter.is_ascii_alphabetic() || !text.closes(end + 2) {
        return;
    }
    if let [first, digits @ ..] = text.slice(start, end)
        && digits.len() == 7
        && all_digits(digits)
        && checks::nie(*first, digits, letter)
    {
        out.push(Candidate::new(Entity::EsNie, start, end + 2, Proof::Firm, 7));
    }
}

fn fiscal(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    let mut code = [0_u8; 16];
    code.copy_from_slice(text.slice(start, end));
    code.make_ascii_uppercase();
    if checks::fiscal_code(&code) {
        out.push(Candidate::new(Entity::ItFiscalCode, start, end, Proof::Sure, 8));
    }
}

/// State forms: one or two letters and digits. No check exists, so the shape is loose and needs its context word.
fn driver_license(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    let run = text.slice(start, end);
    let letters = run.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let digits = run.len() - letters;
    let plain = run.get(letters..).is_some_and(all_digits);
    if plain && matches!((letters, digits), (1, 4..=14) | (2, 5..=7) | (3, 5..=9)) {
        out.push(Candidate::new(Entity::UsDriverLicense, start, end, Proof::Shape, 2));
    }
}

/// A national insurance number written in pairs: the run is its first pair of digits.
pub(crate) fn nino_in_pairs(text: Text<'_>, digits_start: usize, out: &mut Candidates) {
    let Some(start) = digits_start.checked_sub(3) else { return };
    let (a, b) = (text.at(start), text.at(start + 1));
    if text.at(start + 2) != b' ' || !text.opens(start) || !checks::nino_prefix(a, b) {
        return;
    }
    let shape = b"00 00 00 A";
    let fits = shape.iter().enumerate().all(|(offset, kind)| {
        let byte = text.at(digits_start + offset);
        match kind {
            b'0' => byte.is_ascii_digit(),
            b' ' => byte == b' ',
            _ => nino_suffix(byte),
        }
    });
    let end = digits_start + shape.len();
    if fits && text.closes(end) {
        out.push(Candidate::new(Entity::UkNino, start, end, Proof::Firm, 6));
    }
}

fn bitcoin(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    let run = text.slice(start, end);
    let Ok(address) = std::str::from_utf8(run) else { return };
    let valid = match run {
        [b'1' | b'3', ..] if (26..=35).contains(&run.len()) => {
            bs58::decode(address).with_check(None).into_vec().is_ok_and(|payload| payload.len() == 21)
        }
        [b'b' | b'B', b'c' | b'C', b'1', ..] if (14..=62).contains(&run.len()) => {
            bech32::segwit::decode(address).is_ok_and(|(hrp, _, _)| hrp == bech32::hrp::BC)
        }
        _ => false,
    };
    if valid {
        out.push(Candidate::new(Entity::Crypto, start, end, Proof::Sure, 9));
    }
}

/// Driver's licences written in groups: `D123-4567-8901`, and passports are never so.
pub(crate) fn grouped_license(text: Text<'_>, start: usize, end: usize, out: &mut Candidates) {
    let run = text.slice(start, end);
    let [letter, digits @ ..] = run else { return };
    if !letter.is_ascii_uppercase()
        || !(2..=5).contains(&digits.len())
        || !all_digits(digits)
        || !text.opens(start)
    {
        return;
    }
    let mut cursor = end;
    let mut groups = 0;
    while text.at(cursor) == b'-' && groups < 4 {
        let stop = text.run(cursor + 1, 7, |byte| byte.is_ascii_digit());
        if stop == cursor + 1 {
            break;
        }
        cursor = stop;
        groups += 1;
    }
    if groups >= 2 && ends(text, cursor) {
        out.push(Candidate::new(Entity::UsDriverLicense, start, cursor, Proof::Shape, 2));
    }
}
