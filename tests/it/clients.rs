//! Clients that bend the protocol: framing, pipelining, half-closing, paths, hosts, credentials, origins.

use std::time::Duration;

use serde_json::json;

use crate::support::daemon::{ADMIN, chat_bytes, question};
use crate::support::http::request;
use crate::support::{Setup, World, at_once, eventually};

const KEY: &str = "sk-client-secret-0001";
const OTHER: &str = "sk-client-secret-0002";

fn guarded() -> World {
    Setup::new().with_keys(&[("one", KEY, ""), ("two", OTHER, "")]).start()
}

/// Rows: C17, C19.
#[test]
fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let world = World::start();
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
    let length = body.len();
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let table = [
        (
            "length and chunks",
            format!("{start}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
        ),
        (
            "chunks and length",
            format!("{start}transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n{chunked}"),
        ),
        ("two lengths", format!("{start}content-length: {length}\r\ncontent-length: 5\r\n\r\n{body}")),
        ("signed length", format!("{start}content-length: +{length}\r\n\r\n{body}")),
        ("negative length", format!("{start}content-length: -1\r\n\r\n{body}")),
        ("length that is no number", format!("{start}content-length: ten\r\n\r\n{body}")),
        ("huge length", format!("{start}content-length: 99999999999999999999999\r\n\r\n{body}")),
        ("unknown coding", format!("{start}transfer-encoding: xchunked\r\n\r\n{chunked}")),
        ("chunked is not last", format!("{start}transfer-encoding: chunked, identity\r\n\r\n{chunked}")),
        (
            "coding in two lines",
            format!("{start}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n{chunked}"),
        ),
        ("space before the colon", format!("{start}content-length : {length}\r\n\r\n{body}")),
        (
            "chunk size overflow",
            format!("{start}transfer-encoding: chunked\r\n\r\nfffffffffffffffff1\r\n{body}"),
        ),
        ("chunk size no number", format!("{start}transfer-encoding: chunked\r\n\r\nzz\r\n{body}")),
        ("no host", "GET /health HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned()),
        ("NUL in a header", "GET /health HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n".to_owned()),
        ("folded header", "GET /health HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n".to_owned()),
        ("no version", "GET /health\r\nhost: x\r\n\r\n".to_owned()),
        ("prior knowledge of h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n".to_owned()),
    ];
    for (what, bytes) in table {
        let mut conn = world.connect();
        conn.send(&bytes);
        if let Some(reply) = conn.try_reply() {
            assert_eq!(reply.status, 400, "{what}: {} {}", reply.head, reply.text());
        }
        assert!(conn.is_closed(), "{what}: the connection stays open");
    }
    assert_eq!(world.upstream_calls(), 0, "a request of ambiguous length went on");
    assert_eq!(world.get("/health").status, 200);
}

/// Rows: C19.
#[test]
fn other_protocols_and_proxy_requests_are_not_served() {
    let world = World::start();
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let elsewhere = canary.local_addr().unwrap();
    for bytes in [
        format!("CONNECT {elsewhere} HTTP/1.1\r\nhost: {elsewhere}\r\n\r\n"),
        format!("GET http://{elsewhere}/ HTTP/1.1\r\nhost: {elsewhere}\r\n\r\n"),
        format!("OPTIONS * HTTP/1.1\r\nhost: {elsewhere}\r\n\r\n"),
        "TRACE /v1/models HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
    ] {
        let reply = world.connect().send(&bytes).try_reply();
        let status = reply.map_or(400, |reply| reply.status);
        assert!(matches!(status, 400 | 404 | 405), "{bytes}: {status}");
        assert!(canary.accept().is_err(), "{bytes} was proxied");
    }
    let upgrade = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    assert_eq!(world.raw(upgrade).status, 200, "an upgrade that is not taken up is ignored");
}

/// Rows: C18.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::start();
    let mut conn = world.connect();
    let mut bytes = Vec::new();
    for index in 0..12 {
        let id = format!("pipe-{index}");
        // The first takes longest, so answers out of order would show.
        let model = if index == 0 { "gpt-4o!latency=300ms" } else { "gpt-4o" };
        bytes.extend(chat_bytes(&[("x-request-id", &id)], question(model, "hello").to_string().as_bytes()));
    }
    bytes.extend(request("GET", "/nothing", &[("x-request-id", "pipe-12")], None));
    bytes.extend(request("GET", "/health/live", &[("x-request-id", "pipe-13")], None));
    conn.send(bytes);
    for index in 0..14 {
        let reply = conn.reply();
        assert_eq!(reply.header("x-request-id"), format!("pipe-{index}"), "{}", reply.text());
        assert_eq!(reply.status, if index == 12 { 404 } else { 200 }, "{}", reply.text());
    }
}

/// Rows: C07.
#[test]
fn a_client_that_closes_its_half_is_taken_for_gone() {
    let world = World::start();
    let mut conn = world.begin(&question("gpt-4o!hang", "hello"));
    eventually("the call is under way", || world.openai.counters().in_flight == 1);
    conn.finish();
    eventually("the call is cancelled", || world.openai.counters().in_flight == 0);
}

/// Rows: C01.
#[test]
fn a_head_that_never_ends_is_closed() {
    let world = World::start();
    let mut conn = world.connect();
    conn.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n");
    let (bytes, closed) = conn.drain(Duration::from_secs(12));
    assert!(closed, "the connection stays open");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
}

/// Rows: C02.
#[test]
fn a_body_that_never_ends_is_a_408() {
    let world = Setup::new().toml("[server]\nbody_timeout = \"500ms\"").start();
    let mut conn = world.connect();
    conn.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    conn.send("content-length: 100\r\n\r\n{\"model\"");
    let reply = conn.reply();
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"), "{}", reply.text());
    assert_eq!(world.record_of(&reply)["status"], 408);
}

/// Rows: C04.
#[test]
fn idle_connections_do_not_keep_others_out() {
    let world = World::start();
    let idle: Vec<_> = (0..300).map(|_| world.connect()).collect();
    assert_eq!(world.ask("gpt-4o", "hello").status, 200);
    drop(idle);
    assert_eq!(world.get("/health").status, 200);
}

/// Rows: C25.
#[test]
fn every_route_and_credential_has_one_verdict() {
    let world = guarded();
    let admin = format!("Bearer {ADMIN}");
    let (own, other) = (format!("Bearer {KEY}"), format!("Bearer {OTHER}"));
    let admin_header = [("authorization", admin.as_str())];
    let own_header = [("authorization", own.as_str())];
    let none: [(&str, &str); 0] = [];
    let wrong = [("authorization", "Bearer sk-client-secret-0003")];
    let basic = [("authorization", "Basic YTpi")];
    let two = [("authorization", own.as_str()), ("authorization", other.as_str())];
    let api_key = [("x-api-key", KEY)];
    // Columns: no credential, wrong, Basic, a key, the same as x-api-key, two keys, the admin token.
    let open = [200; 7];
    let caller = [401, 401, 401, 200, 200, 401, 401];
    let reader = [401, 401, 401, 200, 200, 401, 200];
    let operator = [401, 401, 401, 403, 403, 401, 200];
    for (path, verdicts) in [
        ("/health", open),
        ("/health/live", open),
        ("/health/ready", open),
        ("/v1/models", caller),
        ("/v1/usage", reader),
        ("/v1/audit", reader),
        ("/metrics", operator),
        ("/metrics/prometheus", operator),
        ("/admin/actors", operator),
    ] {
        let credentials: [&[(&str, &str)]; 7] =
            [&none, &wrong, &basic, &own_header, &api_key, &two, &admin_header];
        for (column, (headers, verdict)) in credentials.iter().zip(verdicts).enumerate() {
            // The failure limiter of the address is not what is tested here.
            if verdict == 401 && column > 0 && path.starts_with("/metrics/") {
                continue;
            }
            let reply = world.get_with(path, headers);
            assert_eq!(reply.status, verdict, "{path} column {column}: {}", reply.text());
        }
    }
}

/// Rows: C25.
#[test]
fn a_refused_credential_gives_no_hint() {
    let world = guarded();
    let longer = format!("{KEY}x");
    let mut answers = Vec::new();
    for wrong in ["x", &KEY[..KEY.len() - 1], &longer, "SK-CLIENT-SECRET-0001", ADMIN] {
        let reply =
            world.chat_with(&[("authorization", &format!("Bearer {wrong}"))], &question("gpt-4o", "x"));
        assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_api_key"), "{}", reply.text());
        let mut error = reply.error();
        error["request_id"] = json!(null);
        answers.push(error.to_string());
        assert!(!reply.text().contains(wrong), "{}", reply.text());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let query = world.raw(request(
        "POST",
        &format!("/v1/chat/completions?api_key={KEY}"),
        &[("content-type", "application/json")],
        Some(question("gpt-4o", "x").to_string().as_bytes()),
    ));
    assert_eq!((query.status, query.code().as_str()), (401, "missing_api_key"), "{}", query.text());
    assert_eq!(world.upstream_calls(), 0);
}

/// Rows: C26.
#[test]
fn guessing_keys_gets_slow() {
    let world = guarded();
    let guess = |index: usize| {
        let key = format!("Bearer guess-{index}");
        world.chat_with(&[("authorization", &key)], &question("gpt-4o", "x"))
    };
    let replies: Vec<_> = (0..60).map(guess).collect();
    let limited: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert!(limited.len() >= 25 && replies[0].status == 401, "{}", limited.len());
    let last = limited.last().unwrap();
    assert_eq!(last.code(), "rate_limit_exceeded", "{}", last.text());
    assert!(last.header("retry-after").parse::<u64>().is_ok_and(|wait| wait <= 60), "{}", last.head);
    assert_eq!(world.get("/health").status, 200);
}

/// Rows: C20, C21.
#[test]
fn tricks_with_paths_and_hosts_open_nothing() {
    let world = guarded();
    for path in [
        "//metrics",
        "/metrics/",
        "/./metrics",
        "/v1/../metrics",
        "/health/../metrics",
        "/v1/models/../../metrics",
        "/%6detrics",
        "/metrics%2fprometheus",
        "/metrics;a=b",
        "/METRICS",
        "/metrics%00",
        "/health%2f..%2fmetrics",
        "/admin/actors/",
        "/Admin/Actors",
        "/%2e%2e/admin/actors",
        "/v1/audit/",
        "//v1//audit",
        "/v1/chat/completions/",
        "/health/live/../../admin/actors",
        "/metrics?x=/health",
        "/metrics#/health",
        "/\\metrics",
        "/v1/usage/",
    ] {
        let reply = world.connect().send(request("GET", path, &[], None)).try_reply();
        let status = reply.as_ref().map_or(400, |reply| reply.status);
        assert!(matches!(status, 400 | 401 | 404 | 405), "{path}: {status} {}", reply.unwrap().text());
    }
    for host in ["a/#", "localhost", "127.0.0.1", "user@localhost", "localhost:1", "[::1]", "x\tb"] {
        let bytes = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: localhost\r\n\r\n");
        let status = world.connect().send(&bytes).try_reply().map_or(400, |reply| reply.status);
        assert!(matches!(status, 400 | 401), "{host}: {status}");
    }
    for target in ["http://localhost/health?/metrics", "http://x/metrics"] {
        let bytes = format!("GET {target} HTTP/1.1\r\nhost: y\r\n\r\n");
        let reply = world.connect().send(&bytes).try_reply();
        assert!(reply.is_none_or(|reply| !reply.text().contains("latency_ms")), "{target}");
    }
    for (name, value) in [
        ("x-original-url", "/metrics"),
        ("x-rewrite-url", "/metrics"),
        ("x-http-method-override", "GET"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(world.get_with("/metrics", &[(name, value)]).status, 401, "{name}");
        assert!(!world.get_with("/health", &[(name, value)]).text().contains("latency_ms"), "{name}");
    }
}

/// Rows: C32.
#[test]
fn browsers_of_other_origins_are_kept_out_unless_listed() {
    let world = Setup::new().toml("[server]\ncors_allowed_origins = [\"https://app.example.com\"]").start();
    let preflight = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        world.raw(request("OPTIONS", "/v1/chat/completions", &headers, None))
    };
    let ask = |origin: &str| world.chat_with(&[("origin", origin)], &question("gpt-4o", "hello"));
    for foreign in [
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://APP.example.com",
        "https://app.example.com:8443",
    ] {
        for reply in [preflight(foreign), ask(foreign), world.get_with("/metrics", &[("origin", foreign)])] {
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "origin_not_allowed"),
                "{foreign}: {}",
                reply.head
            );
            assert!(reply.find("access-control-allow-origin").is_none(), "{}", reply.head);
        }
    }
    let listed = preflight("https://app.example.com");
    assert!(matches!(listed.status, 200 | 204), "{}", listed.head);
    assert_eq!(listed.header("access-control-allow-origin"), "https://app.example.com");
    assert!(listed.header("access-control-allow-headers").contains("authorization"));
    assert!(listed.find("access-control-allow-credentials").is_none());
    let reply = ask("https://app.example.com");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, "https://app.example.com"));
    assert!(reply.header("vary").to_lowercase().contains("origin"), "{}", reply.head);
}

/// Rows: C30.
#[test]
fn the_same_question_many_times_at_once_is_one_upstream_call() {
    let world = Setup::new().toml("[cache]\nenabled = true").start();
    let replies = at_once(20, |_| world.ask("gpt-4o!latency=500ms", "the same question"));
    assert!(replies.iter().all(|reply| reply.status == 200), "{:?}", replies[0].text());
    assert_eq!(world.upstream_calls(), 1);
}
