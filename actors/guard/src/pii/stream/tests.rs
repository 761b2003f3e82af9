//! The stream's promise, checked against redacting the whole text at every way of cutting it.

use proptest::prelude::*;

use super::*;
use crate::pii::{PatternConfig, PiiConfig, redact_findings};

/// One value of every kind, with the words it needs.
const SAMPLES: &[(&str, &str)] = &[
    ("", "ann.lee+x@corp.example.co.uk"),
    ("", "+49 (0)89 5782016"),
    ("call ", "(415) 555-0132"),
    ("", "415-555-0132"),
    ("", "06 12 52 42 02"),
    ("mobile: ", "333 5651628"),
    ("", "4111 1111 1111 1111"),
    ("", "378282246310005"),
    ("", "3782 822463 10005"),
    ("", "GB82 WEST 1234 5698 7654 32"),
    ("", "IT60X0542811101000000123456"),
    ("", "536-90-1234"),
    ("ssn ", "536901234"),
    ("", "911-70-1234"),
    ("passport number ", "C25699957"),
    ("driver license ", "D1234567"),
    ("account number ", "979176564245"),
    ("", "132.198.20.229"),
    ("", "2001:db8::1"),
    ("", "28:21:b8:e4:74:1b"),
    ("", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"),
    ("nhs no ", "943 476 5919"),
    ("", "AB 12 34 56 C"),
    ("", "12345678Z"),
    ("", "X9613851N"),
    ("", "RSSMRA85T10A562S"),
    ("P.IVA ", "01333550323"),
    ("Steuer-ID ", "86 095 742 719"),
    ("", "2 55 08 14 168 025 38"),
    ("BSN ", "111222333"),
    ("PESEL ", "44051401359"),
    ("", "811228-9874"),
    ("", "131052-308T"),
    ("", "51 824 753 556"),
    ("ACN ", "004 085 616"),
    ("TFN ", "123456782"),
    ("medicare ", "2123 45670 1"),
    ("", "3998-7654-3211"),
    ("", "ABBPM4567S"),
    ("", "S1234567D"),
    ("DEA number ", "BB1388568"),
    ("", "sk-proj-a8Fj2kLm9QpXz7Rt4Vw1Yb6Nc3Hd5Gs0EuTiOaWq2ZxCvB"),
    ("", "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"),
    ("", "AKIADPL4YKUAF3S4JS7Q"),
    (
        "",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI4NTE3ODY2NjU1In0.AB1rj1hOIZPI_q00v9jJyETPxnlA-lcJIm5P0A_PpTW",
    ),
    (
        "",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq3kJ2fYx0vQmWz\nq8Zt1LrPn5cHd9GuEoXyIvKbTjMsRwNa\n-----END RSA PRIVATE KEY-----",
    ),
    ("mysql://root:", "wreWTCJLZDHgT2vA@10.0.0.5"),
    ("Authorization: Basic ", "c3ZjX3Rza3lxcDpMd2ZITUZlczAyWTRrRw=="),
    ("DB_PASSWORD=", "Tr0ub4dor&3x!"),
    ("\"apiKey\": \"", "8d68728d0af90b33258332da478f93bb\""),
    ("curl -u ", "elastic:P@ssw0rd1"),
    ("", "1964201541:AAa3eQscQns5gDGYttPENv4gyzkdUc2FBUk"),
    ("", "https://hooks.slack.com/services/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"),
];

fn engine() -> Arc<PiiEngine> {
    Arc::new(PiiEngine::new(&PiiConfig { entities: vec!["all".to_owned()], ..PiiConfig::default() }).unwrap())
}

fn whole(engine: &PiiEngine, text: &str) -> String {
    redact_findings(text, &engine.scan(text), &mut Vault::new(), Origin::Model).text.into_owned()
}

fn options(engine: &Arc<PiiEngine>) -> StreamOptions {
    StreamOptions { redact: Some(Arc::clone(engine)), restore: false, json: false }
}

fn streamed<'p>(engine: &Arc<PiiEngine>, pieces: impl IntoIterator<Item = &'p str>) -> String {
    let mut vault = Vault::new();
    let mut stream = TextStream::new(options(engine));
    let mut out = String::new();
    for piece in pieces {
        out.push_str(&stream.push(piece, &mut vault));
    }
    out.push_str(&stream.flush(&mut vault));
    out
}

#[test]
fn every_sample_is_found_in_a_whole_text() {
    let engine = engine();
    for (label, value) in SAMPLES {
        let masked = whole(&engine, &format!("Well then: {label}{value} and so on"));
        assert!(!masked.contains(value), "{label}{value}: {masked}");
    }
}

#[test]
fn every_kind_is_masked_at_every_split() {
    let engine = engine();
    for (label, value) in SAMPLES {
        for (before, after) in
            [("Well then: ", " and so on"), ("", ""), ("x\n", "\ny"), ("(", ") ok"), ("a ", ". B")]
        {
            let text = format!("{before}{label}{value}{after}");
            let expected = whole(&engine, &text);
            for at in 0..=text.len() {
                let (left, right) = text.split_at(at);
                assert_eq!(streamed(&engine, [left, right]), expected, "{left}|{right}");
            }
            assert_eq!(streamed(&engine, (0..text.len()).map(|at| &text[at..=at])), expected, "{text}");
        }
    }
}

#[test]
fn every_kind_is_masked_at_every_offset_of_a_long_text() {
    let engine = engine();
    let filler = "The report lists what was done, and why it took so long to get there. ".repeat(14);
    for (index, (label, value)) in SAMPLES.iter().enumerate() {
        for offset in (index % 7..filler.len()).step_by(97) {
            let text = format!("{} {label}{value} {}", &filler[..offset], &filler[offset..]);
            let expected = whole(&engine, &text);
            let pieces: Vec<&str> =
                text.as_bytes().chunks(5).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            assert_eq!(streamed(&engine, pieces), expected);
        }
    }
}

#[test]
fn prose_is_sent_at_once_but_for_its_last_word() {
    let engine = engine();
    let mut vault = Vault::new();
    let mut stream = TextStream::new(options(&engine));
    assert_eq!(stream.push("Hello, I can help ", &mut vault), "Hello, I can help ");
    assert_eq!(stream.push("you with tha", &mut vault), "you with ");
    assert_eq!(stream.push("t. Please", &mut vault), "that. ");
    assert_eq!(stream.push(" wait", &mut vault), "Please ");
    assert_eq!(stream.deadline(&mut vault), "wait");
    assert_eq!(stream.held(), 0);
}

#[test]
fn deadline_keeps_what_looks_like_a_value_and_masks_the_rest_of_a_name() {
    let engine = engine();
    let mut vault = Vault::new();
    let mut stream = TextStream::new(options(&engine));
    assert_eq!(stream.push("card 4111 1111", &mut vault), "card ");
    assert_eq!(stream.deadline(&mut vault), "");
    assert_eq!(stream.push(" 1111 1111 ", &mut vault), "");
    assert_eq!(stream.flush(&mut vault), "[CREDIT_CARD_1] ");
    let mut stream = TextStream::new(options(&engine));
    assert_eq!(stream.push("write to john", &mut vault), "write to ");
    assert_eq!(stream.deadline(&mut vault), "john");
    let mut rest = stream.push(".smith@corp.example.com now", &mut vault);
    rest.push_str(&stream.flush(&mut vault));
    assert_eq!(rest, "[EMAIL_ADDRESS_1] now");
}

#[test]
fn held_back_bytes_are_bounded_and_nothing_is_lost() {
    let engine = engine();
    for text in [
        "-----BEGIN PRIVATE KEY-----\n".to_owned() + &"Ab1/".repeat(12_000),
        "415-555-0132 ".repeat(4_000),
        "a".repeat(60_000),
        "12 ".repeat(12_000),
    ] {
        let mut vault = Vault::new();
        let mut stream = TextStream::new(options(&engine));
        let mut out = String::new();
        for piece in text.as_bytes().chunks(997) {
            out.push_str(&stream.push(std::str::from_utf8(piece).unwrap(), &mut vault));
            assert!(stream.held() <= MAX_HELD + 997);
        }
        out.push_str(&stream.flush(&mut vault));
        assert!(!out.is_empty());
    }
}

#[test]
fn key_block_that_begins_twice_and_talk_about_key_blocks_are_settled_alike() {
    let engine = engine();
    let block =
        SAMPLES.iter().map(|(_, value)| *value).find(|value| value.starts_with("-----BEGIN")).unwrap();
    for text in [
        format!("{}{block}", &block[..70]),
        format!("It begins with -----BEGIN PRIVATE KEY----- and {block} follows"),
    ] {
        assert_eq!(streamed(&engine, (0..text.len()).map(|at| &text[at..=at])), whole(&engine, &text));
    }
    let mut vault = Vault::new();
    let mut stream = TextStream::new(options(&engine));
    let out = stream.push("It begins with -----BEGIN PRIVATE KEY----- and then goes up ", &mut vault);
    assert!(out.ends_with("goes up "), "{out}");
}

#[test]
fn rows_of_numbers_are_not_held_back() {
    let engine = engine();
    let mut vault = Vault::new();
    let mut stream = TextStream::new(options(&engine));
    let mut sent = 0;
    for index in 0..400 {
        sent += stream.push(&format!("{}.{} ", index % 7, index * 37 % 1000), &mut vault).len();
        assert!(stream.held() <= 96, "{} held after {sent}", stream.held());
    }
}

#[test]
fn callers_values_come_back_and_the_models_own_stay_masked() {
    let engine = engine();
    let mut vault = Vault::new();
    let mask = vault.mask(&Entity::EmailAddress, "ann@corp.example.com", Origin::Caller);
    let text = format!(
        "Wrote to {mask}, ann@corp.example.com, and to bob@else.example.com; [EMAIL\\_ADDRESS\\_1] [US_SSN_9]"
    );
    let expected = "Wrote to ann@corp.example.com, ann@corp.example.com, and to [EMAIL_ADDRESS_2]; ann@corp.example.com [US_SSN_9]";
    for size in 1..=text.len() {
        let mut vault_copy = Vault::new();
        vault_copy.mask(&Entity::EmailAddress, "ann@corp.example.com", Origin::Caller);
        let mut stream = TextStream::new(StreamOptions { restore: true, ..options(&engine) });
        let mut out = String::new();
        for piece in text.as_bytes().chunks(size) {
            out.push_str(&stream.push(std::str::from_utf8(piece).unwrap(), &mut vault_copy));
        }
        out.push_str(&stream.flush(&mut vault_copy));
        assert_eq!(out, expected, "pieces of {size}");
    }
}

#[test]
fn json_arguments_stay_json_at_every_split() {
    let engine = engine();
    let text = r#"{"to":"bob@else.example.com","note":"line\n4111 1111 1111 1111\tend","card":4111111111111111,"who":"[PERSON_1]"}"#;
    for size in 1..=text.len() {
        let mut vault = Vault::new();
        vault.mask(&Entity::Person, "Ann \"A\" Lee", Origin::Caller);
        let mut stream = TextStream::new(StreamOptions { restore: true, json: true, ..options(&engine) });
        let mut out = String::new();
        for piece in text.as_bytes().chunks(size) {
            out.push_str(&stream.push(std::str::from_utf8(piece).unwrap(), &mut vault));
        }
        out.push_str(&stream.flush(&mut vault));
        let value: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        assert_eq!(value["to"], "[EMAIL_ADDRESS_1]");
        assert_eq!(value["note"], "line\n[CREDIT_CARD_1]\tend");
        assert_eq!(value["card"], "[CREDIT_CARD_2]");
        assert_eq!(value["who"], "Ann \"A\" Lee");
    }
}

fn fragment() -> impl Strategy<Value = String> {
    let sample = (0..SAMPLES.len()).prop_map(|index| format!("{}{}", SAMPLES[index].0, SAMPLES[index].1));
    let cut = ((0..SAMPLES.len()), 0.0..1.0_f64).prop_map(|(index, share)| {
        let value = SAMPLES[index].1;
        value[..(value.len() as f64 * share) as usize].to_owned()
    });
    let word = prop::sample::select(vec![
        "the", "order", "is", "Password", "token", "ID", "a", "my", "NHS", "call", "żółw", "😀", "IBAN",
        "at", "key", "http", "x",
    ]);
    prop_oneof![
        3 => sample,
        2 => cut,
        3 => word.prop_map(str::to_owned),
        2 => "[0-9]{1,6}",
        2 => prop::sample::select(vec![" ", "  ", "\n", ": ", "=", ", ", ".", "-", "/", "@", "\"", "(", ")", ":", "+", "_", "[", "]", "://"]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9 .@:/+-]{1,12}",
    ]
}

fn cuts(text: &str, sizes: &[usize]) -> Vec<String> {
    let mut chars = text.chars().peekable();
    let mut sizes = sizes.iter().cycle();
    let mut pieces = Vec::new();
    while chars.peek().is_some() {
        let size = sizes.next().copied().unwrap_or(1).max(1);
        pieces.push(chars.by_ref().take(size).collect());
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
    ))]

    #[test]
    fn stream_equals_whole_for_any_text_and_split(
        fragments in prop::collection::vec(fragment(), 1..24),
        separated in any::<bool>(),
        sizes in prop::collection::vec(1_usize..24, 1..8),
    ) {
        let engine = test_engine();
        let text = fragments.join(if separated { " " } else { "" });
        let pieces = cuts(&text, &sizes);
        prop_assert_eq!(streamed(engine, pieces.iter().map(String::as_str)), whole(engine, &text));
    }

    #[test]
    fn any_text_is_scanned_without_panic_and_in_order(text in "\\PC{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let engine = test_engine();
        for text in [text.as_str(), &String::from_utf8_lossy(&bytes)] {
            let findings = engine.scan(text);
            for pair in findings.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
            for finding in &findings {
                prop_assert!(text.get(finding.start..finding.end).is_some_and(|value| !value.is_empty()));
            }
            let pieces = cuts(text, &[3, 1, 7]);
            prop_assert_eq!(streamed(engine, pieces.iter().map(String::as_str)), whole(engine, text));
        }
    }

    #[test]
    fn restoring_undoes_redacting(fragments in prop::collection::vec(fragment(), 1..16)) {
        let engine = test_engine();
        let text = fragments.join(" ") + " [EMAIL_ADDRESS_1] [LITERAL_1]";
        let mut vault = Vault::new();
        let redaction = crate::pii::redact(engine, &text, &mut vault);
        prop_assert_eq!(&crate::pii::restore(&redaction.text, &vault), &text);
        let again = crate::pii::redact(engine, "[EMAIL_ADDRESS_2] [US_SSN_1] [SECRET_1]", &mut vault);
        prop_assert_eq!(crate::pii::restore(&again.text, &vault), "[EMAIL_ADDRESS_2] [US_SSN_1] [SECRET_1]");
    }
}

fn test_engine() -> &'static Arc<PiiEngine> {
    static ENGINE: std::sync::OnceLock<Arc<PiiEngine>> = std::sync::OnceLock::new();
    ENGINE.get_or_init(engine)
}

fn engine_with_patterns() -> &'static Arc<PiiEngine> {
    static ENGINE: std::sync::OnceLock<Arc<PiiEngine>> = std::sync::OnceLock::new();
    ENGINE.get_or_init(|| {
        let pattern = |name: &str, pattern: &str| PatternConfig {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            score: 0.9,
        };
        let patterns = vec![
            pattern("TICKET", r"\bTK-[0-9]{3,5}\b"),
            pattern("SALUTATION", r"(?m)^Dear [A-Z][a-z]{1,10}( [A-Z][a-z]{1,10})?$"),
        ];
        Arc::new(PiiEngine::new(&PiiConfig { patterns, ..PiiConfig::default() }).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn stream_equals_whole_with_patterns_of_the_operator(
        fragments in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec!["TK-1234", "TK-12", "Dear Ann", "Dear Ann Lee", "\n", " ", "x", "a@b.de", "-"])
                    .prop_map(str::to_owned),
                "[A-Za-z0-9 ]{1,6}",
            ],
            1..16,
        ),
        sizes in prop::collection::vec(1_usize..12, 1..6),
    ) {
        let engine = engine_with_patterns();
        let text = fragments.concat();
        let pieces = cuts(&text, &sizes);
        prop_assert_eq!(streamed(engine, pieces.iter().map(String::as_str)), whole(engine, &text));
    }

    #[test]
    fn streamed_json_stays_json_and_equals_one_piece(
        fragments in prop::collection::vec(fragment(), 1..12),
        number in 4_111_111_111_111_100_u64..4_111_111_111_111_120,
        sizes in prop::collection::vec(1_usize..16, 1..6),
    ) {
        let text = serde_json::json!({"text": fragments.join(" "), "card": number, "list": fragments}).to_string();
        let options = StreamOptions { redact: Some(Arc::clone(test_engine())), restore: true, json: true };
        let (expected, _) = TextStream::whole(options.clone(), &text, &mut Vault::new());
        prop_assert!(serde_json::from_str::<serde_json::Value>(&expected).is_ok(), "{}", expected);
        let mut vault = Vault::new();
        let mut stream = TextStream::new(options);
        let mut out: String = cuts(&text, &sizes).iter().map(|piece| stream.push(piece, &mut vault)).collect();
        out.push_str(&stream.flush(&mut vault));
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn deadlines_send_no_value_and_lose_no_other_text(
        index in 0..SAMPLES.len(),
        sizes in prop::collection::vec(1_usize..9, 1..6),
    ) {
        let (label, value) = SAMPLES[index];
        let text = format!("Well then: {label}{value} and so on");
        let mut vault = Vault::new();
        let mut stream = TextStream::new(options(test_engine()));
        let mut out = String::new();
        for piece in cuts(&text, &sizes) {
            out.push_str(&stream.push(&piece, &mut vault));
            out.push_str(&stream.deadline(&mut vault));
        }
        out.push_str(&stream.flush(&mut vault));
        prop_assert!(!out.contains(value), "{}", out);
        prop_assert!(out.starts_with("Well then: ") && out.ends_with(" and so on"), "{}", out);
    }
}
