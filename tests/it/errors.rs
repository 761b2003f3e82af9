//! Errors: one body on every route, honest statuses, nothing of the inside.

use serde_json::Value;

use crate::support::http::request;
use crate::support::{Reply, Setup, World};

#[track_caller]
fn assert_error(reply: &Reply, status: u16, kind: &str, code: &str) {
    assert_eq!(reply.status, status, "{} {}", reply.head, reply.text());
    assert_eq!(reply.header("content-type"), "application/json", "{}", reply.head);
    let body = reply.json();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("no error in {body}"));
    let mut fields: Vec<_> = error.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["code", "message", "param", "request_id", "type"], "{body}");
    assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some(kind), Some(code)), "{body}");
    assert_eq!(error["request_id"].as_str(), reply.find("x-request-id"), "{body}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
}

#[test]
fn every_route_answers_errors_in_one_shape() {
    let world = World::start();
    let get = |path: &str| world.get(path);
    assert_error(&get("/"), 404, "not_found_error", "unknown_route");
    assert_error(&get("/v1/nothing"), 404, "not_found_error", "unknown_route");
    assert_error(&get("/v1/models/none"), 404, "not_found_error", "model_not_found");
    assert_error(&get("/v1/audit/none"), 404, "not_found_error", "unknown_request");
    assert_error(&get("/v1/audit?limit=0"), 400, "invalid_request_error", "invalid_value");
    assert_error(&get("/v1/audit?limit=501"), 400, "invalid_request_error", "invalid_value");
    assert_error(&get("/v1/audit?nonsense=1"), 400, "invalid_request_error", "invalid_value");
    assert_error(&get("/v1/audit?cursor=!"), 400, "invalid_request_error", "invalid_value");
    assert_error(&get("/v1/audit?status=abc"), 400, "invalid_request_error", "invalid_value");
    assert_error(&get("/v1/audit?since=yesterday"), 400, "invalid_request_error", "invalid_value");
    assert_error(&get("/v1/usage?group_by=colour"), 400, "invalid_request_error", "invalid_value");
    assert_error(&get("/v1/usage?since=%00"), 400, "invalid_request_error", "invalid_value");
}

#[test]
fn wrong_methods_get_405_with_the_right_ones_named() {
    let world = World::start();
    for (path, allowed) in [
        ("/v1/chat/completions", "POST"),
        ("/v1/models", "GET"),
        ("/v1/usage", "GET"),
        ("/v1/audit", "GET"),
        ("/v1/audit/verify", "GET"),
        ("/metrics", "GET"),
        ("/metrics/prometheus", "GET"),
        ("/health", "GET"),
        ("/health/live", "GET"),
        ("/health/ready", "GET"),
        ("/admin/actors", "GET"),
    ] {
        for method in ["DELETE", "PUT", "PATCH", "TRACE", "PURGE"] {
            let reply = world.raw(request(method, path, &[], None));
            assert_error(&reply, 405, "invalid_request_error", "method_not_allowed");
            assert!(reply.header("allow").contains(allowed), "{method} {path}: {}", reply.head);
        }
    }
    assert_error(&world.get("/v1/chat/completions"), 405, "invalid_request_error", "method_not_allowed");
}

/// Rows: C15, C16.
#[test]
fn bodies_that_are_not_plain_json_get_415_and_are_not_parsed() {
    let world = World::start();
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
    let boundary = format!("multipart/form-data; boundary={}", "b".repeat(4000));
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        &boundary,
        "application/jsonp",
        "text/json5",
        "application",
    ] {
        let reply = world.post(&[("content-type", kind)], body);
        assert_error(&reply, 415, "invalid_request_error", "unsupported_media_type");
    }
    let untyped = request("POST", "/v1/chat/completions", &[], Some(body.as_bytes()));
    assert_error(&world.raw(untyped), 415, "invalid_request_error", "unsupported_media_type");
    for encoding in ["gzip", "deflate", "br", "gzip, gzip", "zstd"] {
        let reply = world.post(&[("content-encoding", encoding)], body);
        assert_error(&reply, 415, "invalid_request_error", "unsupported_media_type");
    }
    for kind in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"] {
        assert_eq!(world.post(&[("content-type", kind)], body).status, 200, "{kind}");
    }
    assert_eq!(world.post(&[("content-encoding", "identity")], body).status, 200);
    assert_eq!(world.upstream_calls(), 4);
}

/// Rows: C08.
#[test]
fn large_bodies_get_413_before_they_are_read() {
    let world = Setup::new().toml("[server]\nmax_body = \"64KiB\"").start();
    // By length: the answer comes although not one byte of the body was sent.
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let reply = world.raw(format!("{head}content-length: 70000\r\n\r\n"));
    assert_error(&reply, 413, "invalid_request_error", "body_too_large");
    // By chunks: at the limit, although the end never comes.
    let mut conn = world.connect();
    conn.send(format!("{head}transfer-encoding: chunked\r\n\r\n"));
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..17 {
        if !conn.try_send(&chunk) {
            break;
        }
    }
    assert_error(&conn.reply(), 413, "invalid_request_error", "body_too_large");
    assert_eq!(world.upstream_calls(), 0);
    // Just below it, the request is looked at.
    let text = "a".repeat(60_000);
    assert_eq!(world.ask("gpt-4o", &text).status, 200);
}

/// Rows: C29.
#[test]
fn a_refused_request_gets_its_final_status_before_its_body_was_sent() {
    let world = World::start();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n";
    let mut conn = world.connect();
    conn.send(format!("{head}content-type: text/plain\r\ncontent-length: 10\r\n\r\n"));
    // The HTTP library invites the body before anybody has looked at the head; the refusal comes all the same.
    assert_error(&conn.reply(), 415, "invalid_request_error", "unsupported_media_type");
}

#[test]
fn every_refusal_of_an_inference_route_leaves_a_record() {
    let world = Setup::new()
        .with_keys(&[("team", "sk-team-secret-0001", "models = [\"gpt-*\", \"nonesuch\"]")])
        .start();
    let key = ("authorization", "Bearer sk-team-secret-0001");
    let post = |headers: &[(&str, &str)], body: &str| world.post(headers, body);
    let chat = |model: &str| format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"x"}}]}}"#);
    for (reply, status, code) in [
        (post(&[], &chat("gpt-4o")), 401, "missing_api_key"),
        (post(&[("authorization", "Bearer wrong")], &chat("gpt-4o")), 401, "invalid_api_key"),
        (post(&[key], &chat("claude-sonnet-4-5")), 403, "model_not_allowed"),
        (post(&[key], &chat("nonesuch")), 404, "model_not_found"),
        (post(&[key], "{"), 400, "invalid_json"),
        (post(&[key, ("content-type", "text/plain")], &chat("gpt-4o")), 415, "unsupported_media_type"),
        (post(&[key], r#"{"model":"gpt-4o","messages":[]}"#), 400, "empty_messages"),
    ] {
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{}", reply.text());
        let record = world.record_of(&reply);
        assert_eq!(record["status"].as_u64(), Some(u64::from(status)), "{record}");
        assert_eq!(record["error_code"].as_str(), Some(code), "{record}");
        assert_eq!(record["attempts"], Value::from(0), "{record}");
    }
    assert_eq!(world.upstream_calls(), 0);
}
