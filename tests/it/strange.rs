//! Providers whose answers are strange: odd framing, bombs, lies about tokens, redirects, repeated credentials.

use serde_json::Value;

use crate::support::setup::OPENAI_KEY;
use crate::support::{Setup, World, now};

const CLAUDE: &str = "claude-sonnet-4-5";

/// Rows: U47.
#[test]
fn a_credential_that_a_provider_repeats_is_scrubbed_everywhere() {
    let world = World::start();
    for status in [400, 422, 500, 503] {
        let reply = world.ask(&format!("gpt-4o!echo-auth={status}"), "hello");
        assert!(reply.status >= 400);
        assert!(!reply.text().contains(OPENAI_KEY), "{status}: {}", reply.text());
        let record = world.record_of(&reply);
        assert!(!record.to_string().contains(OPENAI_KEY), "{record}");
    }
    assert!(!world.log().contains(OPENAI_KEY), "{}", world.log());
    assert!(!world.get("/health").text().contains(OPENAI_KEY));
}

/// Rows: U45.
#[test]
fn redirects_are_not_followed() {
    let world = World::start();
    let canary = format!("http://{}/mock/canary", world.anthropic.addr());
    let reply = world.ask(&format!("gpt-4o!redirect={canary}"), "hello");
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert_eq!(world.anthropic.counters().canary_hits, 0);
    assert!(!reply.text().contains("canary") && reply.find("location").is_none(), "{}", reply.text());
}

/// Rows: U29, U30, U46, U48.
#[test]
fn odd_but_usable_answers_are_used() {
    let world = World::start();
    for fault in [
        "no-content-type",
        "text-plain",
        "set-cookie",
        "hop-by-hop",
        "idle-close",
        "stale",
        "leading-space",
        "unknown-fields",
        "index-gap",
        "headers=50",
    ] {
        for _ in 0..2 {
            let reply = world.ask(&format!("gpt-4o!{fault}"), "hello");
            assert_eq!(reply.status, 200, "{fault}: {}", reply.text());
            assert!(!reply.content().is_empty(), "{fault}: {}", reply.text());
            for header in
                ["set-cookie", "server", "x-secret-hop", "proxy-authenticate", "upgrade", "x-filler-1"]
            {
                assert!(reply.find(header).is_none(), "{fault}: {}", reply.head);
            }
        }
    }
    assert_eq!(world.get("/health").json()["status"], "ok");
    for fault in ["gzip", "deflate", "br"] {
        let reply = world.ask(&format!("gpt-4o!{fault}"), "hello");
        let refused = reply.status == 502 && reply.code() == "upstream_invalid_response";
        assert!(refused || !reply.content().is_empty(), "{fault}: {}", reply.text());
    }
}

/// Rows: U29, U46.
#[test]
fn bombs_of_a_provider_are_refused_within_bounds() {
    let world = Setup::new()
        .provider("openai", "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000")
        .start();
    for fault in ["gzip-bomb=64", "big-header=4194304", "headers=5000", "big=12"] {
        let start = now();
        let reply =
            world.begin(&crate::support::daemon::question(&format!("gpt-4o!{fault}"), "hello")).try_reply();
        let reply = reply.unwrap_or_else(|| panic!("{fault}: no answer within {:?}", start.elapsed()));
        assert_eq!(reply.status, 502, "{fault}: {:.200}", reply.text());
    }
    let rss = world.metric("process_resident_memory_bytes");
    assert!(rss < 400e6, "{rss} bytes resident");
    let reply = world.ask("gpt-4o!header-lf", "hello");
    assert!(reply.find("x-forged").is_none(), "{}", reply.head);
}

/// Rows: U26, U49.
#[test]
fn bytes_beyond_an_answer_are_never_taken_for_the_next_one() {
    let world = Setup::new()
        .provider("openai", "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000")
        .start();
    for index in 0..5 {
        let first = world.ask("gpt-4o!length-short", "hello");
        assert!(matches!(first.status, 200 | 502), "{}", first.text());
        let next = world.ask("gpt-4o!say=clean", &format!("hello {index}"));
        assert_eq!((next.status, next.content().as_str()), (200, "clean"), "{}", next.text());
    }
}

/// Rows: U23.
#[test]
fn an_answer_never_reaches_the_request_after_it() {
    let world = Setup::new()
        .provider("openai", "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000")
        .start();
    for fault in
        ["100", "103", "204", "206", "304", "418", "length-short", "close-head", "cut", "no-final-chunk"]
    {
        for index in 0..4 {
            let first = world.ask(&format!("gpt-4o!say=first!{fault}"), &format!("{fault} {index}"));
            assert!(matches!(first.status, 200 | 502), "{fault}: {}", first.text());
            let next = world.ask("gpt-4o!say=second", &format!("{fault} {index}"));
            assert_eq!((next.status, next.content().as_str()), (200, "second"), "{fault}: {}", next.text());
        }
    }
}

/// Rows: U40.
#[test]
fn impossible_token_counts_are_replaced_by_estimates() {
    let world = World::start();
    for (model, mock) in [("gpt-4o", &world.openai), (CLAUDE, &world.anthropic)] {
        for fault in ["usage-missing", "usage-negative", "usage-huge"] {
            mock.set_fault(model, fault).unwrap();
            for reply in [world.ask(model, "hello"), world.stream(model, "hello")] {
                assert_eq!(reply.status, 200, "{fault}: {}", reply.text());
                let record = world.record_of(&reply);
                let cost = record["cost_usd"].as_f64();
                assert!(cost.is_some_and(|cost| cost > 0.0 && cost < 1.0), "{model} {fault}: {record}");
                assert_eq!(record["usage_source"], "estimated", "{model} {fault}: {record}");
                assert!(
                    record["completion_tokens"].as_u64().is_some_and(|tokens| tokens < 100_000),
                    "{record}"
                );
            }
        }
    }
    assert!(
        world.get("/metrics").json()["total_cost_usd"]
            .as_f64()
            .is_some_and(|cost| (0.0..1.0).contains(&cost))
    );
}

/// Rows: U41.
#[test]
fn strange_answers_never_panic() {
    let world = Setup::new()
        .provider("openai", "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000")
        .provider("anthropic", "[breaker]\nconsecutive_failures = 1000\nminimum_calls = 1000")
        .start();
    for model in ["gpt-4o", CLAUDE] {
        for fault in
            ["null-content", "index-gap", "unknown-fields", "unknown-events", "empty-choices", "latin1"]
        {
            for reply in [
                world.ask(&format!("{model}!{fault}"), "hello"),
                world.stream(&format!("{model}!{fault}"), "hello"),
            ] {
                assert!(matches!(reply.status, 200 | 502), "{model} {fault}: {}", reply.text());
            }
        }
    }
    assert!(!world.log().contains("panicked"), "{}", world.log());
    let restarts: Value = world.get("/health").json()["actors"]["restarts"].clone();
    assert_eq!(restarts, 0);
}
