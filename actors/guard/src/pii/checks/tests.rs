//! Known numbers of every kind, and what a changed digit does.

use super::*;

#[test]
fn known_numbers_pass_and_a_changed_digit_fails() {
    type Check = fn(&[u8]) -> bool;
    let table: &[(&str, Check, &[u8])] = &[
        ("card", credit_card, b"4111111111111111"),
        ("card", credit_card, b"378282246310005"),
        ("card", credit_card, b"2223003122003222"),
        ("iban", mod97, b"GB82WEST12345698765432"),
        ("nhs", nhs, b"9434765919"),
        ("vat", it_vat, b"01333550323"),
        ("tax id", de_tax_id, b"86095742719"),
        ("bsn", bsn, b"111222333"),
        ("pesel", pesel, b"44051401359"),
        ("personnummer", personnummer, b"8112289874"),
        ("abn", abn, b"51824753556"),
        ("acn", acn, b"004085616"),
        ("tfn", tfn, b"123456782"),
        ("medicare", au_medicare, b"2123456701"),
        ("aadhaar", aadhaar, b"399876543211"),
        ("dea", dea, b"1388568"),
    ];
    for (name, check, valid) in table {
        assert!(check(valid), "{name} {}", String::from_utf8_lossy(valid));
        let mut wrong = valid.to_vec();
        if *name != "medicare" {
            let last = wrong.len() - 1;
            wrong[last] = if wrong[last] == b'9' { b'0' } else { wrong[last] + 1 };
        } else {
            wrong[8] = b'9';
        }
        assert!(!check(&wrong), "{name} {}", String::from_utf8_lossy(&wrong));
    }
}

#[test]
fn letters_and_dates_are_checked() {
    assert!(nif(b"12345678", b'Z') && !nif(b"12345678", b'A'));
    assert!(nie(b'X', b"9613851", b'N') && !nie(b'W', b"9613851", b'N'));
    assert!(fiscal_code(b"RSSMRA85T10A562S") && !fiscal_code(b"RSSMRA85T10A562T"));
    assert!(nir(b"255081416802538") && !nir(b"255081416802539"));
    assert!(hetu(b"131052", b"308", b'T') && !hetu(b"131352", b"308", b'T'));
    assert!(nric(b'S', b"1234567", b'D') && !nric(b'S', b"1234567", b'E'));
    assert!(nino_prefix(b'A', b'B') && !nino_prefix(b'B', b'G') && !nino_prefix(b'A', b'O'));
    assert!(ssn(b"536901234") && !ssn(b"666901234") && !ssn(b"536001234"));
    assert!(itin(b"911701234") && !itin(b"911891234"));
}

#[test]
fn github_checksum_matches_a_token_built_by_the_published_rule() {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ".to_vec();
    let mut crc = crc32fast::hash(&body);
    let mut check = Vec::new();
    for _ in 0..6 {
        check.push(ALPHABET[(crc % 62) as usize]);
        crc /= 62;
    }
    check.reverse();
    let token = [body, check].concat();
    assert!(github_crc(&token));
    assert!(!github_crc(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ000000"));
}

proptest::proptest! {
    #[test]
    fn no_check_panics_on_any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
        for check in [luhn, credit_card, mod97, ssn, itin, nhs, fiscal_code, it_vat, de_tax_id, nir, bsn, pesel,
            personnummer, abn, acn, tfn, au_medicare, aadhaar, dea, github_crc] {
            check(&bytes);
        }
        entropy(&bytes);
    }
}
