//! Identifiers made of digits, bare or in groups.
//!
//! Called once for each digit run. Formatted spellings prove more than bare ones: a bare number of nine digits passes the
//! check of some country more often than not, so it needs a context word ([`Proof::Checked`], [`Proof::Shape`]).

use super::candidate::{Candidate, Candidates, Proof};
use super::checks;
use super::entity::Entity;
use super::groups::{Groups, begins, ends};
use super::text::Text;

const BLANK_OR_HYPHEN: &[u8] = b" -";

/// Looks for every number that begins at `start`, the first digit of a run.
pub(crate) fn locate(text: Text<'_>, start: usize, groups: &Groups, out: &mut Candidates) {
    if !begins(text, start) {
        return;
    }
    let mut scribe = Scribe { text, start, out };
    match groups.lengths().first() {
        Some(length) if *length >= 6 => bare(&mut scribe, groups, usize::from(*length)),
        _ => {}
    }
    card(&mut scribe, groups);
    grouped(&mut scribe, groups);
    french(&mut scribe);
    with_letter(&mut scribe, groups);
}

struct Scribe<'a, 'o> {
    text: Text<'a>,
    start: usize,
    out: &'o mut Candidates,
}

impl Scribe<'_, '_> {
    fn push(&mut self, entity: Entity, end: usize, proof: Proof, rank: u8) {
        self.out.push(Candidate::new(entity, self.start, end, proof, rank));
    }
}

/// Numbers written without separators.
fn bare(scribe: &mut Scribe<'_, '_>, groups: &Groups, length: usize) {
    let end = groups.end(1);
    if !ends(scribe.text, end) {
        return;
    }
    let digits = groups.digits(length);
    let mut when = |fits: bool, entity: Entity, proof: Proof, rank: u8| {
        if fits {
            scribe.push(entity, end, proof, rank);
        }
    };
    match length {
        9 => {
            when(checks::ssn(digits), Entity::UsSsn, Proof::Checked, 2);
            when(checks::itin(digits), Entity::UsItin, Proof::Checked, 3);
            when(checks::bsn(digits), Entity::NlBsn, Proof::Checked, 5);
            when(checks::acn(digits), Entity::AuAcn, Proof::Checked, 4);
            when(checks::tfn(digits), Entity::AuTfn, Proof::Checked, 5);
            when(true, Entity::UsPassport, Proof::Shape, 2);
        }
        10 => {
            when(checks::nhs(digits), Entity::UkNhs, Proof::Checked, 5);
            when(checks::au_medicare(digits), Entity::AuMedicare, Proof::Checked, 4);
            when(checks::personnummer(digits), Entity::SePersonnummer, Proof::Checked, 6);
        }
        11 => {
            when(checks::it_vat(digits), Entity::ItVatCode, Proof::Checked, 3);
            when(checks::de_tax_id(digits), Entity::DeTaxId, Proof::Checked, 5);
            when(checks::pesel(digits), Entity::PlPesel, Proof::Checked, 6);
            when(checks::abn(digits), Entity::AuAbn, Proof::Checked, 7);
            when(checks::au_medicare(digits), Entity::AuMedicare, Proof::Checked, 2);
        }
        12 => {
            when(checks::aadhaar(digits), Entity::InAadhaar, Proof::Checked, 5);
            let century = matches!(digits.get(..2), Some(b"18" | b"19" | b"20"));
            let personal = century && digits.get(2..).is_some_and(checks::personnummer);
            when(personal, Entity::SePersonnummer, Proof::Checked, 6);
        }
        _ => {}
    }
    if (7..=12).contains(&length) {
        when(true, Entity::UsDriverLicense, Proof::Shape, 1);
    }
    if (8..=17).contains(&length) {
        when(true, Entity::UsBankNumber, Proof::Shape, 0);
    }
}

fn card(scribe: &mut Scribe<'_, '_>, groups: &Groups) {
    const SHAPES: &[&[u8]] = &[
        &[4, 4, 4, 4],
        &[4, 6, 5],
        &[4, 6, 4],
        &[4, 4, 4, 4, 3],
        &[4, 4, 4, 2],
        &[4, 4, 4, 3],
        &[13],
        &[14],
        &[15],
        &[16],
        &[17],
        &[18],
        &[19],
    ];
    for shape in SHAPES {
        let length = shape.iter().map(|group| usize::from(*group)).sum();
        if let Some(end) = groups.fits(scribe.text, shape, BLANK_OR_HYPHEN)
            && checks::credit_card(groups.digits(length))
        {
            scribe.push(Entity::CreditCard, end, Proof::Firm, 8);
        }
    }
}

/// Numbers written in the groups of their country.
fn grouped(scribe: &mut Scribe<'_, '_>, groups: &Groups) {
    type Row = (&'static [u8], &'static [u8], fn(&[u8]) -> bool, Entity, Proof, u8);
    const ROWS: &[Row] = &[
        (&[3, 2, 4], b"-", checks::ssn, Entity::UsSsn, Proof::Firm, 5),
        (&[3, 2, 4], b" .", checks::ssn, Entity::UsSsn, Proof::Checked, 5),
        (&[3, 6], b"-", checks::ssn, Entity::UsSsn, Proof::Checked, 1),
        (&[5, 4], b"-", checks::ssn, Entity::UsSsn, Proof::Checked, 1),
        (&[3, 2, 4], b"-", checks::itin, Entity::UsItin, Proof::Firm, 6),
        (&[3, 2, 4], b" ", checks::itin, Entity::UsItin, Proof::Checked, 6),
        (&[3, 6], b"-", checks::itin, Entity::UsItin, Proof::Checked, 2),
        (&[5, 4], b"-", checks::itin, Entity::UsItin, Proof::Checked, 2),
        (&[3, 3, 4], BLANK_OR_HYPHEN, checks::nhs, Entity::UkNhs, Proof::Checked, 5),
        (&[2, 3, 3, 3], b" ", checks::abn, Entity::AuAbn, Proof::Firm, 7),
        (&[2, 3, 3, 3], BLANK_OR_HYPHEN, checks::de_tax_id, Entity::DeTaxId, Proof::Checked, 5),
        (&[2, 3, 3, 3], b"/", checks::de_tax_id, Entity::DeTaxId, Proof::Checked, 5),
        (&[3, 3, 3], BLANK_OR_HYPHEN, checks::acn, Entity::AuAcn, Proof::Checked, 4),
        (&[3, 3, 3], BLANK_OR_HYPHEN, checks::tfn, Entity::AuTfn, Proof::Checked, 5),
        (&[4, 2, 3], b". ", checks::bsn, Entity::NlBsn, Proof::Checked, 5),
        (&[3, 3, 3], b". -", checks::bsn, Entity::NlBsn, Proof::Checked, 3),
        (&[4, 5, 1], BLANK_OR_HYPHEN, checks::au_medicare, Entity::AuMedicare, Proof::Checked, 6),
        (&[4, 5, 1, 1], BLANK_OR_HYPHEN, checks::au_medicare, Entity::AuMedicare, Proof::Checked, 7),
        (&[6, 4], b"-", checks::personnummer, Entity::SePersonnummer, Proof::Firm, 7),
    ];
    for (shape, separators, check, entity, proof, rank) in ROWS {
        let length = shape.iter().map(|group| usize::from(*group)).sum();
        if let Some(end) = groups.fits(scribe.text, shape, separators)
            && check(groups.digits(length))
        {
            scribe.push(entity.clone(), end, *proof, *rank);
        }
    }
    let continues = groups.lengths().get(3) == Some(&4) && groups.separator(2) == groups.separator(0);
    if let Some(end) = groups.fits(scribe.text, &[4, 4, 4], BLANK_OR_HYPHEN)
        && !continues
        && checks::aadhaar(groups.digits(12))
    {
        scribe.push(Entity::InAadhaar, end, Proof::Firm, 7);
    }
    if let Some(end) = groups.fits(scribe.text, &[8, 4], b"-")
        && matches!(groups.digits(2), b"19" | b"20")
        && groups.digits(12).get(2..).is_some_and(checks::personnummer)
    {
        scribe.push(Entity::SePersonnummer, end, Proof::Firm, 7);
    }
}

/// The French number has blanks in seven places and two letters in one, so it is read byte by byte.
fn french(scribe: &mut Scribe<'_, '_>) {
    // Sex, year, month, department, commune, order, key.
    const BREAKS: [usize; 6] = [1, 3, 5, 7, 10, 13];
    let text = scribe.text;
    if !matches!(text.at(scribe.start), b'1' | b'2' | b'7' | b'8') {
        return;
    }
    let mut code = [0_u8; 15];
    let mut cursor = scribe.start;
    for (index, slot) in code.iter_mut().enumerate() {
        if BREAKS.contains(&index) && matches!(text.at(cursor), b' ' | b'-' | b'.') {
            cursor += 1;
        }
        let byte = text.at(cursor).to_ascii_uppercase();
        if !(byte.is_ascii_digit() || (index == 6 && matches!(byte, b'A' | b'B'))) {
            return;
        }
        *slot = byte;
        cursor += 1;
    }
    if ends(text, cursor) && checks::nir(&code) {
        scribe.push(Entity::FrNir, cursor, Proof::Firm, 8);
    }
}

/// Digits that end in a check letter or have one as separator: NIF, Finnish code, Swedish code with a plus.
fn with_letter(scribe: &mut Scribe<'_, '_>, groups: &Groups) {
    let text = scribe.text;
    let Some(first) = groups.lengths().first().map(|length| usize::from(*length)) else { return };
    let end = groups.end(1);
    if matches!(first, 7 | 8) {
        let letter_at = if text.at(end) == b'-' { end + 1 } else { end };
        if text.at(letter_at).is_ascii_alphabetic()
            && text.closes(letter_at + 1)
            && checks::nif(groups.digits(first), text.at(letter_at))
        {
            // Seven digits want the hyphen: otherwise they are too common.
            let proof = if first == 8 || letter_at > end { Proof::Firm } else { Proof::Checked };
            scribe.push(Entity::EsNif, letter_at + 1, proof, 7);
        }
    }
    if first == 6 && text.at(end) == b'+' {
        let tail = text.run(end + 1, 5, |byte| byte.is_ascii_digit());
        let mut code = [0_u8; 10];
        let (head, rest) = code.split_at_mut(6);
        if tail == end + 5 && ends(text, tail) {
            head.copy_from_slice(groups.digits(6));
            rest.copy_from_slice(text.slice(end + 1, tail));
            if checks::personnummer(&code) {
                scribe.push(Entity::SePersonnummer, tail, Proof::Firm, 7);
            }
        }
    }
}

/// The Finnish code may follow letters directly (`code is030594W903B`), so it has its own left boundary.
pub(crate) fn finnish(text: Text<'_>, start: usize, run_end: usize, out: &mut Candidates) {
    // The hyphen, the plus and A-F, U-Y tell the century.
    let separator = text.at(run_end).to_ascii_uppercase();
    if run_end - start != 6 || !(matches!(separator, b'-' | b'+') || b"ABCDEFUVWXY".contains(&separator)) {
        return;
    }
    let individual_end = text.run(run_end + 1, 4, |byte| byte.is_ascii_digit());
    let length = individual_end - run_end - 1;
    // The check character may itself be a digit.
    let check_at = run_end + 4;
    if length < 3 || !text.at(check_at).is_ascii_alphanumeric() || !text.closes(check_at + 1) {
        return;
    }
    if matches!(text.before(start, 1), b'-' | b'.' | b'/' | b'_') {
        return;
    }
    if checks::hetu(text.slice(start, run_end), text.slice(run_end + 1, check_at), text.at(check_at)) {
        out.push(Candidate::new(Entity::FiPersonalIdentityCode, start, check_at + 1, Proof::Firm, 8));
    }
}
