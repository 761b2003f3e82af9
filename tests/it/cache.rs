//! Answers given again: hits, bypasses, shared flights, whose they are.

use serde_json::json;

use crate::support::daemon::{question, streamed};
use crate::support::{Setup, World, at_once, eventually};

fn cached() -> Setup {
    Setup::new().toml("[cache]\nenabled = true")
}

fn how(world: &World, headers: &[(&str, &str)], text: &str) -> String {
    let reply = world.chat_with(headers, &question("gpt-4o", text));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-sentinel-cache").to_owned()
}

#[test]
fn the_second_answer_is_a_hit_that_costs_nothing() {
    let world = cached().start();
    let first = world.ask("gpt-4o", "What is 6 times 7?");
    let second = world.ask("gpt-4o", "What is 6 times 7?");
    assert_eq!((first.header("x-sentinel-cache"), second.header("x-sentinel-cache")), ("miss", "hit"));
    assert_eq!(first.content(), second.content());
    assert_eq!(second.json()["cost_usd"].as_f64(), Some(0.0), "{}", second.text());
    assert_eq!(second.header("x-sentinel-attempts"), "0", "{}", second.head);
    assert_eq!(second.header("x-sentinel-provider"), "openai", "{}", second.head);
    assert_eq!(world.upstream_calls(), 1);
    let record = world.record_of(&second);
    assert_eq!((&record["cache"], &record["cost_usd"]), (&json!("hit"), &json!(0.0)), "{record}");
    assert_eq!(world.metric("sentinel_cache_hits_total"), 1.0);
    assert_eq!(world.metric("sentinel_cache_misses_total"), 1.0);
    assert!(world.metric("sentinel_cost_saved_usd_total") > 0.0);
}

#[test]
fn every_deciding_field_makes_another_answer() {
    let world = cached().start();
    let base = question("gpt-4o", "hello");
    assert_eq!(world.chat(&base).header("x-sentinel-cache"), "miss");
    for (field, value) in [
        ("temperature", json!(0.5)),
        ("max_tokens", json!(5)),
        ("seed", json!(1)),
        ("x_future", json!(true)),
        ("response_format", json!({"type": "json_object"})),
    ] {
        let mut body = base.clone();
        body[field] = value;
        assert_eq!(world.chat(&body).header("x-sentinel-cache"), "miss", "{field}");
    }
    let mut body = base.clone();
    body["user"] = json!("somebody");
    assert_eq!(world.chat(&body).header("x-sentinel-cache"), "hit", "user decides nothing");
    assert_eq!(world.ask("gpt-4o-mini", "hello").header("x-sentinel-cache"), "miss");
}

#[test]
fn callers_can_pass_by_the_cache() {
    let world = cached().start();
    assert_eq!(how(&world, &[("cache-control", "no-store")], "a"), "bypass");
    assert_eq!(how(&world, &[], "a"), "miss", "no-store was kept");
    assert_eq!(how(&world, &[], "a"), "hit");
    assert_eq!(how(&world, &[("cache-control", "no-cache")], "a"), "bypass");
    assert_eq!(how(&world, &[("cache-control", "max-age=0, No-Store")], "a"), "bypass");
    assert_eq!(how(&world, &[("cache-control", "no-cache")], "b"), "bypass");
    assert_eq!(how(&world, &[], "b"), "hit", "no-cache skips the read only");
    let off = World::start();
    assert_eq!(how(&off, &[], "a"), "bypass");
}

#[test]
fn streams_are_replayed_as_streams_and_only_if_they_ended() {
    let world = cached().start();
    let first = world.stream("gpt-4o", "hello");
    let second = world.stream("gpt-4o", "hello");
    assert_eq!(second.header("x-sentinel-cache"), "hit", "{}", second.head);
    assert!(second.is_done() && second.streamed() == first.streamed(), "{}", second.text());
    let last = second.events().into_iter().rfind(serde_json::Value::is_object).unwrap();
    assert!(last["usage"].is_object() && last["cost_usd"].as_f64() == Some(0.0), "{last}");
    let mut silent = streamed("gpt-4o", "hello");
    silent.as_object_mut().unwrap().remove("stream_options");
    let third = world.chat(&silent);
    assert!(third.is_done() && !third.text().contains("\"usage\":{"), "{}", third.text());
    for fault in ["close-after=3", "stream-error=3"] {
        let model = format!("gpt-4o!{fault}");
        assert!(!world.stream(&model, "broken").is_done());
        let again = world.stream(&model, "broken");
        assert_ne!(again.header("x-sentinel-cache"), "hit", "{fault}: half an answer was kept");
    }
    for fault in ["500", "400", "429"] {
        world.ask(&format!("gpt-4o-mini!{fault}"), "refused");
        assert_ne!(world.ask(&format!("gpt-4o-mini!{fault}"), "refused").header("x-sentinel-cache"), "hit");
    }
}

#[test]
fn no_two_keys_share_an_answer_unless_the_operator_says_so() {
    for (scope, expected) in [("key", "miss"), ("shared", "hit")] {
        let world = cached()
            .toml(&format!("[cache]\nscope = \"{scope}\""))
            .with_keys(&[("a", "sk-cache-a-secret", ""), ("b", "sk-cache-b-secret", "")])
            .start();
        assert_eq!(how(&world, &[("authorization", "Bearer sk-cache-a-secret")], "hello"), "miss");
        assert_eq!(
            how(&world, &[("authorization", "Bearer sk-cache-b-secret")], "hello"),
            expected,
            "{scope}"
        );
        assert_eq!(how(&world, &[("authorization", "Bearer sk-cache-a-secret")], "hello"), "hit");
    }
}

/// Rows: C30.
#[test]
fn a_hundred_identical_requests_are_one_upstream_call_and_one_bill() {
    let world = cached().toml("[server]\nworkers = 4").start();
    for (round, streaming) in [(0, false), (1, true)] {
        world.openai.reset();
        world.openai.set_fault("*", "latency=800ms").unwrap();
        let text = format!("the same {round}");
        let replies = at_once(100, |_| match streaming {
            true => world.stream("gpt-4o", &text),
            false => world.ask("gpt-4o", &text),
        });
        assert!(replies.iter().all(|reply| reply.status == 200 && (!streaming || reply.is_done())));
        assert_eq!(world.openai.counters().requests, 1, "streaming {streaming}");
        let count =
            |word: &str| replies.iter().filter(|reply| reply.header("x-sentinel-cache") == word).count();
        assert_eq!((count("miss"), count("coalesced") + count("hit")), (1, 99), "streaming {streaming}");
        let texts: std::collections::BTreeSet<_> =
            replies.iter().map(|reply| if streaming { reply.streamed() } else { reply.content() }).collect();
        assert_eq!(texts.len(), 1);
        eventually("one call was billed", || {
            let report = world.get("/v1/usage").json();
            report["total"]["requests"].as_u64() >= Some(100 * (round + 1))
        });
    }
    let one = world.ask("gpt-4o", "price").json()["cost_usd"].as_f64().unwrap();
    let spent = world.get("/metrics").json()["total_cost_usd"].as_f64().unwrap();
    assert!(one > 0.0 && spent < one * 4.0, "two hundred requests of {one} USD cost {spent}");
}

#[test]
fn the_one_who_asked_first_may_leave_without_taking_the_answer_from_the_others() {
    let world = cached().start();
    let first = world.begin(&streamed("gpt-4o!latency=700ms", "shared"));
    eventually("the call is under way", || world.openai.counters().in_flight == 1);
    let replies = std::thread::scope(|scope| {
        let others: Vec<_> =
            (0..3).map(|_| scope.spawn(|| world.stream("gpt-4o!latency=700ms", "shared"))).collect();
        crate::support::pause(std::time::Duration::from_millis(200));
        drop(first);
        others.into_iter().map(|other| other.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(replies.iter().all(|reply| reply.is_done()), "{}", replies[0].text());
    assert_eq!(world.upstream_calls(), 1);
}
