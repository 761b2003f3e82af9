//! What every failing answer means to the gateway and to the client.

use std::time::{Duration, SystemTime};

use sentinel_domain::{ErrorCode, FailureClass, Secret};
use sentinel_wire::{NoHeaders, UpstreamFailure};

fn failure(status: u16, body: &str) -> UpstreamFailure {
    UpstreamFailure::from_answer(status, &NoHeaders, body.as_bytes(), SystemTime::UNIX_EPOCH)
}

fn openai(kind: &str, code: &str) -> String {
    format!(r#"{{"error":{{"message":"why","type":"{kind}","param":"messages","code":{code}}}}}"#)
}

fn anthropic(kind: &str, message: &str) -> String {
    format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":null}}"#)
}

#[test]
fn each_status_has_its_class_and_its_code() {
    use ErrorCode as Code;
    use FailureClass as Class;
    let html = "<html><body>cloudflare</body></html>";
    for (status, body, class, code) in [
        (400, &*openai("invalid_request_error", "null"), Class::Rejected, Code::UpstreamRejected),
        (
            400,
            &openai("invalid_request_error", "\"context_length_exceeded\""),
            Class::Rejected,
            Code::ContextLengthExceeded,
        ),
        (
            400,
            &anthropic("invalid_request_error", "prompt is too long: 210000 tokens"),
            Class::Rejected,
            Code::ContextLengthExceeded,
        ),
        (
            400,
            &anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
            Class::Quota,
            Code::UpstreamQuota,
        ),
        (401, &openai("invalid_request_error", "\"invalid_api_key\""), Class::Auth, Code::UpstreamAuth),
        (402, "{}", Class::Quota, Code::UpstreamQuota),
        (403, &anthropic("permission_error", "no"), Class::Auth, Code::UpstreamAuth),
        (404, &anthropic("not_found_error", "model: x"), Class::Rejected, Code::UpstreamRejected),
        (408, "", Class::Transient, Code::UpstreamRejected),
        (409, "", Class::Transient, Code::UpstreamRejected),
        (413, html, Class::Rejected, Code::UpstreamRejected),
        (
            422,
            r#"{"detail":[{"loc":["body","model"],"msg":"field required"}]}"#,
            Class::Rejected,
            Code::UpstreamRejected,
        ),
        (429, &openai("requests", "\"rate_limit_exceeded\""), Class::RateLimited, Code::UpstreamRateLimited),
        (429, &openai("insufficient_quota", "\"insufficient_quota\""), Class::Quota, Code::UpstreamQuota),
        (500, &openai("server_error", "null"), Class::ServerError, Code::UpstreamFailed),
        (500, html, Class::ServerError, Code::UpstreamInvalidResponse),
        (502, html, Class::BadGateway, Code::UpstreamInvalidResponse),
        (503, html, Class::Overloaded, Code::UpstreamOverloaded),
        (504, "", Class::GatewayTimeout, Code::UpstreamTimeout),
        (520, html, Class::ServerError, Code::UpstreamInvalidResponse),
        (529, &anthropic("overloaded_error", "Overloaded"), Class::Overloaded, Code::UpstreamOverloaded),
        (204, "", Class::Malformed, Code::UpstreamInvalidResponse),
        (206, "", Class::Malformed, Code::UpstreamInvalidResponse),
        (307, "", Class::Redirect, Code::UpstreamInvalidResponse),
        (418, "", Class::Malformed, Code::UpstreamInvalidResponse),
        (999, "", Class::Malformed, Code::UpstreamInvalidResponse),
    ] {
        let failure = failure(status, body);
        assert_eq!((failure.class, failure.error.code), (class, code), "{status} {body}");
        assert_eq!(failure.status, status);
        assert!(!failure.error.message.contains('<') && !failure.error.message.is_empty(), "{status}");
        // Only a refusal of the request itself, or a rate limit, keeps the provider's status.
        let kept = failure.error.upstream.as_ref().map(|upstream| upstream.status);
        let keeps = matches!(class, Class::Rejected | Class::Transient | Class::RateLimited);
        assert_eq!(kept, keeps.then_some(status), "{status} {body}");
        assert_eq!(
            failure.error.should_retry,
            matches!(class, Class::Quota | Class::Auth).then_some(false),
            "{status}"
        );
    }
}

#[test]
fn the_providers_words_are_kept_where_they_help_the_client() {
    let refused = failure(400, &openai("invalid_request_error", "\"bad_value\""));
    assert_eq!((refused.error.message.as_ref(), refused.error.param.as_deref()), ("why", Some("messages")));
    let upstream = refused.error.upstream.unwrap();
    assert_eq!(
        (upstream.kind.as_deref(), upstream.code.as_deref()),
        (Some("invalid_request_error"), Some("bad_value"))
    );
    for (body, message) in [
        (r#"{"detail":"Unauthorised model"}"#, "Unauthorised model"),
        (r#"{"detail":[{"loc":["body","n"],"msg":"too big"},{"msg":"second"}]}"#, "body.n: too big; second"),
        (r#"{"object":"error","message":"flat","type":"x","code":3051}"#, "flat"),
        (r#"{"error":"just words"}"#, "just words"),
        (r#"[{"error":{"code":400,"message":"in a list","status":"INVALID_ARGUMENT"}}]"#, "in a list"),
        (r#"{"message":"top level"}"#, "top level"),
        (r#"{"error":{}}"#, "the provider refused the request"),
        ("not json", "the provider refused the request"),
    ] {
        assert_eq!(failure(422, body).error.message, message, "{body}");
    }
    let ours = failure(401, &openai("x", "\"invalid_api_key\"")).error;
    assert_eq!(
        (ours.message.as_ref(), ours.upstream),
        ("the provider refused the gateway's credentials", None)
    );
}

#[test]
fn credentials_never_come_back() {
    let body = r#"{"error":{"message":"bad key sk-live-0123456789abcdef and custom-secret-77"}}"#;
    let failure = failure(400, body).without(&Secret::new("custom-secret-77"));
    assert_eq!(failure.error.message, "bad key [redacted] and [redacted]");
}

#[test]
fn waits_are_taken_from_failures_only_where_they_mean_one() {
    let headers = vec![("retry-after", "7")];
    let wait = |status| UpstreamFailure::from_answer(status, &headers, b"", SystemTime::UNIX_EPOCH);
    for (status, shown) in [(429, true), (503, true), (500, true), (400, false), (401, false)] {
        let failure = wait(status);
        assert_eq!(failure.error.retry_after, shown.then_some(Duration::from_secs(7)), "{status}");
        assert_eq!(failure.wait, Some(Duration::from_secs(7)));
    }
}
