//! What is accepted, what is refused and how the refusal names it.

use bytes::Bytes;
use proptest::prelude::*;
use sentinel_domain::{ApiError, ErrorCode};

use super::*;
use crate::text::{Role, TextKind};

fn parse(text: &str) -> Result<ChatRequest, ApiError> {
    ChatRequest::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

const USER: &str = r#"{"role":"user","content":"hi"}"#;

fn with(fields: &str) -> String {
    format!(r#"{{"model":"m","messages":[{USER}],{fields}}}"#)
}

fn with_messages(messages: &str) -> String {
    format!(r#"{{"model":"m","messages":[{messages}]}}"#)
}

#[test]
fn wrong_top_level_fields_are_named() {
    use ErrorCode::{DuplicateField, EmptyMessages, InvalidJson, InvalidValue, MissingField};
    for (body, code, param) in [
        ("", InvalidJson, None),
        ("{", InvalidJson, None),
        ("\u{feff}{}", InvalidJson, None),
        ("[]", InvalidValue, None),
        ("{}", MissingField, Some("model")),
        (r#"{"messages":[]}"#, MissingField, Some("model")),
        (r#"{"model":"m"}"#, MissingField, Some("messages")),
        (r#"{"model":"m","messages":[]}"#, EmptyMessages, Some("messages")),
        (r#"{"model":"m","messages":"hi"}"#, InvalidValue, Some("messages")),
        (r#"{"model":"","messages":[]}"#, InvalidValue, Some("model")),
        (r#"{"model":"a\u0000b","messages":[]}"#, InvalidValue, Some("model")),
        (r#"{"model":5,"messages":[]}"#, InvalidValue, Some("model")),
        (&with(r#""temperature":3"#), InvalidValue, Some("temperature")),
        (&with(r#""temperature":-1"#), InvalidValue, Some("temperature")),
        (&with(r#""temperature":"hot""#), InvalidValue, Some("temperature")),
        (&with(r#""temperature":1e400"#), InvalidValue, Some("temperature")),
        (&with(r#""temperature":NaN"#), InvalidJson, Some("temperature")),
        (&with(r#""top_p":1.5"#), InvalidValue, Some("top_p")),
        (&with(r#""n":0"#), InvalidValue, Some("n")),
        (&with(r#""n":1000"#), InvalidValue, Some("n")),
        (&with(r#""n":1.5"#), InvalidValue, Some("n")),
        (&with(r#""max_tokens":0"#), InvalidValue, Some("max_tokens")),
        (&with(r#""max_tokens":-1"#), InvalidValue, Some("max_tokens")),
        (&with(r#""max_tokens":1.5"#), InvalidValue, Some("max_tokens")),
        (&with(r#""max_completion_tokens":"9""#), InvalidValue, Some("max_completion_tokens")),
        (&with(r#""stop":["a","b","c","d","e"]"#), InvalidValue, Some("stop")),
        (&with(r#""stop":[1]"#), InvalidValue, Some("stop[0]")),
        (&with(r#""stop":7"#), InvalidValue, Some("stop")),
        (&with(r#""stream":"yes""#), InvalidValue, Some("stream")),
        (&with(r#""stream_options":{"include_usage":true}"#), InvalidValue, Some("stream_options")),
        (&with(r#""stream":true,"stream_options":[]"#), InvalidValue, Some("stream_options")),
        (
            &with(r#""stream":true,"stream_options":{"include_usage":1}"#),
            InvalidValue,
            Some("stream_options.include_usage"),
        ),
        (&with(r#""logit_bias":{"50256":-101}"#), InvalidValue, Some("logit_bias.50256")),
        (&with(r#""top_logprobs":21"#), InvalidValue, Some("top_logprobs")),
        (&with(r#""presence_penalty":2.1"#), InvalidValue, Some("presence_penalty")),
        (&with(r#""tools":{}"#), InvalidValue, Some("tools")),
        (&with(r#""tools":[{"name":"f"}]"#), MissingField, Some("tools[0].type")),
        (&with(r#""tools":[{"type":"function"}]"#), MissingField, Some("tools[0].function")),
        (
            &with(r#""tools":[{"type":"function","function":{}}]"#),
            MissingField,
            Some("tools[0].function.name"),
        ),
        (
            &with(r#""tools":[{"type":"function","function":{"name":"f","parameters":"x"}}]"#),
            InvalidValue,
            Some("tools[0].function.parameters"),
        ),
        (&with(r#""tool_choice":"maybe""#), InvalidValue, Some("tool_choice")),
        (&with(r#""tool_choice":{"type":"function"}"#), MissingField, Some("tool_choice.function")),
        (
            &with(r#""response_format":{"type":"json_schema"}"#),
            MissingField,
            Some("response_format.json_schema"),
        ),
        (&with(r#""response_format":"json""#), InvalidValue, Some("response_format")),
        (&with(r#""user":{"id":1}"#), InvalidValue, Some("user")),
        (&with(r#""n":1,"n":2"#), DuplicateField, Some("n")),
        (&with(r#""metadata":{"a":{"b":1,"b":2}}"#), DuplicateField, Some("metadata.a.b")),
    ] {
        let error = parse(body).expect_err(body);
        assert_eq!((error.code, error.param.as_deref()), (code, param), "{body}: {}", error.message);
    }
}

#[test]
fn wrong_messages_are_named() {
    use ErrorCode::{InvalidValue, MissingField};
    for (message, code, param) in [
        ("1", InvalidValue, ""),
        (r#"{"content":"x"}"#, MissingField, ".role"),
        (r#"{"role":"robot","content":"x"}"#, InvalidValue, ".role"),
        (r#"{"role":1,"content":"x"}"#, InvalidValue, ".role"),
        (r#"{"role":"user"}"#, MissingField, ".content"),
        (r#"{"role":"assistant"}"#, MissingField, ".content"),
        (r#"{"role":"user","content":5}"#, InvalidValue, ".content"),
        (r#"{"role":"user","content":["x"]}"#, InvalidValue, ".content[0]"),
        (r#"{"role":"user","content":[{"text":"x"}]}"#, MissingField, ".content[0].type"),
        (r#"{"role":"user","content":[{"type":4}]}"#, InvalidValue, ".content[0].type"),
        (r#"{"role":"user","content":[{"type":"text"}]}"#, MissingField, ".content[0].text"),
        (r#"{"role":"user","content":[{"type":"text","text":1}]}"#, InvalidValue, ".content[0].text"),
        (
            r#"{"role":"user","content":[{"type":"image_url","image_url":{}}]}"#,
            MissingField,
            ".content[0].image_url.url",
        ),
        (r#"{"role":"tool","content":"x"}"#, MissingField, ".tool_call_id"),
        (r#"{"role":"tool","content":"x","tool_call_id":"a\nb"}"#, InvalidValue, ".tool_call_id"),
        (r#"{"role":"user","name":"a\u0007","content":"x"}"#, InvalidValue, ".name"),
        (r#"{"role":"assistant","tool_calls":{}}"#, InvalidValue, ".tool_calls"),
        (r#"{"role":"assistant","tool_calls":[{"type":"function"}]}"#, MissingField, ".tool_calls[0].id"),
        (
            r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":{}}}]}"#,
            InvalidValue,
            ".tool_calls[0].function.arguments",
        ),
    ] {
        let error = parse(&with_messages(&format!("{USER},{message}"))).expect_err(message);
        let expected = format!("messages[1]{param}");
        assert_eq!((error.code, error.param.as_deref()), (code, Some(&*expected)), "{message}");
    }
}

#[test]
fn what_clients_really_send_is_accepted() {
    for fields in [
        r#""temperature":0,"top_p":1,"n":128,"max_tokens":1,"stop":null,"tools":[],"tool_choice":"any""#,
        r#""stream":false,"stream_options":null,"response_format":null,"some_vendor_field":{"x":[1]}"#,
        r#""stream":true,"stream_options":{"include_obfuscation":false},"stop":"END""#,
        r#""tools":[{"type":"custom","custom":{"name":"x"}},{"type":"function","function":{"name":"f","parameters":null}}]"#,
        r#""functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"}"#,
        r#""tools":[{"function":{"name":"f"}}]"#,
    ] {
        parse(&with(fields)).expect(fields);
    }
    for message in [
        r#"{"role":"user","content":null}"#,
        r#"{"role":"assistant","content":null,"tool_calls":[]}"#,
        r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]}"#,
        r#"{"role":"assistant","refusal":"no"}"#,
        r#"{"role":"function","name":"f","content":"1"}"#,
        r#"{"role":"user","content":[{"type":"video_url","video_url":{"url":"x"}}]}"#,
    ] {
        parse(&with_messages(message)).expect(message);
    }
}

#[test]
fn sizes_are_limited() {
    let limits = Limits { max_messages: 3, max_message_chars: 10, ..Limits::default() };
    let check = |messages: &str| {
        let body = Bytes::from(with_messages(messages));
        ChatRequest::parse(body, &limits)
            .map_err(|error| (error.code, error.param.unwrap_or_default().into_owned()))
    };
    let many = [USER; 4].join(",");
    assert_eq!(check(&many).unwrap_err(), (ErrorCode::TooManyMessages, "messages".to_owned()));
    check(r#"{"role":"user","content":"éééééééééé"}"#).expect("ten characters of two bytes");
    let long =
        r#"{"role":"user","content":[{"type":"text","text":"123456"},{"type":"text","text":"78901"}]}"#;
    assert_eq!(check(long).unwrap_err(), (ErrorCode::MessageTooLong, "messages[0]".to_owned()));
    assert_eq!(parse(&"[".repeat(100_000)).unwrap_err().code, ErrorCode::InvalidJson);
    let name = format!(r#"{{"model":"{}","messages":[{USER}]}}"#, "x".repeat(257));
    assert_eq!(parse(&name).unwrap_err().param.as_deref(), Some("model"));
}

#[test]
fn syntax_errors_name_line_and_column() {
    let error = parse("{\n  \"model\": tru\n}").unwrap_err();
    assert!(error.message.contains("line 2 column 12"), "{}", error.message);
}

#[test]
fn the_fields_that_matter_are_read() {
    let request = parse(&with(
        r#""stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":7,"n":2,"user":"u","tools":[{"type":"function","function":{"name":"f"}}]"#,
    ))
    .unwrap();
    assert!(request.stream() && request.include_usage() && request.has_tools());
    assert_eq!((request.model(), request.max_tokens(), request.n()), ("m", Some(7), 2));
    assert_eq!((request.user(), request.message_count(), request.text_chars()), (Some("u"), 1, 2));
}

const TALK: &str = r#"{"model":"m","messages":[
  {"role":"system","content":"be \"kind\""},
  {"role":"user","name":"Ann","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:x"}}]},
  {"role":"assistant","content":null,"refusal":"no","reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
  {"role":"tool","tool_call_id":"c1","name":"f","content":[{"type":"text","text":"result"}]}],
  "tools":[{"type":"function","function":{"name":"f","description":"text here"}}],
  "prediction":{"type":"content","content":"guess"}, "x":1}"#;

#[test]
fn every_text_is_a_slot() {
    let request = parse(TALK).unwrap();
    let found: Vec<_> =
        request.texts().into_iter().map(|slot| (slot.role, slot.kind, slot.text.into_owned())).collect();
    let expected = [
        (Role::System, TextKind::Content, "be \"kind\""),
        (Role::User, TextKind::Name, "Ann"),
        (Role::User, TextKind::Content, "look"),
        (Role::Assistant, TextKind::Refusal, "no"),
        (Role::Assistant, TextKind::Reasoning, "hm"),
        (Role::Assistant, TextKind::ToolArguments, "{\"a\":1}"),
        (Role::Tool, TextKind::ToolResult, "result"),
        (Role::User, TextKind::Prediction, "guess"),
    ];
    assert_eq!(found, expected.map(|(role, kind, text)| (role, kind, text.to_owned())));
}

#[test]
fn replacing_texts_leaves_every_other_byte() {
    let request = parse(TALK).unwrap();
    let slots = request.texts();
    let replaced = request
        .with_texts(&[(slots[2].id, "see \n\"this\"".to_owned()), (slots[0].id, String::new())])
        .unwrap();
    let expected = TALK.replace(r#""be \"kind\"""#, r#""""#).replace(r#""look""#, r#""see \n\"this\"""#);
    assert_eq!(replaced.body(), expected.as_bytes());
    assert_eq!(request.with_texts(&[]).unwrap().body(), TALK.as_bytes());
    assert!(request.with_texts(&[(crate::text::SlotId(9999), String::new())]).is_err());
}

#[test]
fn the_key_ignores_spelling_and_what_does_not_decide() {
    let key = |body: &str| parse(body).unwrap().canonical_key();
    let base = key(&with(r#""temperature":1,"seed":3"#));
    for same in [
        r#""seed":3,"temperature":1.0"#,
        r#""seed":3,"temperature":1,"stream":true,"stream_options":{"include_usage":true}"#,
        r#"  "seed" : 3, "temperature" : 1e0, "user":"u", "top_p":null, "metadata":{"a":"b"}"#,
    ] {
        assert_eq!(key(&with(same)), base, "{same}");
    }
    for other in [r#""seed":4,"temperature":1"#, r#""seed":3,"temperature":1,"x":0"#, r#""seed":3"#] {
        assert_ne!(key(&with(other)), base, "{other}");
    }
    assert_eq!(key(&with_messages(r#"{"role":"user","content":"\u0068i"}"#)), key(&with_messages(USER)));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ChatRequest::parse(Bytes::from(bytes), &Limits::default());
    }

    #[test]
    fn any_replacement_is_read_back(texts in prop::collection::vec(any::<String>(), 8)) {
        let request = parse(TALK).unwrap();
        let ids: Vec<_> = request.texts().iter().map(|slot| slot.id).collect();
        let pairs: Vec<_> = ids.into_iter().zip(texts.iter().cloned()).collect();
        let replaced = request.with_texts(&pairs);
        // Names may not hold control characters, and a request that cannot be sent is an error, not a leak.
        if let Ok(replaced) = replaced {
            let read: Vec<_> = replaced.texts().into_iter().map(|slot| slot.text.into_owned()).collect();
            prop_assert_eq!(read, texts);
        } else {
            prop_assert!(texts[1].chars().any(char::is_control) || texts[1].chars().count() > 256);
        }
    }
}
