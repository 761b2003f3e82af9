//! Virtual keys: models, rates, requests in flight, budgets, and what a key may see.

use serde_json::{Value, json};

use crate::support::daemon::{ADMIN, Daemon, chat_bytes, question, run, streamed};
use crate::support::{Reply, Setup, World, at_once, eventually, find};

fn ask(daemon: &Daemon, key: &str, model: &str, text: &str) -> Reply {
    daemon.chat_with(&[("authorization", &format!("Bearer {key}"))], &question(model, text))
}

const KEY: &str = "sk-team-a-secret-0001";
const OTHER: &str = "sk-team-b-secret-0002";

#[test]
fn a_key_may_use_only_its_models() {
    let world = Setup::new()
        .with_keys(&[("a", KEY, "models = [\"gpt-4o*\", \"house-*\"]"), ("b", OTHER, "")])
        .failover("house-model", "gpt-4o")
        .failover("secret-model", "gpt-4o")
        .start();
    for (model, status) in [
        ("gpt-4o", 200),
        ("gpt-4o-mini", 200),
        ("house-model", 200),
        ("secret-model", 403),
        ("claude-sonnet-4-5", 403),
    ] {
        let reply = ask(&world, KEY, model, "hello");
        assert_eq!(reply.status, status, "{model}: {}", reply.text());
        assert!(status == 200 || reply.code() == "model_not_allowed", "{}", reply.text());
    }
    assert_eq!(ask(&world, OTHER, "secret-model", "hello").status, 200);
    let list = world.get_with("/v1/models", &[("authorization", &format!("Bearer {KEY}"))]).text();
    assert!(list.contains("house-model") && !list.contains("secret-model"), "{list}");
}

#[test]
fn requests_per_window_are_exact_over_all_workers_and_told_in_headers() {
    let world = Setup::new()
        .toml("[server]\nworkers = 4")
        .with_keys(&[("a", KEY, "rpm = 20"), ("b", OTHER, "rpm = 20")])
        .start();
    let first = ask(&world, KEY, "gpt-4o", "hello");
    assert_eq!(first.header("x-ratelimit-limit-requests"), "20", "{}", first.head);
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "19", "{}", first.head);
    assert!(!first.header("x-ratelimit-reset-requests").is_empty(), "{}", first.head);
    let replies = at_once(40, |index| ask(&world, KEY, "gpt-4o", &format!("hello {index}")));
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    // Three seconds of the window earn one more.
    assert!((19..=22).contains(&passed), "{passed} of 19 passed");
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(refused.code(), "rate_limit_exceeded", "{}", refused.text());
    assert_eq!(
        (&refused.error()["param"], &refused.error()["type"]),
        (&json!("requests"), &json!("rate_limit_error"))
    );
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=6).contains(&wait), "{}", refused.head);
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0", "{}", refused.head);
    assert_eq!(ask(&world, OTHER, "gpt-4o", "hello").status, 200, "another key pays for it");
    let record = world.record_of(refused);
    assert_eq!((&record["status"], &record["key"]), (&json!(429), &json!("a")), "{record}");
    let limited = world.metric("sentinel_rate_limited_total{reason=\"requests\"}");
    assert!(limited >= 15.0, "{limited}");
}

#[test]
fn tokens_are_settled_by_what_was_really_used() {
    let world = Setup::new().with_keys(&[("a", KEY, "tpm = 10000")]).start();
    let reply = ask(&world, KEY, "gpt-4o!usage=4000:2000", "hello");
    assert_eq!((reply.status, reply.header("x-ratelimit-limit-tokens")), (200, "10000"), "{}", reply.head);
    let reply = ask(&world, KEY, "gpt-4o!usage=4000:2000", "hello again");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = find("the tokens are used up", || {
        let reply = ask(&world, KEY, "gpt-4o", "and again");
        (reply.status == 429).then_some(reply)
    });
    assert_eq!(reply.error()["param"], "tokens", "{}", reply.text());
}

#[test]
fn requests_in_flight_are_limited_and_given_back_on_every_way_out() {
    let world = Setup::new().with_keys(&[("a", KEY, "max_in_flight = 2")]).start();
    let bearer = format!("Bearer {KEY}");
    let begin = || {
        let mut conn = world.connect();
        let body = streamed("gpt-4o!chunks=1000!delay=20ms", "hello").to_string();
        conn.send(chat_bytes(&[("authorization", &bearer)], body.as_bytes()));
        conn.until("data: ");
        conn
    };
    for _ in 0..3 {
        let held = [begin(), begin()];
        let reply = ask(&world, KEY, "gpt-4o", "hello");
        assert_eq!((reply.status, &reply.error()["param"]), (429, &json!("in_flight")), "{}", reply.text());
        drop(held);
        eventually("the places are given back", || ask(&world, KEY, "gpt-4o", "hello").status == 200);
    }
}

#[test]
fn a_budget_is_never_overdrawn_by_much_and_refuses_with_402() {
    let world = Setup::new().with_keys(&[("a", KEY, "budget_usd_day = 0.05"), ("b", OTHER, "")]).start();
    // Each call costs 0.0075 USD.
    world.openai.set_fault("*", "usage=1000:500").unwrap();
    let replies: Vec<_> = (0..12).map(|index| ask(&world, KEY, "gpt-4o", &format!("hi {index}"))).collect();
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    assert!((5..=7).contains(&passed), "{passed} passed");
    let refused = replies.last().unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (402, "budget_exceeded"), "{}", refused.text());
    assert_eq!(refused.error()["type"], "budget_error", "{}", refused.text());
    assert_eq!(refused.header("x-should-retry"), "false", "{}", refused.head);
    assert_eq!(ask(&world, OTHER, "gpt-4o", "hello").status, 200);
}

#[test]
fn a_key_sees_its_own_records_and_usage_only() {
    let world = Setup::new().with_keys(&[("a", KEY, ""), ("b", OTHER, "")]).start();
    let mine = ask(&world, KEY, "gpt-4o", "hello");
    let theirs = ask(&world, OTHER, "gpt-4o", "hello");
    world.record_of(&mine);
    world.record_of(&theirs);
    let as_key = |path: &str| world.get_with(path, &[("authorization", &format!("Bearer {KEY}"))]);
    let rows = as_key("/v1/audit").json();
    let rows = rows["data"].as_array().unwrap();
    assert!(rows.len() == 1 && rows[0]["key"] == "a", "{rows:?}");
    let foreign = as_key(&format!("/v1/audit/{}", theirs.header("x-request-id")));
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "unknown_request"), "{}", foreign.text());
    assert_eq!(as_key("/v1/audit?key=b").status, 403);
    eventually("the ledger has both", || world.admin("/v1/usage").json()["total"]["requests"] == 2);
    assert_eq!(as_key("/v1/usage").json()["total"]["requests"], 1);
    assert_eq!(as_key("/v1/usage?key=b").status, 403);
    let groups = world.admin("/v1/usage?group_by=key,model").json();
    assert_eq!(groups["data"].as_array().map(Vec::len), Some(2), "{groups}");
}

#[test]
fn limits_without_keys_are_per_address() {
    let world = Setup::new().toml("[limits]\nrpm = 3").start();
    let statuses: Vec<_> =
        (0..5).map(|index| world.ask("gpt-4o", &format!("hello {index}")).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let spoofed = world.chat_with(&[("x-forwarded-for", "10.1.1.1")], &question("gpt-4o", "hello"));
    assert_eq!(spoofed.status, 429, "a header chose the address");
}

fn key_command(world: &World, words: &[&str]) -> crate::support::daemon::Ended {
    let config = world.config().display().to_string();
    let mut arguments = vec!["key", "--config", &config];
    arguments.extend(words);
    run(&arguments, "")
}

#[test]
fn keys_are_made_listed_and_revoked_beside_a_running_daemon() {
    let world = Setup::new().with_keys(&[]).start();
    let made = key_command(&world, &["create", "--name", "made", "--rpm", "5", "--models", "gpt-4o,house-*"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let secret = made
        .stdout
        .split_whitespace()
        .map(|word| word.trim_matches(['"', ',']))
        .find(|word| word.starts_with("sk-"))
        .unwrap_or_else(|| panic!("no secret in {}", made.stdout))
        .to_owned();
    eventually("the daemon knows the key", || ask(&world, &secret, "gpt-4o", "hello").status == 200);
    assert_eq!(ask(&world, &secret, "claude-sonnet-4-5", "hello").code(), "model_not_allowed");
    let listed = key_command(&world, &["list", "--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert!(listed.stdout.contains("made") && !listed.stdout.contains(&secret), "{}", listed.stdout);
    let rows: Value =
        serde_json::from_str(&listed.stdout).unwrap_or_else(|error| panic!("{error}: {}", listed.stdout));
    let rows =
        rows.as_array().or_else(|| rows["keys"].as_array()).or_else(|| rows["data"].as_array()).cloned();
    let id =
        rows.unwrap().iter().find(|row| row["name"] == "made").unwrap()["id"].as_str().unwrap().to_owned();
    for file in crate::support::daemon::files(&world.data()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is in {}", file.display());
    }
    let revoked = key_command(&world, &["revoke", &id]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    eventually("the daemon refuses the key", || {
        ask(&world, &secret, "gpt-4o", "hello").code() == "invalid_api_key"
    });
    assert_eq!(key_command(&world, &["revoke", "no-such-id"]).code, Some(1));
    assert!(!world.log().contains(&secret) && !world.log().contains(ADMIN));
}
