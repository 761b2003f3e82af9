//! Faults of a stream's framing and order.

use std::io::{Read as _, Write as _};

use serde_json::json;

use crate::support::{Reply, anthropic, connect, exchange, mock, request, streamed, unary};

const PROSE: &str = "The harbour lights were still on when the first boats came in, and nobody on the pier spoke until every \
                     rope was made fast.";

fn anthropic_stream(fault: &str) -> Reply {
    exchange(&mock(), &anthropic(&format!("claude!{fault}"), &json!({"stream": true})))
}

#[test]
fn plain_streams_have_the_order_of_their_provider() {
    let mock = mock();
    let reply = streamed(&mock, "gpt-4o");
    assert_eq!(reply.streamed_text(), PROSE);
    assert!(reply.is_complete && reply.text().ends_with("data: [DONE]\n\n"));
    let events = reply.events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": "", "refusal": null})
    );
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
    let last = &events[events.len() - 1];
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(31)));
    assert!(events[..events.len() - 1].iter().all(|event| event["usage"].is_null()));

    let reply = anthropic_stream("ok");
    assert_eq!(reply.streamed_text(), PROSE);
    let kinds: Vec<_> =
        reply.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds[..3], ["message_start", "content_block_start", "ping"]);
    assert_eq!(kinds[kinds.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    for (line, kind) in reply.text().lines().filter(|line| line.starts_with("event:")).zip(&kinds) {
        assert_eq!(line, format!("event: {kind}"));
    }
}

#[test]
fn line_ends_and_fields_vary_without_changing_the_events() {
    let mock = mock();
    type Check = fn(&str) -> bool;
    let cases: &[(&str, Check)] = &[
        ("crlf", |text| text.ends_with("[DONE]\r\n\r\n") && !text.replace("\r\n", "").contains('\n')),
        ("cr", |text| text.ends_with("[DONE]\r\r") && !text.contains('\n')),
        ("mixed-eol", |text| text.contains("\r\n\r\n") && text.contains("}\r\r") && text.contains("}\n\n")),
        ("no-space", |text| text.starts_with("data:{") && text.ends_with("data:[DONE]\n\n")),
        ("bom", |text| text.starts_with("\u{feff}data: ")),
        ("comments", |text| text.starts_with(": keep-alive\n\n:\ndata: ")),
        ("ids", |text| text.starts_with("id: 0\nretry: 3000\ndata: ")),
        ("multi-line", |text| text.contains("\",\ndata: \"object\"")),
    ];
    for (fault, check) in cases {
        let reply = streamed(&mock, &format!("gpt-4o!{fault}"));
        assert!(reply.is_complete && check(&reply.text()), "{fault}: {}", &reply.text()[..300]);
        // Whatever the framing, joining the fields as the specification says gives the same text.
        let text = reply.text().replace("\r\n", "\n").replace('\r', "\n").replace("\",\ndata: \"", "\",\"");
        let plain = Reply { body: text.replace('\u{feff}', "").into_bytes(), ..reply };
        assert_eq!(plain.streamed_text(), PROSE, "{fault}");
    }
    assert!(anthropic_stream("no-space").text().starts_with("event:message_start\ndata:{"));
}

#[test]
fn terminal_events_are_missing_doubled_or_not_the_last() {
    let mock = mock();
    let text = |fault: &str| streamed(&mock, &format!("gpt-4o!{fault}")).text();
    let done = |text: &str| text.matches("data: [DONE]").count();
    let no_blank = text("no-blank");
    assert!(done(&no_blank) == 0 && no_blank.ends_with('}') && no_blank.contains("finish_reason\":\"stop\""));
    let no_done = text("no-done");
    assert!(done(&no_done) == 0 && no_done.ends_with("}\n\n"));
    assert_eq!(done(&text("done-twice")), 2);
    let late = text("after-done");
    assert!(done(&late) == 1 && late.ends_with("}\n\n"));
    assert!(!anthropic_stream("no-done").text().contains("message_stop"));
    assert_eq!(anthropic_stream("done-twice").text().matches("event: message_stop").count(), 2);
}

#[test]
fn floods_are_as_large_as_asked() {
    let mock = mock();
    let reply = streamed(&mock, "m!burst=5000");
    assert_eq!((reply.text().matches("\"content\":\"The\"").count(), reply.is_complete), (5000, true));
    let reply = streamed(&mock, "m!giant-event=2");
    assert!(reply.is_complete && reply.streamed_text().len() > 2 * 1024 * 1024);
    let reply = streamed(&mock, "m!endless-line");
    assert!(!reply.is_complete && reply.raw.len() > 64 * 1024 * 1024);
    assert!(!reply.text()[300..].trim_end_matches('a').ends_with("\n\n"));
    let events = anthropic_stream("giant-event=1").streamed_text().len();
    assert!(events > 1024 * 1024);
}

#[test]
fn errors_come_in_the_middle_or_first() {
    let mock = mock();
    let reply = streamed(&mock, "m!stream-error");
    assert_eq!((reply.streamed_text().as_str(), reply.status()), ("The harbour lights", 200));
    assert_eq!(reply.events().last().unwrap()["error"]["type"], "server_error");
    assert!(!reply.text().contains("[DONE]"));
    assert_eq!(streamed(&mock, "m!stream-error=0").events().len(), 1);
    let reply = anthropic_stream("stream-overloaded");
    assert!(reply.text().starts_with("event: error\ndata: {\"type\":\"error\""));
    assert_eq!(reply.events()[0]["error"]["type"], "overloaded_error");
    let reply = anthropic_stream("stream-overloaded=2");
    assert_eq!(reply.streamed_text(), "The harbour");
    assert_eq!(unary(&mock, "m!stream-error").status(), 500);
}

#[test]
fn strange_events_stand_among_the_known_ones() {
    let mock = mock();
    let reply = streamed(&mock, "m!unknown-events");
    assert!(reply.text().contains("mystery.event") && reply.streamed_text() == PROSE);
    assert!(anthropic_stream("unknown-events").text().contains("mystery_delta"));
    let empty = |reply: &Reply| reply.events().iter().filter(|event| event["choices"] == json!([])).count();
    assert_eq!(empty(&streamed(&mock, "m!empty-choices")), 2);
    let usages = |reply: &Reply| reply.events().iter().filter(|event| event["usage"].is_object()).count();
    assert_eq!(usages(&streamed(&mock, "m!usage-twice")), 2);
    assert_eq!(usages(&anthropic_stream("usage-twice")), 2);
}

#[test]
fn pings_can_be_all_there_is() {
    let mock = mock();
    let mut stream = connect(&mock);
    stream.write_all(&request(&anthropic("claude!ping-only=20ms", &json!({"stream": true})), "")).unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while text.matches("event: ping").count() < 4 {
        let count = stream.read(&mut buffer).unwrap();
        text.push_str(str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(text.contains("event: message_start") && !text.contains("content_block"));
}
