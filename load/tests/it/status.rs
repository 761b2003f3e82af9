//! Faults of the status line.

use serde_json::json;

use crate::support::{anthropic, exchange, mock, streamed, unary};

#[test]
fn statuses_come_with_the_providers_error_body() {
    let mock = mock();
    for (status, code, kind) in [
        (400, None, "invalid_request_error"),
        (401, Some("invalid_api_key"), "authentication_error"),
        (402, None, "billing_error"),
        (403, Some("unsupported_country_region_territory"), "permission_error"),
        (404, Some("model_not_found"), "not_found_error"),
        (413, None, "request_too_large"),
        (418, None, "invalid_request_error"),
        (422, None, "invalid_request_error"),
        (500, None, "api_error"),
        (502, None, "api_error"),
        (503, None, "api_error"),
        (504, None, "timeout_error"),
        (520, None, "api_error"),
        (529, Some("overloaded"), "overloaded_error"),
        (999, None, "api_error"),
    ] {
        let reply = unary(&mock, &format!("gpt-4o!{status}"));
        assert_eq!((reply.status(), reply.is_complete), (status, true));
        assert_eq!(reply.json()["error"]["code"].as_str(), code, "{status}");
        assert!(reply.json()["error"]["message"].is_string());
        let reply = exchange(&mock, &anthropic(&format!("claude!{status}"), &json!({"stream": true})));
        assert_eq!(reply.status(), status);
        assert_eq!((&reply.json()["type"], &reply.json()["error"]["type"]), (&json!("error"), &json!(kind)));
    }
}

#[test]
fn odd_success_statuses_keep_their_own_rules() {
    let mock = mock();
    let reply = unary(&mock, "gpt-4o!204");
    assert_eq!((reply.status(), reply.body.len(), reply.header("content-length")), (204, 0, ""));
    let reply = unary(&mock, "gpt-4o!206");
    assert_eq!(reply.status(), 206);
    assert!(reply.header("content-range").starts_with("bytes 0-") && reply.json().is_null());
    for interim in ["100", "103"] {
        let reply = unary(&mock, &format!("gpt-4o!{interim}"));
        assert!(reply.raw.starts_with(format!("HTTP/1.1 {interim} ").as_bytes()));
        assert_eq!((reply.status(), reply.json()["object"].as_str()), (200, Some("chat.completion")));
    }
}

#[test]
fn rate_limits_come_with_every_form_of_hint() {
    let mock = mock();
    assert!(unary(&mock, "m!429").headers("retry-after").is_empty());
    for verbatim in ["2", "-5", "abc", "NaN", "1e9"] {
        assert_eq!(unary(&mock, &format!("m!429={verbatim}")).headers("retry-after"), [verbatim]);
    }
    assert_eq!(unary(&mock, "m!429=empty").headers("retry-after"), [""]);
    assert_eq!(unary(&mock, "m!429=two").headers("retry-after"), ["1", "3"]);
    for date in ["date", "past-date"] {
        let reply = unary(&mock, &format!("m!429={date}"));
        assert!(reply.header("retry-after").ends_with(" GMT"), "{}", reply.head);
    }
    let reply = unary(&mock, "m!429-ms=350");
    assert_eq!((reply.header("retry-after-ms"), reply.header("retry-after")), ("350", "5"));
}

#[test]
fn spent_accounts_say_so() {
    let mock = mock();
    for (fault, status, code) in [
        ("quota", 429, "insufficient_quota"),
        ("spend-cap", 429, "enforced_spend_limit_reached"),
        ("context-length", 400, "context_length_exceeded"),
    ] {
        let reply = unary(&mock, &format!("m!{fault}"));
        assert_eq!((reply.status(), reply.json()["error"]["code"].as_str()), (status, Some(code)));
    }
    assert_eq!(unary(&mock, "m!quota").header("x-should-retry"), "false");
    let reply = exchange(&mock, &anthropic("claude!credit", &json!({})));
    assert_eq!(reply.status(), 400);
    assert!(reply.text().contains("credit balance is too low"));
    let reply = exchange(&mock, &anthropic("claude!context-length", &json!({})));
    assert!(reply.text().contains("prompt is too long"));
}

#[test]
fn flaky_models_recover_or_fail_by_share() {
    let mock = mock();
    let statuses =
        |model: &str, calls: usize| (0..calls).map(|_| unary(&mock, model).status()).collect::<Vec<_>>();
    assert_eq!(statuses("m!flaky", 2), [500, 200]);
    assert_eq!(statuses("m!flaky=2", 4), [500, 500, 200, 200]);
    let failed = statuses("m!flaky=0.5", 60).iter().filter(|status| **status == 500).count();
    assert!((15..=45).contains(&failed), "{failed} of 60 failed");
}

#[test]
fn answers_that_are_no_answers() {
    let mock = mock();
    let reply = unary(&mock, "m!html");
    assert_eq!((reply.status(), reply.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(unary(&mock, "m!html=502").status(), 502);
    let reply = streamed(&mock, "m!error-200");
    assert_eq!((reply.status(), reply.json()["error"]["type"].as_str()), (200, Some("server_error")));
    let reply = unary(&mock, "m!redirect");
    assert_eq!((reply.status(), reply.header("location")), (307, "http://169.254.169.254/latest/meta-data/"));
    let reply = unary(&mock, "m!redirect=http://127.0.0.1:1/x");
    assert_eq!(reply.header("location"), "http://127.0.0.1:1/x");
    let reply = unary(&mock, "m!echo-auth");
    assert!(reply.status() == 400 && reply.text().contains("sk-secret-key"));
    assert_eq!(unary(&mock, "m!echo-auth=401").status(), 401);
    let reply = unary(&mock, "m!500!should-retry");
    assert_eq!(reply.headers("x-should-retry"), ["false"]);
    assert_eq!(unary(&mock, "m!early").status(), 413);
}
