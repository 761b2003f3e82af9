//! Streams: bytes cut anywhere, failures after the first word, clients that leave or do not read.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{chat_bytes, streamed};
use crate::support::{Setup, World, eventually, find, now};

const CLAUDE: &str = "claude-sonnet-4-5";

fn patient() -> Setup {
    let rules = "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000";
    Setup::new().provider("openai", rules).provider("anthropic", rules)
}

/// Rows: U32, U33, U34, U35, U41.
#[test]
fn however_a_stream_is_cut_and_written_its_text_is_the_same() {
    let world = World::start();
    for model in ["gpt-4o", CLAUDE] {
        let whole = world.ask(&format!("{model}!unicode"), "hello").content();
        assert!(whole.chars().any(|character| character.len_utf8() == 4), "{whole}");
        for fault in [
            "ok",
            "split=1",
            "split=2",
            "split=3",
            "split=5",
            "split=7",
            "crlf",
            "cr",
            "mixed-eol",
            "no-space",
            "bom",
            "comments",
            "ids",
            "multi-line",
            "crlf!split=1",
            "mixed-eol!split=1",
            "cr!split=1",
            "done-twice",
            "after-done",
            "unknown-events",
        ] {
            let reply = world.stream(&format!("{model}!unicode!{fault}"), "hello");
            assert_eq!(reply.status, 200, "{model} {fault}: {}", reply.text());
            assert_eq!(reply.streamed(), whole, "{model} {fault}");
            assert!(reply.is_done(), "{model} {fault}: {}", reply.text());
            assert_eq!(reply.text().matches("[DONE]").count(), 1, "{model} {fault}");
        }
    }
}

/// Rows: U36, U37.
#[test]
fn done_comes_only_after_a_real_end() {
    let world = patient().start();
    for model in ["gpt-4o", CLAUDE] {
        for (fault, finished) in [
            ("no-done", true),
            ("no-blank", true),
            ("end-after=3", false),
            ("close-after=3", false),
            ("reset-after=3", false),
        ] {
            // Anthropic's last event is the one that says that the message is complete.
            if model == CLAUDE && finished {
                continue;
            }
            let reply = world.stream(&format!("{model}!{fault}"), "hello");
            assert_eq!(reply.status, 200, "{model} {fault}: {}", reply.text());
            assert!(reply.complete, "{model} {fault}: the body broke off");
            assert_eq!(reply.is_done(), finished, "{model} {fault}: {}", reply.text());
            assert_eq!(reply.stream_error().is_none(), finished, "{model} {fault}: {}", reply.text());
        }
    }
}

/// Rows: U08, U19, U27, U44.
#[test]
fn a_failure_after_the_first_word_is_an_error_event_and_never_a_clean_end() {
    let world = patient()
        .provider("openai", "idle_timeout = \"500ms\"")
        .provider("anthropic", "idle_timeout = \"500ms\"")
        .start();
    for (model, mock) in [("gpt-4o", &world.openai), (CLAUDE, &world.anthropic)] {
        for (fault, code) in [
            ("stream-error=3", "upstream_failed"),
            ("stream-overloaded=3", ""),
            ("hang-after=3", "upstream_timeout"),
            ("reset-after=3", "upstream_failed"),
            ("close-after=3", "upstream_failed"),
            ("no-final-chunk!no-done", ""),
            ("bad-chunk=4", ""),
        ] {
            mock.set_fault(model, fault).unwrap();
            let reply = world.stream(model, "hello");
            assert_eq!(reply.status, 200, "{model} {fault}: {}", reply.text());
            let record = world.record_of(&reply);
            if code.is_empty() && reply.is_done() {
                continue;
            }
            assert!(!reply.text().contains("[DONE]"), "{model} {fault}: {}", reply.text());
            let error = reply.stream_error().unwrap_or_else(|| panic!("{model} {fault}: {}", reply.text()));
            assert_eq!(error["request_id"].as_str(), reply.find("x-request-id"), "{error}");
            assert!(!reply.streamed().is_empty(), "{model} {fault}: what had come was lost");
            assert!(record["error_code"].is_string(), "{model} {fault}: {record}");
            assert!(code.is_empty() || record["error_code"] == code, "{model} {fault}: {record}");
            assert_eq!(record["usage_source"], "partial", "{model} {fault}: {record}");
            let tokens = record["completion_tokens"].as_u64().unwrap();
            assert!((1..=60).contains(&tokens), "{model} {fault}: {record}");
            assert!(record["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{record}");
        }
    }
    eventually("every upstream call has ended", || world.upstream_in_flight() == 0);
    let failed = world.get("/metrics/prometheus").text();
    assert!(failed.contains("outcome=\"upstream_error\""), "{failed}");
}

/// Rows: U38.
#[test]
fn an_endless_event_is_cut_off_within_bounds() {
    let world = patient().start();
    for fault in ["giant-event=50", "endless-line"] {
        let reply = world.stream(&format!("gpt-4o!{fault}"), "hello");
        assert!(reply.body.len() < 4 << 20, "{fault}: {} bytes", reply.body.len());
        assert!(!reply.is_done(), "{fault}");
    }
    eventually("the provider was let go", || world.upstream_in_flight() == 0);
    let rss = world.metric("process_resident_memory_bytes");
    assert!(rss < 400e6, "{rss} bytes resident");
}

/// Rows: U42.
#[test]
fn tool_arguments_travel_byte_for_byte() {
    let world = World::start();
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}}}]);
    for model in ["gpt-4o", CLAUDE] {
        let ask = |fault: &str, stream: bool| {
            let mut body = streamed(&format!("{model}!tools{fault}"), "hello");
            body["tools"] = tools.clone();
            if !stream {
                body["stream"] = json!(false);
                body.as_object_mut().unwrap().remove("stream_options");
            }
            world.chat(&body)
        };
        let unary = ask("", false).json();
        let call = &unary["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "weather", "{unary}");
        assert_eq!(unary["choices"][0]["finish_reason"], "tool_calls", "{unary}");
        let wanted: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        for fault in ["", "!split-args", "!split=1"] {
            let reply = ask(fault, true);
            let events = reply.events();
            let deltas = events
                .iter()
                .flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array().cloned());
            let arguments: String = deltas
                .flatten()
                .filter_map(|call| call["function"]["arguments"].as_str().map(str::to_owned))
                .collect();
            let found: Value =
                serde_json::from_str(&arguments).unwrap_or_else(|error| panic!("{error}: {arguments}"));
            assert_eq!(found, wanted, "{model} {fault}");
        }
        let broken = ask("!bad-args", true);
        let events = broken.events();
        let arguments: String = events
            .iter()
            .filter_map(|event| {
                event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
            })
            .collect();
        assert_eq!(arguments, r#"{"city": "Par"#, "{model}: {}", broken.text());
    }
}

/// Rows: C05.
#[test]
fn a_client_that_hangs_up_before_the_first_event_cancels_the_upstream_call() {
    let world = World::start();
    for (index, body) in [
        streamed("gpt-4o!hang", "hello"),
        crate::support::daemon::question("gpt-4o!hang", "hi"),
        streamed("gpt-4o!hang-head", "hello"),
    ]
    .iter()
    .enumerate()
    {
        let id = format!("early-{index}");
        let mut conn = world.connect();
        conn.send(chat_bytes(&[("x-request-id", &id)], body.to_string().as_bytes()));
        eventually("the call is under way", || world.openai.counters().in_flight == 1);
        let left = now();
        drop(conn);
        eventually("the upstream call is cancelled", || world.openai.counters().in_flight == 0);
        assert!(left.elapsed() < Duration::from_secs(2), "{:?}", left.elapsed());
        let record = world.record(&id);
        assert_eq!(
            (&record["status"], &record["error_code"]),
            (&json!(499), &json!("client_closed")),
            "{record}"
        );
    }
    assert_eq!(world.breaker("openai", "gpt-4o"), 0.0);
    assert!(world.metric("sentinel_client_disconnects_total{phase=\"before_first_token\"}") >= 3.0);
    eventually("nothing is counted as active", || {
        world.metric("sentinel_active_requests") <= 1.0 && world.metric("sentinel_active_streams") == 0.0
    });
}

/// Rows: C06.
#[test]
fn a_client_that_hangs_up_in_the_middle_pays_for_what_was_sent() {
    let world = World::start();
    for (model, mock) in [("gpt-4o", &world.openai), (CLAUDE, &world.anthropic)] {
        let id = format!("middle-{model}");
        let mut conn = world.connect();
        mock.set_fault(model, "chunks=500!delay=20ms").unwrap();
        let body = streamed(model, "hello").to_string();
        conn.send(chat_bytes(&[("x-request-id", &id)], body.as_bytes()));
        for _ in 0..8 {
            conn.until("data: ");
        }
        drop(conn);
        eventually("the upstream call is cancelled", || mock.counters().in_flight == 0);
        assert_eq!(mock.counters().aborted, 1);
        let record = world.record(&id);
        assert_eq!(
            (&record["status"], &record["error_code"]),
            (&json!(499), &json!("client_closed")),
            "{record}"
        );
        assert_eq!(record["usage_source"], "partial", "{record}");
        let tokens = record["completion_tokens"].as_u64().unwrap();
        assert!((1..400).contains(&tokens), "{record}");
        assert!(record["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{record}");
    }
    assert!(world.metric("sentinel_client_disconnects_total{phase=\"streaming\"}") >= 2.0);
}

#[test]
fn callers_mistakes_and_leaving_never_bench_a_provider() {
    let world = World::start();
    for index in 0..60 {
        match index % 3 {
            0 => assert_eq!(world.ask("gpt-4o!400", &format!("hello {index}")).status, 400),
            1 => assert_eq!(world.ask("gpt-4o!422", &format!("hello {index}")).status, 422),
            _ => {
                let before = world.openai.counters().requests;
                let conn = world.begin(&streamed("gpt-4o!hang", &format!("hello {index}")));
                eventually("the call is under way", || world.openai.counters().requests > before);
                drop(conn);
            }
        }
    }
    eventually("all calls are cancelled", || world.upstream_in_flight() == 0);
    assert_eq!(world.breaker("openai", "gpt-4o"), 0.0);
    assert_eq!(world.ask("gpt-4o", "hello").status, 200);
    assert_eq!(world.get("/health").json()["status"], "ok");
}

/// Rows: U39, C03.
#[test]
fn a_client_that_does_not_read_stops_the_provider_and_bothers_nobody() {
    let world = World::start();
    // About 30 MB, far more than the sockets hold.
    let stuck: Vec<_> = (0..4).map(|_| world.begin(&streamed("gpt-4o!burst=100000", "hello"))).collect();
    eventually("the streams are under way", || world.openai.counters().in_flight == 4);
    for _ in 0..10 {
        let start = now();
        assert_eq!(world.ask("gpt-4o", "hello").status, 200);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
    let rss = world.metric("process_resident_memory_bytes");
    assert!(rss < 300e6, "{rss} bytes resident");
    drop(stuck);
    eventually("everything is let go", || world.upstream_in_flight() == 0);
}

/// Rows: U09.
#[test]
fn a_dripping_provider_is_waited_for() {
    let world = World::start();
    let reply = world.stream("gpt-4o!say=slow!drip=1ms", "hello");
    assert!(reply.is_done(), "{}", reply.text());
    assert_eq!(reply.streamed(), "slow");
}

#[test]
fn the_status_line_waits_for_the_first_meaningful_event() {
    let world = World::start();
    let mut conn = world.begin(&streamed("gpt-4o!head-gap=600ms!chunks=3", "hello"));
    eventually("the call is under way", || world.openai.counters().in_flight == 1);
    let (early, closed) = conn.drain(Duration::from_millis(200));
    assert!(early.is_empty() && !closed, "{}", String::from_utf8_lossy(&early));
    let text = find("the head comes", || {
        let (bytes, _) = conn.drain(Duration::from_millis(300));
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
    });
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}
