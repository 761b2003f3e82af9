//! Control: counters, recorded requests, scripts, standing faults, listening modes, client aborts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sentinel_load::mock::{Counters, Listening, Mock, MockConfig, MockHandle};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    End, anthropic, connect, exchange, mock, openai, read_one, read_reply, request, streamed, unary,
    until_silent,
};

/// Waits for a state of the counters, which the mock's thread reaches a moment after the socket does.
fn eventually(mock: &MockHandle, reached: impl Fn(&Counters) -> bool) -> Counters {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let counters = mock.counters();
        if reached(&counters) {
            return counters;
        }
        assert!(Instant::now() < deadline, "not reached: {counters:?}");
        std::thread::yield_now();
    }
}

fn control(mock: &MockHandle, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = connect(mock);
    let head = format!(
        "{method} /__mock/{path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    read_reply(&mut stream).json()
}

#[test]
fn requests_are_counted_and_kept_as_they_were_sent() {
    let mock = mock();
    unary(&mock, "gpt-4o");
    streamed(&mock, "gpt-4o!503");
    let counters = eventually(&mock, |counters| counters.in_flight == 0);
    assert_eq!((counters.requests, counters.by_status.get(&503)), (2, Some(&1)));
    assert_eq!(counters.by_model.get("gpt-4o"), Some(&1));
    assert!(counters.bytes_written > 1000);
    let last = mock.last_request("gpt-4o!503").unwrap();
    assert_eq!(
        (last.header("Authorization"), &last.json()["stream"]),
        (Some("Bearer sk-secret-key"), &json!(true))
    );
    assert_eq!(mock.last_any(), Some(last));
    let shown = control(&mock, "GET", "counters", &Value::Null);
    assert_eq!(shown["requests"], 2);
    assert!(shown["last"]["gpt-4o"]["head"].as_str().unwrap().starts_with("POST /v1/chat/completions"));
    control(&mock, "POST", "reset", &Value::Null);
    assert_eq!((mock.counters().requests, mock.last_any()), (0, None));
}

#[test]
fn clients_that_leave_are_noticed_at_once() {
    let mock = mock();
    for fault in ["hang", "hang-after", "ping-only=5ms"] {
        mock.reset();
        let mut stream = connect(&mock);
        stream.write_all(&request(&openai(&format!("m!{fault}"), &json!({"stream": true})), "")).unwrap();
        eventually(&mock, |counters| counters.in_flight == 1);
        drop(stream);
        let counters = eventually(&mock, |counters| counters.in_flight == 0);
        assert_eq!(counters.aborted, 1, "{fault}");
        assert!(counters.last_abort_unix_us > 0);
    }
}

#[test]
fn a_client_that_never_reads_stops_the_writing() {
    let mock = mock();
    let mut stream = connect(&mock);
    stream.write_all(&request(&openai("m!burst", &json!({"stream": true})), "")).unwrap();
    eventually(&mock, |counters| counters.in_flight == 1);
    let mut first = [0; 4096];
    let _ = stream.read(&mut first).unwrap();
    drop(stream);
    let counters = eventually(&mock, |counters| counters.in_flight == 0);
    assert!(counters.aborted == 1 && counters.bytes_written < 20_000_000, "{counters:?}");
}

#[test]
fn scripts_and_standing_faults_order_the_answers() {
    let mock = mock();
    mock.script("gpt-4o", &["500", "429=1", "ok"]).unwrap();
    mock.set_fault("*", "503").unwrap();
    let statuses: Vec<_> = (0..4).map(|_| unary(&mock, "gpt-4o").status()).collect();
    assert_eq!(statuses, [500, 429, 200, 503]);
    assert!(mock.set_fault("*", "no-such-fault").is_err() && mock.script("*", &["hang-after=x"]).is_err());
    control(&mock, "POST", "fault", &json!({"model": "*", "fault": ""}));
    assert_eq!(unary(&mock, "gpt-4o").status(), 200);
    control(&mock, "POST", "script", &json!({"script": ["404"]}));
    assert_eq!(unary(&mock, "anything").status(), 404);
    let refused = control(&mock, "POST", "fault", &json!({"fault": "bogus"}));
    assert!(refused["error"].as_str().unwrap().contains("bogus"));
}

#[test]
fn the_header_asks_for_faults_too() {
    let mock = mock();
    let mut stream = connect(&mock);
    stream
        .write_all(&request(&openai("m", &json!({})), "connection: close\r\nx-mock-fault: 418\r\n"))
        .unwrap();
    assert_eq!(read_reply(&mut stream).status(), 418);
    assert_eq!(unary(&mock, "m!bogus").status(), 400);
}

#[test]
fn listening_modes_refuse_reset_and_come_back() {
    let mock = mock();
    let mut kept = connect(&mock);
    kept.write_all(&request(&openai("m", &json!({})), "")).unwrap();
    assert_eq!(read_one(&mut kept).end, End::Open);
    let refused = || TcpStream::connect(mock.addr()).is_err();
    let wait_for = |state: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !state() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    };
    mock.listen(Listening::Refuse);
    wait_for(&refused);
    assert_eq!(read_reply(&mut kept).end, End::Closed);
    mock.listen(Listening::Open);
    wait_for(&|| !refused());
    assert_eq!(unary(&mock, "m").status(), 200);
    mock.listen(Listening::ResetOnAccept);
    wait_for(&|| {
        let mut stream = connect(&mock);
        // The reset may come before the request is out.
        let _ = stream.write_all(&request(&openai("m", &json!({})), "connection: close\r\n"));
        read_reply(&mut stream).raw.is_empty()
    });
    mock.listen(Listening::HangOnAccept);
    wait_for(&|| until_silent(&mock, &openai("m", &json!({}))).end == End::Open);
    mock.listen(Listening::Open);
    wait_for(&|| exchange(&mock, &openai("m", &json!({}))).status() == 200);
    assert_eq!(
        control(&mock, "POST", "listen", &json!({"mode": "refuse", "for_ms": 2000}))["mode"],
        "refuse"
    );
    wait_for(&refused);
    wait_for(&|| !refused());
    mock.stop();
}

#[test]
fn keys_and_models_are_checked_when_configured() {
    let config = MockConfig {
        api_key: Some("sk-right".into()),
        models: vec!["gpt-4o".into()],
        latency: Duration::from_millis(1),
        ..MockConfig::default()
    };
    let mock = Mock::start(config).unwrap();
    assert_eq!(unary(&mock, "gpt-4o").status(), 401);
    let mut stream = connect(&mock);
    let wire = String::from_utf8(request(&openai("other", &json!({})), "connection: close\r\n")).unwrap();
    stream.write_all(wire.replace("sk-secret-key", "sk-right").as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).status(), 404);
    let open = crate::support::mock();
    assert_eq!(exchange(&open, &anthropic("no-such-model", &json!({}))).status(), 404);
    assert_eq!(exchange(&open, &("/v1/chat/completions", json!({"messages": []}))).status(), 400);
    assert_eq!(exchange(&open, &("/v1/chat/completions", json!("text"))).status(), 400);
}

#[test]
fn an_early_answer_comes_before_the_body_is_sent() {
    let mock = mock();
    let mut stream = connect(&mock);
    let head = "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n{\"model\":\"m!early\",";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_one(&mut stream).status(), 413);
}

#[test]
fn an_expected_continue_is_given_and_the_canary_counts() {
    let mock = mock();
    let mut stream = connect(&mock);
    stream
        .write_all(b"POST /__mock/canary HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .unwrap();
    let mut interim = [0; 64];
    let count = stream.read(&mut interim).unwrap();
    assert!(interim[..count].starts_with(b"HTTP/1.1 100 Continue"));
    stream.write_all(b"{}").unwrap();
    assert_eq!(read_one(&mut stream).json(), json!({"canary": true}));
    assert_eq!(mock.counters().canary_hits, 1);
}

#[test]
fn models_are_listed_in_both_shapes() {
    let mock = mock();
    let get = |path: &str, header: &str| {
        let mut stream = connect(&mock);
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\n{header}connection: close\r\n\r\n").as_bytes())
            .unwrap();
        read_reply(&mut stream)
    };
    assert_eq!(get("/v1/models", "").json()["data"][0]["object"], "model");
    assert_eq!(get("/v1/models", "anthropic-version: 1\r\n").json()["has_more"], false);
    assert_eq!(get("/v1/models/gpt-4o", "").json()["id"], "gpt-4o");
    assert_eq!(get("/health/live", "").status(), 200);
    assert_eq!((get("/v1/models/none", "").status(), get("/nowhere", "").status()), (404, 404));
}

#[test]
fn prebuilt_answers_repeat_their_bytes_and_are_still_counted() {
    let mock = Mock::start(MockConfig { prebuilt: true, ..MockConfig::default() }).unwrap();
    let (first, second) = (unary(&mock, "gpt-4o"), unary(&mock, "gpt-4o"));
    assert_eq!(first.raw, second.raw);
    assert!(streamed(&mock, "gpt-4o").text().ends_with("[DONE]\n\n"));
    assert_eq!((unary(&mock, "gpt-4o!503").status(), unary(&mock, "gpt-4o!503").status()), (503, 503));
    let counters = eventually(&mock, |counters| counters.in_flight == 0);
    assert_eq!((counters.requests, counters.by_model.get("gpt-4o")), (5, Some(&3)));
}
