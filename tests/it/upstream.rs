//! Providers that fail before the answer has begun: what the client sees, who is asked next, who is blamed.

use std::time::Duration;

use sentinel_load::mock::Listening;
use serde_json::json;

use crate::support::setup::OPENAI_KEY;
use crate::support::{Reply, Setup, World, eventually, now};

const CLAUDE: &str = "claude-sonnet-4-5";

/// A route `pair` whose first target has this fault and whose second works.
fn pair(fault: &str) -> Setup {
    Setup::new()
        .failover("pair", &format!("gpt-4o!{fault}"))
        .provider("openai", "first_byte_timeout = \"1s\"\nidle_timeout = \"1s\"\nconnect_timeout = \"1s\"")
}

#[track_caller]
fn assert_failed_over(reply: &Reply, fault: &str) {
    assert_eq!(reply.status, 200, "{fault}: {}", reply.text());
    assert_eq!(reply.header("x-sentinel-provider"), "anthropic", "{fault}: {}", reply.head);
    let attempts: u64 = reply.header("x-sentinel-attempts").parse().unwrap();
    assert!((2..=3).contains(&attempts), "{fault}: {}", reply.head);
}

/// Rows: U02, U03, U07, U18, U19, U23, U24, U25, U26, U27, U31, U43.
#[test]
fn a_failing_first_target_costs_the_client_nothing() {
    let world = Setup::new()
        .provider("openai", "first_byte_timeout = \"700ms\"\nidle_timeout = \"700ms\"")
        .provider("openai", "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000")
        .failover("pair", "gpt-4o")
        .start();
    let both =
        ["500", "502", "503", "504", "520", "529", "html", "html=502", "reset", "close", "204", "418", "999"];
    let unary = ["cut", "length-long", "bad-utf8", "error-200", "206"];
    let streams =
        ["stream-overloaded", "hang-head", "close-head", "reset-head", "bad-chunk=0", "end-after=0"];
    for (faults, streaming) in
        [(&both[..], false), (&both[..], true), (&unary[..], false), (&streams[..], true)]
    {
        for fault in faults {
            world.openai.set_fault("gpt-4o", fault).unwrap();
            let reply = if streaming { world.stream("pair", "hello") } else { world.ask("pair", "hello") };
            assert_failed_over(&reply, &format!("{fault}, stream {streaming}"));
            assert!(!streaming || reply.is_done(), "{fault}: {}", reply.text());
            let record = world.record_of(&reply);
            assert_eq!(
                (&record["status"], &record["provider"]),
                (&json!(200), &json!("anthropic")),
                "{record}"
            );
        }
    }
    assert!(world.metric("sentinel_failovers_total{from=\"openai\",to=\"anthropic\"}") > 10.0);
}

/// Rows: U18, U20, U21, U22, U24, U43.
#[test]
fn a_failure_without_another_target_has_an_honest_status() {
    let world = Setup::new()
        .provider("openai", "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000")
        .start();
    for (fault, status, code) in [
        ("500", 502, "upstream_failed"),
        ("502", 502, "upstream_failed"),
        ("520", 502, "upstream_failed"),
        ("503", 503, "upstream_overloaded"),
        ("529", 503, "upstream_overloaded"),
        ("504", 504, "upstream_timeout"),
        ("html", 502, "upstream_invalid_response"),
        ("cut", 502, "upstream_invalid_response"),
        ("bad-utf8", 502, "upstream_invalid_response"),
        ("redirect", 502, "upstream_invalid_response"),
        ("reset", 502, "upstream_failed"),
    ] {
        let model = format!("gpt-4o!{fault}");
        let reply = world.ask(&model, "hello");
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{fault}: {}", reply.text());
        assert!(!reply.text().contains("<html"), "{fault}: the page was forwarded");
        let record = world.record_of(&reply);
        assert_eq!((&record["status"], &record["error_code"]), (&json!(status), &json!(code)), "{record}");
        if matches!(status, 503) {
            assert!(reply.find("retry-after").is_some(), "{fault}: {}", reply.head);
        }
    }
}

/// Rows: U21, U22.
#[test]
fn a_refusal_of_the_request_itself_keeps_status_and_words_and_is_not_retried() {
    let world = World::start();
    for (model, mock) in [("gpt-4o", &world.openai), (CLAUDE, &world.anthropic)] {
        for status in [400, 404, 413, 422] {
            mock.reset();
            mock.set_fault(model, &status.to_string()).unwrap();
            for reply in [world.ask(model, "hello"), world.stream(model, "hello")] {
                assert_eq!(reply.status, status, "{model}: {}", reply.text());
                let error = reply.error();
                assert!(error["message"].as_str().is_some_and(|text| text.len() > 5), "{error}");
                assert_eq!(error["request_id"].as_str(), reply.find("x-request-id"), "{error}");
                assert_eq!(reply.header("x-sentinel-attempts"), "1", "{}", reply.head);
            }
            assert_eq!(mock.counters().requests, 2, "{model} {status}");
        }
        mock.set_fault(model, "context-length").unwrap();
        let reply = world.ask(model, "hello");
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "context_length_exceeded"),
            "{}",
            reply.text()
        );
        mock.reset();
    }
    assert_eq!(world.breaker("openai", "gpt-4o"), 0.0);
    assert_eq!(world.get("/health").json()["status"], "ok");
}

/// Rows: U16.
#[test]
fn one_failure_is_retried_on_the_same_target() {
    let world = World::start();
    world.openai.script("gpt-4o", &["500"]).unwrap();
    let reply = world.ask("gpt-4o", "hello");
    assert_eq!((reply.status, reply.header("x-sentinel-attempts")), (200, "2"), "{}", reply.text());
    world.openai.script("gpt-4o", &["reset"]).unwrap();
    let reply = world.stream("gpt-4o", "hello");
    assert_eq!((reply.status, reply.header("x-sentinel-attempts")), (200, "2"), "{}", reply.text());
    assert_eq!(world.record_of(&reply)["attempts"], 2);
    assert!(
        world.metric("sentinel_retries_total{provider=\"openai\",reason=\"server_error\"}") >= 1.0
            || world.get("/metrics").json()["retries"].as_object().is_some_and(|retries| !retries.is_empty())
    );
}

/// Rows: U01, U02.
#[test]
fn a_provider_that_cannot_be_reached_is_passed_over_at_once() {
    let world = pair("ok").start();
    for mode in [Listening::Refuse, Listening::ResetOnAccept] {
        world.openai.listen(mode);
        eventually("the provider is gone", || {
            let start = now();
            let reply = world.ask("pair", "hello");
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(start.elapsed() < Duration::from_secs(3), "the failover took {:?}", start.elapsed());
            reply.header("x-sentinel-provider") == "anthropic"
        });
    }
    let alone = world.ask("openai/gpt-4o", "hello");
    assert!(matches!(alone.status, 502 | 503), "{}", alone.text());
}

/// Rows: U04.
#[test]
fn a_name_that_does_not_exist_is_a_502_and_a_failover() {
    let world = pair("ok").provider("openai", "base_url = \"https://no-such-host.invalid/v1\"").start();
    assert_failed_over(&world.ask("pair", "hello"), "unknown host");
    let reply = world.ask("gpt-4o", "hello");
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_failed"), "{}", reply.text());
}

/// Rows: U06, U07.
#[test]
fn silence_before_the_first_event_ends_at_its_limit_and_is_not_repeated_there() {
    let world = Setup::new()
        .provider("openai", "first_byte_timeout = \"800ms\"")
        .failover("pair", "gpt-4o!hang")
        .start();
    let start = now();
    let reply = world.ask("gpt-4o!hang", "hello");
    let took = start.elapsed();
    assert_eq!((reply.status, reply.code().as_str()), (504, "upstream_timeout"), "{}", reply.text());
    assert_eq!(reply.header("x-sentinel-attempts"), "1", "{}", reply.head);
    assert!(took >= Duration::from_millis(750) && took < Duration::from_secs(5), "{took:?}");
    assert_failed_over(&world.ask("pair", "hello"), "hang");
    assert_failed_over(&world.stream("pair", "hello"), "hang");
    let reply = world.stream("gpt-4o!hang-head", "hello");
    assert_eq!((reply.status, reply.code().as_str()), (504, "upstream_timeout"), "{}", reply.text());
    eventually("the calls were given up", || world.upstream_in_flight() == 0);
}

/// Rows: U51.
#[test]
fn pings_alone_do_not_count_as_an_answer() {
    let world = Setup::new().provider("anthropic", "first_byte_timeout = \"800ms\"").start();
    let reply = world.stream(&format!("{CLAUDE}!ping-only=50ms"), "hello");
    assert_eq!((reply.status, reply.code().as_str()), (504, "upstream_timeout"), "{}", reply.text());
}

/// Rows: U10, U11, U12, U13, U14.
#[test]
fn a_throttled_provider_is_left_alone_for_as_long_as_it_says() {
    for (fault, low, high) in [
        ("429=2", 0.5, 2.0),
        ("429-ms=1500", 0.3, 1.5),
        ("429=date", 0.5, 300.0),
        ("429", 2.0, 5.0),
        ("429=abc", 2.0, 5.0),
        ("429=-5", 2.0, 5.0),
        ("429=1000000000", 100.0, 300.0),
    ] {
        let world = Setup::new().failover("pair", "gpt-4o").start();
        world.openai.set_fault("gpt-4o", fault).unwrap();
        let reply = world.ask("pair", "hello");
        assert_eq!(
            (reply.status, reply.header("x-sentinel-provider")),
            (200, "anthropic"),
            "{fault}: {}",
            reply.head
        );
        let cooldown = world.metric("sentinel_cooldown_seconds{model=\"gpt-4o\",provider=\"openai\"}");
        assert!((low..=high).contains(&cooldown), "{fault}: {cooldown} s");
        // It is not even asked meanwhile, and its breaker is not blamed.
        let before = world.openai.counters().requests;
        assert_eq!(world.ask("pair", "again").header("x-sentinel-provider"), "anthropic");
        assert_eq!(world.openai.counters().requests, before, "{fault}");
        assert_eq!(world.breaker("openai", "gpt-4o"), 0.0, "{fault}");
    }
}

/// Rows: U10, U11, U13.
#[test]
fn a_throttled_only_target_is_an_honest_429() {
    let world = World::start();
    for (fault, wait) in [("429=7", Some("7")), ("429=two", None), ("429=NaN", None), ("429=", None)] {
        let model = format!("gpt-4o-{}!{fault}", fault.len());
        let reply = world.ask(&model, "hello");
        assert_eq!(reply.status, 429, "{fault}: {}", reply.text());
        assert_eq!(reply.error()["type"], "requests", "{fault}: {}", reply.text());
        let told = reply.header("retry-after").parse::<u64>().ok();
        assert!(told.is_some_and(|seconds| seconds >= 1), "{fault}: {}", reply.head);
        assert!(wait.is_none_or(|wait| reply.header("retry-after") == wait), "{fault}: {}", reply.head);
    }
    // A moment that has passed means at once.
    let reply = world.ask("gpt-4o-past!429=past-date", "hello");
    assert_eq!(reply.status, 429, "{}", reply.text());
}

/// Rows: U15.
#[test]
fn a_spent_quota_is_told_as_such_and_not_retried() {
    for (model, fault) in
        [("gpt-4o", "quota"), ("gpt-4o", "spend-cap"), (CLAUDE, "credit"), ("gpt-4o", "402")]
    {
        let world = World::start();
        let reply = world.ask(&format!("{model}!{fault}"), "hello");
        assert_eq!(reply.status, 429, "{fault}: {}", reply.text());
        assert_eq!(reply.header("x-should-retry"), "false", "{fault}: {}", reply.head);
        assert_eq!(reply.header("x-sentinel-attempts"), "1", "{fault}: {}", reply.head);
        assert_eq!(world.record_of(&reply)["error_code"], "upstream_quota", "{fault}");
        let again = world.ask(&format!("{model}!{fault}"), "hello");
        assert!(matches!(again.status, 429 | 503), "{fault}: {}", again.text());
        assert_eq!(world.upstream_calls(), 1, "{fault}: the spent account was asked again");
    }
}

/// Rows: U20, U47.
#[test]
fn the_gateways_own_bad_key_is_a_502_that_tells_nothing() {
    for status in ["401", "403", "echo-auth=401"] {
        let world = Setup::new().failover("pair", &format!("gpt-4o!{status}")).start();
        let reply = world.ask(&format!("gpt-4o-mini!{status}"), "hello");
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_auth"), "{}", reply.text());
        for word in [OPENAI_KEY, "platform.openai.com", "Incorrect"] {
            assert!(!reply.text().contains(word), "{}", reply.text());
        }
        assert_failed_over(&world.ask("pair", "hello"), status);
        assert_eq!(world.breaker("openai", "gpt-4o-mini"), 0.0);
    }
}

/// Rows: U17, U52.
#[test]
fn a_dead_provider_opens_its_breaker_within_ten_calls() {
    let world = Setup::new()
        .add("routes", "model = \"gpt-4o\"\ntargets = [{ provider = \"openai\", model = \"gpt-4o\" }]")
        .start();
    world.openai.set_fault("gpt-4o", "500").unwrap();
    for index in 0..30 {
        let reply = world.ask("gpt-4o", &format!("hello {index}"));
        assert!(matches!(reply.status, 502 | 503), "{}", reply.text());
    }
    let calls = world.openai.counters().requests;
    assert!((5..=10).contains(&calls), "{calls} calls reached the dead provider");
    assert_eq!(world.breaker("openai", "gpt-4o"), 2.0);
    let start = now();
    let reply = world.ask("gpt-4o", "hello");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!((reply.status, reply.code().as_str()), (503, "circuit_open"), "{}", reply.text());
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=12).contains(&wait), "{}", reply.head);
    assert_ne!(world.get("/health").json()["status"], "ok");
    assert_eq!(world.record_of(&reply)["error_code"], "circuit_open");
    assert_eq!(world.get("/metrics").json()["circuit_breakers"]["openai/gpt-4o"], "open");
    let transitions =
        "sentinel_circuit_breaker_transitions_total{model=\"gpt-4o\",provider=\"openai\",to=\"open\"}";
    assert_eq!(world.metric(transitions), 1.0);
}

/// Rows: U53.
#[test]
fn a_provider_that_came_back_is_used_again_after_its_probes() {
    let world = Setup::new()
        .provider("openai", "[breaker]\nconsecutive_failures = 3\nopen_for = \"300ms\"")
        .failover("pair", "gpt-4o")
        .start();
    world.openai.set_fault("gpt-4o", "500").unwrap();
    for index in 0..5 {
        assert_eq!(world.ask("pair", &format!("hello {index}")).status, 200);
    }
    eventually("the breaker is open", || world.breaker("openai", "gpt-4o") >= 1.0);
    world.openai.set_fault("gpt-4o", "").unwrap();
    eventually("the breaker closes again", || {
        assert_eq!(world.ask("pair", "hello").status, 200);
        world.breaker("openai", "gpt-4o") == 0.0
    });
    assert_eq!(world.ask("pair", "hello").header("x-sentinel-provider"), "openai");
    eventually("health is well again", || world.get("/health").json()["status"] == "ok");
}

/// Rows: U52.
#[test]
fn all_providers_down_is_a_fast_503_with_a_time() {
    let world = Setup::new()
        .provider("openai", "[breaker]\nconsecutive_failures = 2")
        .provider("anthropic", "[breaker]\nconsecutive_failures = 2")
        .failover("pair", "gpt-4o")
        .start();
    world.openai.set_fault("*", "500").unwrap();
    world.anthropic.set_fault("*", "500").unwrap();
    for _ in 0..6 {
        assert!(world.ask("pair", "hello").status >= 502);
    }
    let start = now();
    let reply = world.ask("pair", "hello");
    assert_eq!((reply.status, reply.code().as_str()), (503, "all_targets_unavailable"), "{}", reply.text());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(reply.header("retry-after").parse::<u64>().is_ok(), "{}", reply.head);
    let health = world.get("/health");
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("down")));
    assert_eq!(world.get("/health/live").status, 200);
    assert_eq!(world.get("/health/ready").status, 200, "a dead provider is no reason to restart the gateway");
}
