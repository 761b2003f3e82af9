//! Whatever the bytes are: no panic, and no difference between one piece and many.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::time::SystemTime;

use bytes::Bytes;
use proptest::prelude::*;
use sentinel_domain::policy::ProviderKind::{self, Anthropic, OpenAi};
use sentinel_wire::{ChatRequest, EncodeOptions, Limits, NoHeaders, StreamItem, UpstreamFailure, dialect};
use serde_json::{Value, json};

/// JSON made of the words that the dialects know, so that most of it is nearly right.
fn nearly_right() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "text",
        "function",
        "tool_use",
        "tool_result",
        "thinking",
        "assistant",
        "user",
        "tool",
        "system",
        "image_url",
        "file",
        "call_1",
        "auto",
        "required",
        "json_schema",
        "data:image/png;base64,AA",
        "https://x.example",
        "{}",
        "{\"a\":1}",
        "",
        "stop",
    ]);
    let leaf = prop_oneof![
        4 => word.prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => ".{0,5}".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "role",
        "content",
        "type",
        "text",
        "tool_calls",
        "tool_call_id",
        "id",
        "function",
        "name",
        "arguments",
        "image_url",
        "url",
        "cache_control",
        "thinking_blocks",
        "signature",
        "thinking",
        "input",
        "index",
        "delta",
        "choices",
        "message",
        "usage",
        "prompt_tokens",
        "input_tokens",
        "error",
        "code",
        "finish_reason",
        "stop_reason",
        "json_schema",
        "schema",
        "properties",
        "parameters",
        "file",
        "file_data",
        "data",
        "content_block",
        "partial_json",
        "citations",
        "refusal",
        "iterations",
    ]);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            3 => prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

/// A message that has what every message must have, and anything beside it.
fn message() -> impl Strategy<Value = Value> {
    let role = prop::sample::select(vec!["system", "user", "assistant", "tool"]);
    (role, nearly_right(), nearly_right()).prop_map(|(role, content, fields)| {
        let mut message = fields.as_object().cloned().unwrap_or_default();
        message.insert("role".to_owned(), role.into());
        if !content.is_string() && !content.is_array() {
            message.insert("content".to_owned(), Value::Null);
        } else {
            message.insert("content".to_owned(), content);
        }
        if role == "tool" {
            message.insert("tool_call_id".to_owned(), "call_1".into());
        }
        Value::Object(message)
    })
}

fn request_fields() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "stop",
        "thinking",
        "reasoning_effort",
        "metadata",
        "user",
        "temperature",
        "top_p",
        "output_config",
        "web_search_options",
        "prediction",
        "stream",
        "stream_options",
        "x",
    ]);
    prop::collection::btree_map(name, nearly_right(), 0..4).prop_map(|map| {
        Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

type Outcome = (Vec<Value>, bool, Option<UpstreamFailure>);

fn stream(kind: ProviderKind, pieces: &[&[u8]]) -> Outcome {
    let body =
        Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}"#);
    let request = ChatRequest::parse(body, &Limits::default()).unwrap();
    let hints = dialect::encode(kind, &request, "m", &EncodeOptions::default()).unwrap().hints;
    let mut decoder = dialect::decode_stream(kind, hints, 10_000);
    let mut outcome: Outcome = (Vec::new(), false, None);
    let mut take = |item| match item {
        StreamItem::Chunk(chunk) => {
            outcome.0.push(serde_json::from_slice(chunk.json()).expect("chunks are JSON"));
            assert_eq!(
                chunk.texts().count(),
                chunk.clone().with_texts(&[(0, "x".to_owned())]).texts().count()
            );
        }
        StreamItem::Done => outcome.1 = true,
        StreamItem::Failed(failure) => outcome.2 = Some(*failure),
    };
    for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(item) = decoder.next_item() {
            take(item);
        }
    }
    decoder.finish();
    while let Some(item) = decoder.next_item() {
        take(item);
    }
    assert!(outcome.1 != outcome.2.is_some(), "a stream ends well or badly, and in no other way");
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_request_that_parses_is_translated_or_refused(
        messages in prop::collection::vec(message(), 1..4),
        fields in request_fields(),
    ) {
        let mut body = json!({"model": "m", "messages": messages});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let Ok(request) = ChatRequest::parse(Bytes::from(body.to_string()), &Limits::default()) else {  return Ok(()) };
        for model in ["claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-4-7", "m"] {
            if let Ok(encoded) = dialect::encode(Anthropic, &request, model, &EncodeOptions::default()) {
                let sent: Value = serde_json::from_slice(&encoded.body).expect("what is sent is JSON");
                prop_assert!(sent["messages"].as_array().is_some_and(|messages| !messages.is_empty()));
            }
        }
        let passed = dialect::encode(OpenAi, &request, "other", &EncodeOptions::default()).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Value>(&passed.body).unwrap()["model"], "other");
        let slots: Vec<_> = request.texts().into_iter().map(|slot| (slot.id, slot.text.into_owned())).collect();
        let same = request.with_texts(&slots).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(same.body()).unwrap(), body);
    }

    #[test]
    fn most_conversations_made_of_known_parts_are_accepted(
        roles in prop::collection::vec(prop::sample::select(vec!["system", "user", "assistant"]), 1..8),
        texts in prop::collection::vec(prop::sample::select(vec!["", " ", "a", "b\n"]), 8),
    ) {
        let messages: Vec<Value> =
            roles.iter().zip(texts).map(|(role, text)| json!({"role": role, "content": text})).collect();
        let body = json!({"model": "m", "messages": messages});
        let request = ChatRequest::parse(Bytes::from(body.to_string()), &Limits::default()).unwrap();
        let encoded = dialect::encode(Anthropic, &request, "m", &EncodeOptions::default()).unwrap();
        let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
        let turns: Vec<&str> =
            sent["messages"].as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap()).collect();
        prop_assert_eq!(turns[0], "user");
        prop_assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", turns);
    }

    #[test]
    fn any_answer_is_read_or_refused(body in nearly_right(), status in prop::sample::select(vec![200_u16, 400, 429, 500])) {
        for kind in [OpenAi, Anthropic] {
            let bytes = Bytes::from(body.to_string());
            let hints = sentinel_wire::Hints::default();
            if let Ok(completion) = dialect::decode_unary(kind, status, &NoHeaders, bytes, &hints, SystemTime::UNIX_EPOCH) {
                let texts: Vec<_> =
                    completion.texts().into_iter().map(|slot| (slot.id, slot.text.into_owned())).collect();
                let before: Value = serde_json::from_slice(completion.body()).unwrap();
                let after: Value = serde_json::from_slice(completion.with_texts(&texts).unwrap().body()).unwrap();
                prop_assert_eq!(before, after);
                let priced: Value = serde_json::from_slice(&completion.with_cost(None)).unwrap();
                prop_assert!(priced["cost_usd"].is_null());
            }
        }
    }

    #[test]
    fn any_stream_ends_the_same_however_it_is_cut(
        events in prop::collection::vec((prop::sample::select(vec![
            "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "ping",
        ]), nearly_right()), 0..8),
        tail in prop::sample::select(vec!["", "data: [DONE]\n\n", "data: {", ": x\r\n\r", "event: error\ndata: {\"error\":1}"]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut text = String::new();
        for (kind, mut event) in events {
            if let Some(fields) = event.as_object_mut() {
                fields.insert("type".to_owned(), kind.into());
            }
            text.push_str(&format!("event: {kind}\ndata: {event}\n\n"));
        }
        text.push_str(tail);
        let bytes = text.as_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        for kind in [OpenAi, Anthropic] {
            prop_assert_eq!(stream(kind, &pieces), stream(kind, &[bytes]));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in [OpenAi, Anthropic] {
            let _ = stream(kind, &[&bytes]);
            let body = Bytes::from(bytes.clone());
            let _ = dialect::decode_unary(kind, 200, &NoHeaders, body, &sentinel_wire::Hints::default(), SystemTime::UNIX_EPOCH);
        }
        let _ = UpstreamFailure::from_answer(400, &NoHeaders, &bytes, SystemTime::UNIX_EPOCH);
    }
}
