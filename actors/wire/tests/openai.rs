//! OpenAI-kind upstreams: what passes as it is, and what is mended.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::SystemTime;

use bytes::Bytes;
use sentinel_domain::policy::ProviderKind::OpenAi;
use sentinel_domain::{ErrorCode, FailureClass, NanoUsd};
use sentinel_wire::{ChatRequest, Completion, EncodeOptions, Limits, NoHeaders, UpstreamFailure, dialect};
use serde_json::{Value, json};
use support::{deltas, hints, read};

fn sent(body: &str, model: &str) -> String {
    let request = ChatRequest::parse(Bytes::copy_from_slice(body.as_bytes()), &Limits::default()).unwrap();
    let encoded = dialect::encode(OpenAi, &request, model, &EncodeOptions::default()).unwrap();
    assert_eq!(encoded.path, "/chat/completions");
    assert!(encoded.ignored.is_empty());
    String::from_utf8(encoded.body.to_vec()).unwrap()
}

#[test]
fn requests_pass_byte_for_byte_where_nothing_must_change() {
    let body =
        r#"{ "model" : "m", "messages":[{"role":"user","content":"é \u00e9"}] , "new_field": {"a":[1.0]} }"#;
    assert_eq!(sent(body, "m"), body);
    assert_eq!(sent(body, "other"), body.replace("\"m\"", "\"other\""));
}

#[test]
fn usage_is_asked_for_in_every_stream() {
    let user = r#""messages":[{"role":"user","content":"x"}]"#;
    for (given, expected) in [
        (r#""stream":true"#, r#""stream":true,"stream_options":{"include_usage":true}"#),
        (
            r#""stream":true,"stream_options":null"#,
            r#""stream":true,"stream_options":{"include_usage":true}"#,
        ),
        (r#""stream":true,"stream_options":{}"#, r#""stream":true,"stream_options":{"include_usage":true}"#),
        (
            r#""stream":true,"stream_options":{"include_usage":false,"x":1}"#,
            r#""stream":true,"stream_options":{"include_usage":true,"x":1}"#,
        ),
        (
            r#""stream":true,"stream_options":{"include_usage":true}"#,
            r#""stream":true,"stream_options":{"include_usage":true}"#,
        ),
        (r#""stream":false"#, r#""stream":false"#),
    ] {
        assert_eq!(
            sent(&format!("{{\"model\":\"m\",{user},{given}}}"), "m"),
            format!("{{\"model\":\"m\",{user},{expected}}}")
        );
    }
}

fn decode(body: &str) -> Result<Completion, Box<UpstreamFailure>> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    dialect::decode_unary(OpenAi, 200, &NoHeaders, body, &hints(OpenAi, &json!({})), SystemTime::UNIX_EPOCH)
}

const ANSWER: &str = "\n {\"id\":\"chatcmpl-1\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\
    \"content\":\"Hi Ann\",\"x\":1},\"finish_reason\":\"stop\"}],\n \"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\
    \"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":3}}, \"vendor\":[]\n}";

#[test]
fn answers_pass_byte_for_byte() {
    let completion = decode(ANSWER).unwrap();
    assert_eq!(completion.body(), ANSWER.as_bytes());
    assert_eq!((completion.id(), completion.model()), ("chatcmpl-1", "m-1"));
    assert_eq!((completion.finish_reason(), completion.is_complete()), (Some("stop"), true));
    let usage = completion.usage().unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output, usage.reasoning), (6, 4, 5, 3));
    let priced = completion.with_cost(Some(NanoUsd::new(42)));
    assert_eq!(priced, ANSWER.replace("\"vendor\":[]", "\"vendor\":[],\"cost_usd\":0.000000042").as_bytes());
    assert!(!decode(r#"{"choices":[{"index":0,"message":{"content":"x"}}]}"#).unwrap().is_complete());
}

#[test]
fn absurd_usage_counts_as_none() {
    for usage in [
        r#"{"prompt_tokens":-1,"completion_tokens":-5}"#,
        r#"{"prompt_tokens":1e300,"completion_tokens":99999999999999999999}"#,
        r#"{"prompt_tokens":"7"}"#,
        "[]",
        "null",
    ] {
        let body = format!("{{\"choices\":[],\"usage\":{usage}}}");
        assert_eq!(decode(&body).unwrap().usage(), None, "{usage}");
    }
}

#[test]
fn an_answer_that_is_none_is_refused() {
    for (body, class, code) in [
        ("<html>oops</html>", FailureClass::Malformed, ErrorCode::UpstreamInvalidResponse),
        ("", FailureClass::Malformed, ErrorCode::UpstreamInvalidResponse),
        ("{\"id\":\"x\",\"choices\":[{", FailureClass::Malformed, ErrorCode::UpstreamInvalidResponse),
        ("{\"id\":\"x\"}", FailureClass::Malformed, ErrorCode::UpstreamInvalidResponse),
        ("[]", FailureClass::Malformed, ErrorCode::UpstreamInvalidResponse),
        (
            "{\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"}}",
            FailureClass::RateLimited,
            ErrorCode::UpstreamRateLimited,
        ),
        ("{\"error\":{\"message\":\"m\",\"code\":502}}", FailureClass::BadGateway, ErrorCode::UpstreamFailed),
        (
            "{\"error\":{\"message\":\"filtered\",\"code\":\"content_filter\",\"status\":400}}",
            FailureClass::Rejected,
            ErrorCode::UpstreamRejected,
        ),
    ] {
        let failure = decode(body).expect_err(body);
        assert_eq!((failure.class, failure.error.code), (class, code), "{body}");
        assert!(!failure.error.message.contains('<'));
    }
    let bytes = Bytes::from_static(b"{\"choices\":[],\"x\":\"\xff\"}");
    let failure = dialect::decode_unary(
        OpenAi,
        200,
        &NoHeaders,
        bytes,
        &hints(OpenAi, &json!({})),
        SystemTime::UNIX_EPOCH,
    );
    assert_eq!(failure.expect_err("not UTF-8").class, FailureClass::Malformed);
}

fn chunk(fields: &str) -> String {
    format!(
        "data: {{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m-1\",{fields}}}\n\n"
    )
}

fn choice(delta: &str, finish: &str) -> String {
    format!("\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]")
}

fn asked() -> sentinel_wire::Hints {
    hints(OpenAi, &json!({"stream": true, "stream_options": {"include_usage": true}}))
}

fn unasked() -> sentinel_wire::Hints {
    hints(OpenAi, &json!({"stream": true}))
}

#[test]
fn chunks_pass_and_usage_is_shown_only_to_those_who_asked() {
    let text = [
        chunk(&format!(
            "{},\"usage\":null,\"obfuscation\":\"x\"",
            choice(r#"{"role":"assistant","content":"","refusal":null}"#, "null")
        )),
        chunk(&format!("{},\"usage\":null", choice(r#"{"content":"Grüß"}"#, "null"))),
        chunk(&format!("{},\"usage\":null", choice("{}", "\"stop\""))),
        chunk("\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}"),
        "data: [DONE]\n\ndata: [DONE]\n\ndata: {\"error\":{\"message\":\"late\"}}\n\n".to_owned(),
    ]
    .concat();
    let recorded: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .take(4)
        .collect();
    let shown = read(OpenAi, &asked(), &text);
    assert!(shown.done);
    assert_eq!(shown.chunks, recorded);
    assert_eq!(shown.meaningful, [false, true, true, false]);
    let hidden = read(OpenAi, &unasked(), &text);
    let mut without = recorded;
    without.pop();
    for chunk in &mut without {
        chunk.as_object_mut().unwrap().remove("usage");
    }
    assert_eq!(hidden.chunks, without);
    assert_eq!(hidden.decoder.usage().unwrap().prompt(), 3);
    assert_eq!(
        (hidden.decoder.id(), hidden.decoder.model(), hidden.decoder.delivered_chars()),
        ("c-1", "m-1", 4)
    );
}

#[test]
fn usage_beside_choices_is_moved_to_a_last_chunk_of_its_own() {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"x":1}"#;
    let text = [
        chunk(&choice(r#"{"role":"assistant","content":"a"}"#, "null")),
        chunk(&format!("{},{usage}", choice(r#"{"content":"b"}"#, "\"stop\""))),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let shown = read(OpenAi, &asked(), &text);
    assert_eq!(shown.chunks.len(), 3);
    assert_eq!(shown.chunks[1]["usage"], Value::Null);
    assert_eq!((&shown.chunks[2]["choices"], &shown.chunks[2]["usage"]["x"]), (&json!([]), &json!(1)));
    assert_eq!((&shown.chunks[2]["id"], &shown.chunks[2]["created"]), (&json!("c-1"), &json!(7)));
    assert!(read(OpenAi, &unasked(), &text).chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn what_vendors_leave_out_is_filled_in() {
    let text = [
        // Azure's report on the prompt comes before anything has a name.
        "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[]}\n\n".to_owned(),
        chunk(&choice(r#"{"content":"a"}"#, "null")),
        chunk(&choice(r#"{"tool_calls":[{"id":"t1","function":{"name":"f","arguments":"{}"}},{"id":"t2","function":{"name":"g","arguments":""}}]}"#, "null")),
        chunk(&choice(r#"{"tool_calls":[{"function":{"arguments":"{}"}}]}"#, "null")),
        chunk(&choice("{}", "\"tool_calls\"")).replace("c-1", "c-2").replace("\"created\":7", "\"created\":9"),
        chunk(&choice("{}", "\"tool_calls\"")),
        "data: {\"type\":\"notice\"}\n\n".to_owned(),
        // Some vendors never send the mark of the end.
    ]
    .concat();
    let ended = read(OpenAi, &unasked(), &text);
    assert!(ended.done);
    assert_eq!(ended.chunks.len(), 6);
    assert!(
        ended
            .chunks
            .iter()
            .all(|chunk| chunk["id"] == "c-1" && chunk["created"] == 7 && chunk["model"] == "m-1")
    );
    assert_eq!(
        (&ended.chunks[0]["object"], &ended.chunks[0]["prompt_filter_results"]),
        (&json!("chat.completion.chunk"), &json!([]))
    );
    let deltas = deltas(&ended.chunks);
    assert_eq!(deltas[0], json!({"role": "assistant", "content": "a"}));
    let indices = |delta: &Value| {
        delta["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["index"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((indices(&deltas[1]), indices(&deltas[2])), (vec![0, 1], vec![1]));
    assert_eq!(ended.chunks[4]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(ended.chunks[5]["choices"][0]["finish_reason"], Value::Null, "a choice ends once");
}

#[test]
fn every_choice_needs_its_end() {
    let two = |first: &str, second: &str| {
        chunk(&format!(
            "\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"a\"}},\"finish_reason\":{first}}},\
             {{\"index\":1,\"delta\":{{\"role\":\"assistant\",\"content\":\"b\"}},\"finish_reason\":{second}}}]"
        ))
    };
    assert!(read(OpenAi, &unasked(), &two("\"stop\"", "\"length\"")).done);
    let cut = read(OpenAi, &unasked(), &two("\"stop\"", "null"));
    assert_eq!(cut.failure.unwrap().class, FailureClass::StreamBroken);
    // The mark of the end is one, whatever came before it.
    assert!(read(OpenAi, &unasked(), &format!("{}data: [DONE]", two("null", "null"))).done);
}

#[test]
fn errors_inside_a_stream_end_it() {
    let begun = chunk(&choice(r#"{"role":"assistant","content":"a"}"#, "null"));
    for (event, class, message) in [
        (
            "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\"}}\n\n",
            FailureClass::ServerError,
            "busy",
        ),
        (
            "event: error\ndata: {\"error\":{\"message\":\"bad call\",\"status_code\":400,\"failed_generation\":\"x\"}}\n\n",
            FailureClass::Rejected,
            "bad call",
        ),
        (
            "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":429,\"message\":\"slow down\"}}\n\n",
            FailureClass::RateLimited,
            "slow down",
        ),
        (
            "data: {\"object\":\"error\",\"message\":\"flat\",\"code\":503}\n\n",
            FailureClass::Overloaded,
            "flat",
        ),
        ("data: {\"choices\":[{\n\n", FailureClass::Malformed, "the provider's stream holds invalid JSON"),
        ("data: 7\n\n", FailureClass::Malformed, "the provider's stream holds something else than chunks"),
    ] {
        let ended = read(OpenAi, &unasked(), &format!("{begun}{event}{begun}data: [DONE]\n\n"));
        let failure = ended.failure.expect(event);
        assert_eq!((failure.class, failure.error.message.as_ref()), (class, message), "{event}");
        assert_eq!(ended.chunks.len(), 1);
    }
    assert_eq!(read(OpenAi, &unasked(), "data: [DONE]\n\n").failure.unwrap().class, FailureClass::Malformed);
    assert_eq!(read(OpenAi, &unasked(), "").failure.unwrap().class, FailureClass::Broken);
}

#[test]
fn an_endless_event_is_cut() {
    let mut decoder = dialect::decode_stream(OpenAi, unasked(), 1000);
    for _ in 0..100 {
        decoder.feed(Bytes::from_static(&[b'x'; 100]));
        if let Some(item) = decoder.next_item() {
            let sentinel_wire::StreamItem::Failed(failure) = item else { panic!("{item:?}") };
            assert_eq!(failure.class, FailureClass::Oversize);
            assert!(decoder.is_over() && decoder.next_item().is_none());
            return;
        }
    }
    panic!("never cut");
}

#[test]
fn an_untouched_chunk_is_a_slice_of_what_came() {
    let piece = Bytes::from(chunk(&choice(r#"{"role":"assistant","content":"a"}"#, "null")));
    let mut decoder = dialect::decode_stream(OpenAi, unasked(), 1 << 20);
    decoder.feed(piece.clone());
    let Some(sentinel_wire::StreamItem::Chunk(chunk)) = decoder.next_item() else { panic!("no chunk") };
    assert!(std::ptr::eq(chunk.json().as_ptr(), piece[6..].as_ptr()));
}

#[test]
fn a_whole_answer_in_the_place_of_a_stream_is_streamed() {
    let body = r#"{"id":"c-1","object":"chat.completion","created":7,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant",
        "content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let ended = read(OpenAi, &asked(), body);
    assert!(ended.done);
    let delta = &deltas(&ended.chunks)[0];
    assert_eq!((&delta["tool_calls"][0]["index"], &delta["tool_calls"][0]["id"]), (&json!(0), &json!("t")));
    assert_eq!(ended.chunks[0]["object"], "chat.completion.chunk");
    assert_eq!(ended.chunks[1]["usage"]["total_tokens"], 5);
    let filtered =
        read(OpenAi, &asked(), r#" {"error":{"message":"filtered","code":"content_filter","status":400}}"#);
    assert_eq!(filtered.failure.unwrap().class, FailureClass::Rejected);
    assert_eq!(read(OpenAi, &asked(), "{\"choices\":").failure.unwrap().class, FailureClass::Malformed);
}

#[test]
fn names_in_escapes_do_not_hide_a_text_from_guards() {
    let event = chunk(
        "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"c\\u006fntent\":\"a\"},\"finish_reason\":null}]",
    );
    let mut decoder = dialect::decode_stream(OpenAi, unasked(), 1 << 20);
    decoder.feed(Bytes::from(event));
    let Some(sentinel_wire::StreamItem::Chunk(chunk)) = decoder.next_item() else { panic!("no chunk") };
    assert_eq!(chunk.texts().next().unwrap().text, "a");
}

#[test]
fn a_bare_chunk_repeats_neither_role_nor_call() {
    let call = r#"{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":1,"delta":{"role":"assistant","tool_calls":[{"index":2,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}]}"#;
    let mut decoder = dialect::decode_stream(OpenAi, unasked(), 1 << 20);
    decoder.feed(Bytes::from(format!("data: {call}\n\n")));
    let Some(sentinel_wire::StreamItem::Chunk(chunk)) = decoder.next_item() else { panic!("no chunk") };
    let track = sentinel_wire::Track { choice: 1, kind: sentinel_wire::TrackKind::ToolArguments(2) };
    let bare: Value = serde_json::from_slice(chunk.bare(track, "x\"y").json()).unwrap();
    assert_eq!((&bare["id"], &bare["created"], &bare["model"]), (&json!("c-1"), &json!(7), &json!("m")));
    let choice = &bare["choices"][0];
    assert_eq!(choice["index"], 1);
    assert_eq!(choice["delta"], json!({"tool_calls": [{"index": 2, "function": {"arguments": "x\"y"}}]}));
    assert_eq!(choice["finish_reason"], Value::Null);
}
