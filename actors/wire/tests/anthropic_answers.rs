//! Answers of Anthropic's on their way to the client: whole ones and streams.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::SystemTime;

use bytes::Bytes;
use sentinel_domain::policy::ProviderKind::Anthropic;
use sentinel_domain::{ErrorCode, FailureClass, NanoUsd};
use sentinel_wire::{Completion, NoHeaders, TextKind, Track, TrackKind, UpstreamFailure, dialect};
use serde_json::{Value, json};
use support::{deltas, hints, read};

fn decode(body: &Value, fields: &Value) -> Result<Completion, Box<UpstreamFailure>> {
    let body = Bytes::from(body.to_string());
    dialect::decode_unary(Anthropic, 200, &NoHeaders, body, &hints(Anthropic, fields), SystemTime::UNIX_EPOCH)
}

#[test]
fn golden_answers_come_out_as_written() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("golden/anthropic_answers.json")).unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let fields = case.get("request").cloned().unwrap_or_else(|| json!({}));
        let completion =
            decode(&case["given"], &fields).unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        let body: Value = serde_json::from_slice(completion.body()).unwrap();
        if let Some(answer) = case.get("answer") {
            assert_eq!(&body, answer, "{name}");
        }
        if let Some(message) = case.get("message") {
            assert_eq!(&body["choices"][0]["message"], message, "{name}");
            assert_eq!(body["choices"][0]["finish_reason"], case["finish"], "{name}");
        }
        if let Some(usage) = case.get("usage") {
            assert_eq!(&serde_json::to_value(completion.usage().unwrap()).unwrap(), usage, "{name}");
        }
        assert!(completion.is_complete());
    }
}

#[test]
fn answers_that_are_none_are_refused() {
    for (body, class) in [
        (json!([]), FailureClass::Malformed),
        (json!({"id": "msg_1", "content": "text"}), FailureClass::Malformed),
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            FailureClass::Overloaded,
        ),
    ] {
        assert_eq!(decode(&body, &json!({})).expect_err("refused").class, class, "{body}");
    }
}

#[test]
fn texts_are_replaced_and_cost_is_added_without_touching_the_rest() {
    let given = json!({"id": "msg_1", "model": "m", "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1},
        "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "Dear Ann"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"to": "Ann"}}]});
    let completion = decode(&given, &json!({})).unwrap();
    let kinds: Vec<_> = completion.texts().iter().map(|slot| (slot.kind, slot.tool)).collect();
    assert_eq!(kinds, [(TextKind::Content, 0), (TextKind::Reasoning, 0), (TextKind::ToolArguments, 0)]);
    let changes: Vec<_> =
        completion.texts().iter().map(|slot| (slot.id, slot.text.replace("Ann", "Bob"))).collect();
    let changed = completion.with_texts(&changes).unwrap();
    let text = |completion: &Completion| String::from_utf8(completion.body().to_vec()).unwrap();
    assert_eq!(text(&changed), text(&completion).replace("Ann", "Bob"));
    let priced: Value = serde_json::from_slice(&changed.with_cost(Some(NanoUsd::new(1_500_000)))).unwrap();
    assert_eq!(priced["cost_usd"], json!(0.0015));
    let unpriced: Value = serde_json::from_slice(&changed.with_cost(None)).unwrap();
    assert_eq!(unpriced["cost_usd"], Value::Null);
    assert_eq!(unpriced.as_object().unwrap().len(), 7);
}

/// Writes events with their names, as Anthropic does: padded before the closing brace.
fn events(list: &[Value]) -> String {
    list.iter()
        .map(|event| {
            let json = event.to_string();
            let (body, _) = json.split_at(json.len() - 1);
            format!("event: {}\ndata: {body}   }}\n\n", event["type"].as_str().unwrap())
        })
        .collect()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_01X", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [], "stop_reason": null, "usage": {"input_tokens": 12, "cache_read_input_tokens": 3, "output_tokens": 1}}})
}

fn block(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str, output: u64) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": output}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn text_streams_with_the_role_first_and_usage_last() {
    let mut list = vec![
        start(),
        block(0, json!({"type": "text", "text": ""})),
        json!({"type": "ping"}),
        delta(0, json!({"type": "text_delta", "text": "Grüß"})),
        delta(0, json!({"type": "text_delta", "text": " dich \u{1F600}"})),
        json!({"type": "event_of_tomorrow", "index": 0}),
        stop(0),
    ];
    list.extend(end("end_turn", 9));
    let asked = hints(Anthropic, &json!({"stream": true, "stream_options": {"include_usage": true}}));
    let ended = read(Anthropic, &asked, &events(&list));
    assert!(ended.done);
    assert_eq!(
        deltas(&ended.chunks),
        [
            json!({"role": "assistant", "content": "", "refusal": null}),
            json!({"content": "Grüß"}),
            json!({"content": " dich \u{1F600}"}),
            json!({}),
        ]
    );
    assert_eq!(ended.meaningful, [false, true, true, true, false]);
    for chunk in &ended.chunks {
        assert_eq!(
            (&chunk["id"], &chunk["created"], &chunk["model"]),
            (&json!("chatcmpl-01X"), &json!(5), &json!("claude-x"))
        );
        assert_eq!(chunk["object"], "chat.completion.chunk");
    }
    assert_eq!(ended.chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(ended.chunks[3]["usage"], Value::Null);
    let last = &ended.chunks[4];
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        (
            &last["usage"]["prompt_tokens"],
            &last["usage"]["completion_tokens"],
            &last["usage"]["total_tokens"]
        ),
        (&json!(15), &json!(9), &json!(24))
    );
    let usage = ended.decoder.usage().unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output), (12, 3, 9));
    assert_eq!(ended.decoder.delivered_chars(), 11);
    assert_eq!(ended.decoder.finish_reason(), Some("stop"));

    let unasked = read(Anthropic, &hints(Anthropic, &json!({"stream": true})), &events(&list));
    assert_eq!(unasked.chunks.len(), 4);
    assert!(unasked.chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(unasked.decoder.usage(), Some(usage));
}

#[test]
fn tools_are_counted_on_their_own_and_always_have_json_arguments() {
    let mut list = vec![
        start(),
        block(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": "Go."})),
        stop(0),
        block(1, json!({"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}})),
        delta(1, json!({"type": "input_json_delta", "partial_json": "{\"q\":1}"})),
        stop(1),
        block(2, json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"a\": "})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop(2),
        block(3, json!({"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}})),
        delta(3, json!({"type": "input_json_delta", "partial_json": ""})),
        stop(3),
        block(4, json!({"type": "tool_use", "id": "toolu_3", "name": "h", "input": {"whole": true}})),
        stop(4),
    ];
    list.extend(end("tool_use", 9));
    let ended = read(Anthropic, &hints(Anthropic, &json!({"stream": true})), &events(&list));
    let call = |index: u64, inner: Value| json!({"tool_calls": [{"index": index, "function": inner}]});
    let begin = |index: u64, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
    assert_eq!(
        deltas(&ended.chunks)[2..],
        [
            begin(0, "toolu_1", "f"),
            call(0, json!({"arguments": "{\"a\": "})),
            call(0, json!({"arguments": "1}"})),
            begin(1, "toolu_2", "g"),
            call(1, json!({"arguments": "{}"})),
            begin(2, "toolu_3", "h"),
            call(2, json!({"arguments": "{\"whole\":true}"})),
            json!({}),
        ]
    );
    assert_eq!(ended.decoder.finish_reason(), Some("tool_calls"));
}

#[test]
fn thinking_is_shown_as_it_comes_and_given_whole_at_its_end() {
    let mut list = vec![
        start(),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Let "})),
        delta(0, json!({"type": "thinking_delta", "thinking": "me"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        block(1, json!({"type": "redacted_thinking", "data": "c2VhbA"})),
        stop(1),
    ];
    list.extend(end("refusal", 9));
    list[8]["delta"]["stop_details"] = json!({"type": "refusal", "explanation": "No."});
    let ended = read(Anthropic, &hints(Anthropic, &json!({"stream": true})), &events(&list));
    assert_eq!(
        deltas(&ended.chunks)[1..],
        [
            json!({"reasoning_content": "Let "}),
            json!({"reasoning_content": "me"}),
            json!({"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "Let me", "signature": "c2ln"}]}),
            json!({"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "c2VhbA"}]}),
            json!({"refusal": "No."}),
            json!({}),
        ]
    );
    assert_eq!(ended.decoder.finish_reason(), Some("content_filter"));
}

#[test]
fn the_answer_tool_streams_as_text_and_old_clients_get_function_calls() {
    let call = |name: &str| {
        let mut list = vec![
            start(),
            block(0, json!({"type": "tool_use", "id": "t", "name": name, "input": {}})),
            delta(0, json!({"type": "input_json_delta", "partial_json": "{\"n\":"})),
            delta(0, json!({"type": "input_json_delta", "partial_json": "4}"})),
            stop(0),
        ];
        list.extend(end("tool_use", 2));
        events(&list)
    };
    let format = json!({"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object"}}});
    let answer = read(
        Anthropic,
        &hints(Anthropic, &json!({"stream": true, "response_format": format})),
        &call("structured_answer"),
    );
    assert_eq!(
        deltas(&answer.chunks)[1..],
        [json!({"content": "{\"n\":"}), json!({"content": "4}"}), json!({})]
    );
    assert_eq!(answer.decoder.finish_reason(), Some("stop"));
    let old = read(
        Anthropic,
        &hints(Anthropic, &json!({"stream": true, "functions": [{"name": "f"}]})),
        &call("f"),
    );
    assert_eq!(
        deltas(&old.chunks)[1..],
        [
            json!({"function_call": {"name": "f", "arguments": ""}}),
            json!({"function_call": {"arguments": "{\"n\":"}}),
            json!({"function_call": {"arguments": "4}"}}),
            json!({}),
        ]
    );
    assert_eq!(old.decoder.finish_reason(), Some("function_call"));
}

#[test]
fn an_error_inside_a_stream_and_a_cut_never_end_well() {
    let unasked = hints(Anthropic, &json!({"stream": true}));
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded", "details": null}});
    let early = read(Anthropic, &unasked, &events(std::slice::from_ref(&overloaded)));
    let failure = early.failure.unwrap();
    assert_eq!(
        (failure.class, failure.status, failure.error.code),
        (FailureClass::Overloaded, 529, ErrorCode::UpstreamOverloaded)
    );
    assert!(early.chunks.is_empty());

    let begun = vec![
        start(),
        block(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": "Hal"})),
    ];
    let mut late = begun.clone();
    late.push(overloaded);
    late.push(json!({"type": "message_stop"}));
    let late = read(Anthropic, &unasked, &events(&late));
    assert_eq!(late.failure.unwrap().error.message, "Overloaded");
    assert_eq!(late.decoder.delivered_chars(), 3);

    let cut = read(Anthropic, &unasked, &events(&begun));
    assert_eq!(cut.failure.unwrap().class, FailureClass::StreamBroken);
    let silent = read(Anthropic, &unasked, &events(&[start()]));
    assert_eq!(silent.failure.unwrap().class, FailureClass::Broken);
    // The reason is known, but the end is not: the provider may have had more to say.
    let mut unended = begun;
    unended.extend([stop(0), end("end_turn", 1)[0].clone()]);
    assert!(read(Anthropic, &unasked, &events(&unended)).failure.is_some());
    assert!(read(Anthropic, &unasked, "data: {\"type\": \n\n").failure.is_some());
}

#[test]
fn a_mark_of_the_other_dialect_after_the_end_is_dropped() {
    let mut list = vec![start()];
    list.extend(end("end_turn", 1));
    let text = format!("{}event: data\ndata: [DONE]\n\n", events(&list));
    assert!(read(Anthropic, &hints(Anthropic, &json!({"stream": true})), &text).done);
}

#[test]
fn guards_can_replace_and_add_pieces_of_a_stream() {
    let list = [start(), block(0, json!({"type": "text", "text": "x \"y\" é"}))];
    let mut decoder = dialect::decode_stream(Anthropic, hints(Anthropic, &json!({"stream": true})), 1 << 20);
    decoder.feed(Bytes::from(events(&list)));
    let mut last = None;
    while let Some(sentinel_wire::StreamItem::Chunk(chunk)) = decoder.next_item() {
        last = Some(chunk);
    }
    let chunk = last.unwrap();
    let pieces: Vec<_> =
        chunk.texts().map(|piece| (piece.slot, piece.track, piece.text.into_owned())).collect();
    let track = Track { choice: 0, kind: TrackKind::Content };
    assert_eq!(pieces, [(0, track, "x \"y\" é".to_owned())]);
    let replaced = chunk.with_texts(&[(0, "\u{7}\\".to_owned())]);
    assert_eq!(replaced.texts().next().unwrap().text, "\u{7}\\");
    let again: Value = serde_json::from_slice(replaced.with_texts(&[(0, String::new())]).json()).unwrap();
    assert_eq!(again["choices"][0]["delta"], json!({"content": ""}));
    for (kind, expected) in [
        (TrackKind::Content, json!({"content": "held"})),
        (TrackKind::Refusal, json!({"refusal": "held"})),
        (TrackKind::Reasoning, json!({"reasoning_content": "held"})),
        (
            TrackKind::ToolArguments(2),
            json!({"tool_calls": [{"index": 2, "function": {"arguments": "held"}}]}),
        ),
    ] {
        let made = decoder.text_chunk(Track { choice: 0, kind }, "held");
        let json: Value = serde_json::from_slice(made.json()).unwrap();
        assert_eq!((&json["choices"][0]["delta"], &json["id"]), (&expected, &json!("chatcmpl-01X")));
        assert_eq!(made.texts().next().unwrap().text, "held");
    }
}
