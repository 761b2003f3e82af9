//! The reader agrees with a general parser, and edits change what they name.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const STRICT: Rules = Rules { max_depth: 64, max_nodes: 10_000, strict: true };

fn read(text: &str) -> Result<Tape, Box<JsonError>> {
    Tape::read(text.as_bytes(), STRICT)
}

fn fault(text: &str) -> Fault {
    read(text).expect_err(text).fault
}

#[test]
fn values_are_found_by_name() {
    let text = r#" {"a":[1,{"b":"x\ny"}],"c":null,"d":true,"e":-1.5e3,"\u0066":"é"} "#;
    let tape = read(text).unwrap();
    let root = tape.root(text.as_bytes());
    let items: Vec<_> = root.get("a").unwrap().items().collect();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].as_count(), Some(1));
    assert_eq!(items[1].text("b").unwrap(), "x\ny");
    assert!(root.get("c").unwrap().is_null() && root.set("c").is_none());
    assert_eq!(root.get("d").unwrap().as_bool(), Some(true));
    assert_eq!(root.get("e").unwrap().as_f64(), Some(-1500.0));
    assert_eq!(root.text("f").unwrap(), "é");
    assert_eq!(root.members().count(), 5);
}

#[test]
fn wrong_documents_are_refused_for_the_right_reason() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        "+1",
        "NaN",
        "Infinity",
        "nul",
        "\"a",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "1 2",
        "\u{feff}{}",
        "[1 2]",
        "{\"a\" 1}",
        "-",
        "1e",
    ] {
        assert!(matches!(fault(text), Fault::Syntax(_)), "{text:?}");
    }
    assert_eq!(fault(&"[".repeat(100_000)), Fault::Depth);
    assert_eq!(fault("{\"a\":1,\"a\":2}"), Fault::Duplicate);
    assert_eq!(fault("{\"a\":1,\"\\u0061\":2}"), Fault::Duplicate);
    assert_eq!(fault(&format!("[{}1]", "1,".repeat(20_000))), Fault::TooManyValues);
    assert_eq!(Tape::read(b"\"\xff\"", STRICT).unwrap_err().fault, Fault::Utf8);
}

#[test]
fn duplicates_are_found_in_large_objects_too() {
    let fields: Vec<String> = (0..500).map(|n| format!("\"k{n}\":{n}")).collect();
    assert!(read(&format!("{{{}}}", fields.join(","))).is_ok());
    assert_eq!(fault(&format!("{{{},\"k3\":0}}", fields.join(","))), Fault::Duplicate);
}

#[test]
fn errors_say_where() {
    let text = "{\"a\":\n [{\"é\": {\"x\":1,\"x\":2}}]}";
    let error = read(text).unwrap_err();
    assert_eq!((error.path.as_str(), error.position(text.as_bytes())), ("a[0].é.x", (2, 16)));
}

#[test]
fn edits_change_only_what_they_name() {
    let bytes = Bytes::from_static(b"{ \"a\" : 1 , \"b\":{}, \"c\":\"x\" }");
    let tape = Tape::read(&bytes, STRICT).unwrap();
    let root = tape.root(&bytes);
    let mut edits = Splices::default();
    edits.set_field(root, "a", "2");
    edits.add_field(root.get("b").unwrap(), "n", "[]");
    edits.set_field(root, "d", "true");
    edits.replace_string(root.get("c").unwrap().span(), "y\"z");
    assert_eq!(&edits.apply(&bytes)[..], br#"{ "a" : 2 , "b":{"n":[]}, "c":"y\"z","d":true }"#);
    for (name, left) in [
        ("a", &b"{ \"b\":{}, \"c\":\"x\" }"[..]),
        ("b", b"{ \"a\" : 1, \"c\":\"x\" }"),
        ("c", b"{ \"a\" : 1 , \"b\":{} }"),
        ("z", &bytes),
    ] {
        let mut edits = Splices::default();
        edits.remove_field(root, name);
        assert_eq!(&edits.apply(&bytes)[..], left, "{name}");
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1_000_000..1_000_000_i32).prop_map(|eighths| (f64::from(eighths) / 8.0).into()),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn rebuild(value: super::Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::True => true.into(),
        Kind::False => false.into(),
        Kind::Number => serde_json::from_str(value.raw()).unwrap(),
        Kind::String => value.as_str().unwrap().into(),
        Kind::Array => value.items().map(rebuild).collect::<Vec<_>>().into(),
        Kind::Object => serde_json::Value::Object(
            value
                .members()
                .map(|(key, value)| (key.as_str().unwrap().into_owned(), rebuild(value)))
                .collect(),
        ),
    }
}

proptest! {
    #[test]
    fn any_document_reads_as_a_general_parser_reads_it(json in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let tape = read(&text).unwrap();
        prop_assert_eq!(rebuild(tape.root(text.as_bytes())), json);
    }

    #[test]
    fn any_bytes_are_accepted_only_if_a_general_parser_accepts_them(text in "[\\[\\]{}\",:0-9eE+.\\-\\\\u a-z\\n]{0,24}") {
        let rules = Rules { max_depth: 64, max_nodes: 10_000, strict: true };
        let ours = Tape::read(text.as_bytes(), rules);
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        if !matches!(&ours, Err(error) if error.fault == Fault::Duplicate) {
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours.err(), text);
        }
    }

    #[test]
    fn any_string_survives_writing(text in any::<String>()) {
        let mut writer = Writer::default();
        writer.string(&text);
        let bytes = writer.finish();
        prop_assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text.clone());
        let tape = Tape::read(&bytes, STRICT).unwrap();
        prop_assert_eq!(tape.root(&bytes).as_str().unwrap(), text);
    }
}
