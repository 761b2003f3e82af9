//! Check digits and other arithmetic that tells a real number from a look-alike.
//!
//! Every function takes ASCII bytes and answers `false` for a shape it does not expect, so callers may be loose.

/// Returns the value of an ASCII digit; other bytes count as zero (callers have checked the shape).
fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0').min(9))
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(byte, weight)| digit(*byte) * weight).sum()
}

fn all_same(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair.first() == pair.last())
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, byte| sum.wrapping_mul(10).wrapping_add(u64::from(digit(*byte))))
}

/// Luhn's sum over the digits, doubling every second one from the right.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, byte)| match (index % 2, digit(*byte)) {
            (0, value) => value,
            (_, value) if value > 4 => value * 2 - 9,
            (_, value) => value * 2,
        })
        .sum();
    digits.len() > 1 && sum.is_multiple_of(10)
}

/// Payment card: issuer range, the lengths that range is issued in, Luhn.
pub(crate) fn credit_card(digits: &[u8]) -> bool {
    let length = digits.len();
    let prefix = |count: usize| digits.get(..count).map_or(0, number);
    let issued = match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        (4, ..) => matches!(length, 13 | 16 | 19),
        (_, 51..=55, ..) | (_, _, _, 2221..=2720) => length == 16,
        (_, 34 | 37, ..) => length == 15,
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => (14..=16).contains(&length),
        (_, 65, ..) | (_, _, 644..=649, _) | (_, _, _, 6011) => matches!(length, 16 | 19),
        (_, _, _, 3528..=3589) => matches!(length, 16 | 19),
        (_, 62, ..) => (16..=19).contains(&length),
        (_, 50 | 56..=58, ..) => false,
        _ => false,
    };
    issued && !all_same(digits) && luhn(digits)
}

/// ISO 7064 mod 97 over an IBAN written without blanks, upper case.
pub(crate) fn mod97(iban: &[u8]) -> bool {
    let Some((head, tail)) = iban.split_at_checked(4) else { return false };
    let remainder = tail.iter().chain(head).try_fold(0_u32, |remainder, byte| match byte {
        b'0'..=b'9' => Some((remainder * 10 + digit(*byte)) % 97),
        b'A'..=b'Z' => Some((remainder * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    });
    remainder == Some(1)
}

/// United States social security number, 9 digits: the ranges that were ever given out.
pub(crate) fn ssn(digits: &[u8]) -> bool {
    let Ok([a, b, c, d, e, f, g, h, i]) = <[u8; 9]>::try_from(digits) else { return false };
    let (area, group, serial) = (number(&[a, b, c]), number(&[d, e]), number(&[f, g, h, i]));
    !matches!(area, 0 | 666 | 900..)
        && group != 0
        && serial != 0
        && !matches!(digits, b"078051120" | b"219099999")
}

/// Individual taxpayer number, 9 digits starting with 9.
pub(crate) fn itin(digits: &[u8]) -> bool {
    digits.len() == 9
        && digits.first() == Some(&b'9')
        && matches!(digits.get(3..5).map_or(0, number), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// NHS number, 10 digits.
pub(crate) fn nhs(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let expected = 11 - weighted(body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    digits.len() == 10 && !all_same(digits) && expected % 11 == digit(*check) && expected != 10
}

/// Letter of a Spanish NIF for its number.
pub(crate) fn nif(digits: &[u8], letter: u8) -> bool {
    let index = usize::try_from(number(digits) % 23).unwrap_or(0);
    b"TRWAGMYFPDXBNJZSQVHLCKE".get(index) == Some(&letter.to_ascii_uppercase())
}

/// Spanish NIE: X, Y or Z stand for 0, 1 and 2 before the seven digits.
pub(crate) fn nie(first: u8, digits: &[u8], letter: u8) -> bool {
    let lead = first.to_ascii_uppercase().wrapping_sub(b'X').wrapping_add(b'0');
    let mut all = [0; 8];
    let Some((slot, rest)) = all.split_first_mut() else { return false };
    if digits.len() != rest.len() || !(b'0'..=b'2').contains(&lead) {
        return false;
    }
    *slot = lead;
    rest.copy_from_slice(digits);
    nif(&all, letter)
}

/// Italian personal code, 16 upper-case characters, shape and check letter; omocodia letters count as digits.
pub(crate) fn fiscal_code(code: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let value =
        |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') });
    let Some((check, body)) = code.split_last() else { return false };
    let shaped = code.len() == 16
        && code.iter().enumerate().all(|(index, byte)| match index {
            6 | 7 | 9 | 10 | 12..=14 => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(byte),
            8 => b"ABCDEHLMPRST".contains(byte),
            _ => byte.is_ascii_uppercase(),
        });
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(index, byte)| match index % 2 {
            0 => ODD.get(value(*byte) as usize).copied().unwrap_or(0),
            _ => value(*byte),
        })
        .sum();
    shaped && sum % 26 == value(*check)
}

/// Italian VAT number, 11 digits.
pub(crate) fn it_vat(digits: &[u8]) -> bool {
    digits.len() == 11 && !all_same(digits) && luhn(digits)
}

/// German tax id, 11 digits: ISO 7064 mod 11,10 and one digit that repeats among the first ten.
pub(crate) fn de_tax_id(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let mut counts = [0_u8; 10];
    for byte in body {
        if let Some(count) = counts.get_mut(digit(*byte) as usize) {
            *count += 1;
        }
    }
    // The current rule wants exactly one digit twice or thrice; ids issued before 2016 may use every digit once in the
    // published examples, so a body without a repeat passes too.
    let repeated = counts.iter().filter(|count| **count > 1).count();
    let product = body.iter().fold(10_u32, |product, byte| {
        let sum = (product + digit(*byte)) % 10;
        (if sum == 0 { 10 } else { sum } * 2) % 11
    });
    digits.len() == 11
        && digits.first() != Some(&b'0')
        && repeated <= 1
        && counts.iter().all(|count| *count <= 3)
        && (11 - product) % 10 == digit(*check)
}

/// French social security number: 13 characters (a Corsican department as `2A` or `2B`) and 2 check digits.
pub(crate) fn nir(code: &[u8]) -> bool {
    let Some((body, key)) = code.split_at_checked(13) else { return false };
    if key.len() != 2 || !key.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let mut digits = [0_u8; 13];
    digits.copy_from_slice(body);
    let mut corsica = 0;
    if let Some(slot) = digits.get_mut(6) {
        corsica = match *slot {
            b'A' => 1_000_000,
            b'B' => 2_000_000,
            _ => 0,
        };
        if corsica > 0 {
            *slot = b'0';
        }
    }
    if !digits.iter().all(u8::is_ascii_digit) || (corsica > 0 && body.get(5) != Some(&b'2')) {
        return false;
    }
    let month = digits.get(3..5).map_or(0, number);
    matches!(digits.first(), Some(b'1' | b'2' | b'3' | b'4' | b'7' | b'8'))
        && matches!(month, 1..=12 | 20..=42 | 50..=99)
        && 97 - (number(&digits) - corsica) % 97 == number(key)
}

/// Dutch citizen number, 9 digits.
pub(crate) fn bsn(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let sum = weighted(body, &[9, 8, 7, 6, 5, 4, 3, 2]);
    digits.len() == 9 && !all_same(digits) && sum % 11 == digit(*check) && sum > 0
}

/// Polish PESEL, 11 digits: check digit and a date whose month carries the century.
pub(crate) fn pesel(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    let month = digits.get(2..4).map_or(0, number) % 20;
    let day = digits.get(4..6).map_or(0, number);
    digits.len() == 11 && sum.is_multiple_of(10) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Swedish personal number, 10 digits (a coordination number has 60 added to the day).
pub(crate) fn personnummer(digits: &[u8]) -> bool {
    let month = digits.get(2..4).map_or(0, number);
    let day = digits.get(4..6).map_or(0, number);
    digits.len() == 10
        && (1..=12).contains(&month)
        && ((1..=31).contains(&day) || (61..=91).contains(&day))
        && luhn(digits)
}

/// Finnish personal code: six digits of the date, three of the individual, and the check character.
pub(crate) fn hetu(date: &[u8], individual: &[u8], check: u8) -> bool {
    let day = date.get(..2).map_or(0, number);
    let month = date.get(2..4).map_or(0, number);
    let value = number(date) * 1000 + number(individual);
    date.len() == 6
        && individual.len() == 3
        && (1..=31).contains(&day)
        && (1..=12).contains(&month)
        && b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(usize::try_from(value % 31).unwrap_or(0))
            == Some(&check.to_ascii_uppercase())
}

/// Australian business number, 11 digits.
pub(crate) fn abn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    // One is taken from the first digit before weighing; ten is its weight.
    digits.len() == 11 && digits.first() != Some(&b'0') && !all_same(digits) && sum % 89 == 10
}

/// Australian company number, 9 digits.
pub(crate) fn acn(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let sum = weighted(body, &[8, 7, 6, 5, 4, 3, 2, 1]);
    digits.len() == 9 && !all_same(digits) && (10 - sum % 10) % 10 == digit(*check)
}

/// Australian tax file number, 9 digits.
pub(crate) fn tfn(digits: &[u8]) -> bool {
    digits.len() == 9
        && !all_same(digits)
        && weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

/// Australian Medicare card, 10 digits and an optional reference number.
pub(crate) fn au_medicare(digits: &[u8]) -> bool {
    let sum = weighted(digits.get(..8).unwrap_or(&[]), &[1, 3, 7, 9, 1, 3, 7, 9]);
    matches!(digits.len(), 10 | 11)
        && matches!(digits.first(), Some(b'2'..=b'6'))
        && digits.get(8).is_some_and(|check| digit(*check) == sum % 10)
}

/// Indian Aadhaar, 12 digits: Verhoeff's check over the dihedral group of order ten.
pub(crate) fn aadhaar(digits: &[u8]) -> bool {
    const PERMUTE: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    // Multiplication in D5: rotations are 0..5, reflections 5..10.
    let multiply = |left: u8, right: u8| match (left < 5, right < 5) {
        (true, true) => (left + right) % 5,
        (true, false) => 5 + (left + right) % 5,
        (false, true) => 5 + (left + 5 - right) % 5,
        (false, false) => (left + 5 - right) % 5,
    };
    let check = digits.iter().rev().enumerate().fold(0_u8, |check, (index, byte)| {
        let permuted =
            PERMUTE.get(index % 8).and_then(|row| row.get(digit(*byte) as usize)).copied().unwrap_or(0);
        multiply(check, permuted)
    });
    let palindrome = digits.iter().eq(digits.iter().rev());
    digits.len() == 12 && matches!(digits.first(), Some(b'2'..=b'9')) && !palindrome && check == 0
}

/// Singaporean NRIC or FIN: series letter, seven digits, check letter.
pub(crate) fn nric(series: u8, digits: &[u8], letter: u8) -> bool {
    let series = series.to_ascii_uppercase();
    let offset = match series {
        b'T' | b'G' => 4,
        b'M' => 3,
        _ => 0,
    };
    let index = ((weighted(digits, &[2, 7, 6, 5, 4, 3, 2]) + offset) % 11) as usize;
    let table: &[u8; 11] = match series {
        b'S' | b'T' => b"JZIHGFEDCBA",
        b'F' | b'G' => b"XWUTRQPNMLK",
        b'M' => b"XWUTRQPNJLK",
        _ => return false,
    };
    let expected = if series == b'M' { table.get(10 - index) } else { table.get(index) };
    digits.len() == 7
        && (expected == Some(&letter.to_ascii_uppercase())
            // Both orders of the M table are in use by public checkers.
            || (series == b'M' && table.get(index) == Some(&letter.to_ascii_uppercase())))
}

/// DEA number: seven digits after its two letters.
pub(crate) fn dea(digits: &[u8]) -> bool {
    let Ok([a, b, c, d, e, f, check]) = <[u8; 7]>::try_from(digits) else { return false };
    let sum = digit(a) + digit(c) + digit(e) + 2 * (digit(b) + digit(d) + digit(f));
    sum % 10 == digit(check)
}

/// National insurance number: its two prefix letters.
pub(crate) fn nino_prefix(first: u8, second: u8) -> bool {
    let (first, second) = (first.to_ascii_uppercase(), second.to_ascii_uppercase());
    first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(&first)
        && !b"DFIQUVO".contains(&second)
        && !matches!(&[first, second], b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ")
}

/// Shannon entropy in bits per character.
pub(crate) fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in value.iter().take(512) {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = value.len().clamp(1, 512) as f32;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f32::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

/// Base-62 rendering of the CRC-32 that ends GitHub's tokens (GitHub engineering blog, 2021-04-05).
pub(crate) fn github_crc(token: &[u8]) -> bool {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some((body, check)) = token.split_at_checked(token.len().saturating_sub(6)) else { return false };
    let mut crc = crc32fast::hash(body);
    check.iter().rev().all(|byte| {
        let expected = ALPHABET.get((crc % 62) as usize);
        crc /= 62;
        expected == Some(byte)
    })
}

#[cfg(test)]
mod tests;
