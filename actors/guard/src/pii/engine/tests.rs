//! Whole-engine cases: what is found, what is not, and what the operator can change.

use super::*;
use crate::pii::{MAX_PATTERNS, PatternConfig, merge_findings};

fn engine_with(change: impl FnOnce(&mut PiiConfig)) -> PiiEngine {
    let mut config = PiiConfig { entities: vec!["all".to_owned()], ..PiiConfig::default() };
    change(&mut config);
    PiiEngine::new(&config).unwrap()
}

fn found(engine: &PiiEngine, text: &str) -> Vec<(String, String)> {
    engine
        .scan(text)
        .iter()
        .map(|finding| (finding.entity.to_string(), text[finding.start..finding.end].to_owned()))
        .collect()
}

fn names(engine: &PiiEngine, text: &str) -> Vec<String> {
    found(engine, text).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn context_decides_between_numbers_of_one_shape() {
    let engine = engine_with(|_| {});
    for (text, entity) in [
        ("My account number is 4018471434596.", "US_BANK_NUMBER"),
        ("passport 990082289", "US_PASSPORT"),
        ("SSN: 536901234", "US_SSN"),
        ("Her PESEL, 44051401359, is on file", "PL_PESEL"),
        ("Numéro de sécurité sociale : 2 55 08 14 168 025 38", "FR_NIR"),
        ("Unter 86095742719 (IdNr) finden Sie den Vorgang.", "DE_TAX_ID"),
        ("{\"customer\": {\"nhsNumber\": \"9434765919\", \"tier\": 2}}", "UK_NHS"),
        ("| Medicare | 2123456701 | pending |", "AU_MEDICARE"),
    ] {
        assert_eq!(names(&engine, text), [entity], "{text}");
    }
}

#[test]
fn machine_text_with_lookalikes_is_clean() {
    let engine = engine_with(|_| {});
    for text in [
        "Order 8641 8366 2837 2333 ships on Tuesday.",
        "{\"orderNumber\": \"4111111111111111\", \"ean\": \"6521581490359\", \"millis\": 1602217711676}",
        "offset=204788305889 partition=43 lag=479535 checksum=f3f20a78",
        "commit 92992fac87e85ba4e93b229cf62309f32a06fd01 build #14348 v2.12.15",
        "request_id=1527e1d0-6077-4ee9-af85-78076c0b3fc3",
        "ISBN 978-3-16-428822-3 is out of print. pi is 3.14159265358979",
        "redis@sha256:996f9a968bd3f929322549df8f80946d7ea90046e526c66fe55bf4346eb06c94",
        "x = a[::2]; std::fmt::Display; 12:30:45",
        "Q13442814 -0.74269533 -1.8002026 3.1285145 -0.6962907",
        "The array is [350135, 221175626, 680628, 889898, 3472640538].",
        "password = getpass.getpass()  # min 12 characters",
    ] {
        assert!(found(&engine, text).is_empty(), "{text} {:?}", found(&engine, text));
    }
}

#[test]
fn a_number_that_is_the_whole_text_counts_by_its_check() {
    let engine = engine_with(|_| {});
    assert_eq!(names(&engine, "9434765919"), ["UK_NHS"]);
    assert!(names(&engine, "9434765919, 9434765919").is_empty());
}

#[test]
fn selection_threshold_and_allow_list_are_honoured() {
    let text = "ann@corp.example.com, passport C25699957, ip 10.0.0.1";
    assert_eq!(names(&engine_with(|_| {}), text), ["EMAIL_ADDRESS", "US_PASSPORT", "IP_ADDRESS"]);
    let default = engine_with(|config| config.entities = vec!["default".to_owned()]);
    assert_eq!(names(&default, text), ["EMAIL_ADDRESS", "IP_ADDRESS"]);
    let one = engine_with(|config| config.entities = vec!["US_PASSPORT".to_owned()]);
    assert_eq!(names(&one, text), ["US_PASSPORT"]);
    let none = engine_with(|config| config.entities = Vec::new());
    assert!(names(&none, text).is_empty());
    let strict = engine_with(|config| config.threshold = 0.9);
    assert_eq!(names(&strict, text), ["EMAIL_ADDRESS", "IP_ADDRESS"]);
    let allowed = engine_with(|config| {
        config.allow_list = vec!["10.0.0.1".to_owned(), "ann@corp.example.com".to_owned()]
    });
    assert_eq!(names(&allowed, text), ["US_PASSPORT"]);
    let private = engine_with(|config| config.pass_private_ips = true);
    assert_eq!(
        names(&private, "10.0.0.1, 8.8.4.4, fe80::1, 2a00:1450:4001::200e"),
        ["IP_ADDRESS", "IP_ADDRESS"]
    );
}

#[test]
fn patterns_of_the_operator_are_found_and_bad_ones_named() {
    let pattern = |name: &str, pattern: &str| PatternConfig {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        score: 0.9,
    };
    let engine = engine_with(|config| config.patterns = vec![pattern("TICKET", r"\bTK-[0-9]{3,5}\b")]);
    assert_eq!(found(&engine, "see TK-1234 and TK-99"), [("TICKET".to_owned(), "TK-1234".to_owned())]);
    for (name, source, reason) in [
        ("TICKET", "a+", "may match more than"),
        ("TICKET", "a{0,3}", "empty text"),
        ("TICKET", "^a", "anchored"),
        ("TICKET", "(a", "unclosed group"),
        ("ticket", "a", "the name must be"),
        ("TICKET", "(?:a{50}){50}", "may match more than"),
    ] {
        let error =
            PiiEngine::new(&PiiConfig { patterns: vec![pattern(name, source)], ..PiiConfig::default() })
                .unwrap_err();
        assert!(error.to_string().contains(reason) && error.to_string().contains(name), "{error}");
    }
    let many = vec![pattern("TICKET", "a"); MAX_PATTERNS + 1];
    assert!(PiiEngine::new(&PiiConfig { patterns: many, ..PiiConfig::default() }).is_err());
    for entities in ["EMAIL", "PERSON"] {
        let config = PiiConfig { entities: vec![entities.to_owned()], ..PiiConfig::default() };
        assert!(PiiEngine::new(&config).unwrap_err().to_string().contains(entities));
    }
    assert!(PiiEngine::new(&PiiConfig { threshold: 1.5, ..PiiConfig::default() }).is_err());
}

#[test]
fn findings_of_another_engine_are_merged_by_score_then_length() {
    let finding =
        |entity: Entity, start: usize, end: usize, score: f32| Finding { entity, start, end, score };
    let merged = merge_findings(
        vec![finding(Entity::EmailAddress, 10, 20, 0.9), finding(Entity::UsSsn, 30, 39, 0.6)],
        vec![
            finding(Entity::Person, 0, 5, 0.85),
            finding(Entity::Url, 14, 20, 0.5),
            finding(Entity::PhoneNumber, 28, 39, 0.6),
            finding(Entity::Location, 50, 50, 0.9),
        ],
    );
    let names: Vec<_> = merged.iter().map(|one| one.entity.name()).collect();
    assert_eq!(names, ["PERSON", "EMAIL_ADDRESS", "PHONE_NUMBER"]);
}

#[test]
fn four_megabytes_of_anything_are_read_in_bounded_time() {
    // Work per byte must not grow with the text; in a quadratic engine this test would take hours.
    let engine = engine_with(|_| {});
    for unit in [
        "123456789 ",
        "key=key=",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ.=eyJ.",
        "a@a.",
        "415-555-0132 ",
        "://u:p@",
        "[A_",
    ] {
        let text = unit.repeat(512 * 1024 / unit.len());
        let findings = engine.scan(&text);
        assert!(findings.len() <= text.len());
    }
}
