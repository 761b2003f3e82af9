//! Bad requests: each is refused with a status of the 400 family that names what is wrong, and nothing leaves.

use serde_json::{Value, json};

use crate::support::daemon::question;
use crate::support::{Setup, World};

/// A request with one field set; `null` as text removes it.
fn with(field: &str, value: Value) -> Value {
    let mut body = question("gpt-4o", "hello");
    body[field] = value;
    body
}

fn with_message(message: Value) -> Value {
    json!({"model": "gpt-4o", "messages": [message]})
}

/// Rows: C12, C13, C28.
#[test]
fn fields_of_a_wrong_type_or_range_are_named() {
    let world = World::start();
    let user = |content: Value| with_message(json!({"role": "user", "content": content}));
    let table = [
        (json!({"messages": [{"role": "user", "content": "x"}]}), "missing_field", "model"),
        (json!({"model": "gpt-4o"}), "missing_field", "messages"),
        (with("model", json!(4)), "invalid_value", "model"),
        (with("model", json!("")), "invalid_value", "model"),
        (with("model", json!(null)), "invalid_value", "model"),
        (with("messages", json!([])), "empty_messages", "messages"),
        (with("messages", json!("hello")), "invalid_value", "messages"),
        (with("messages", json!({"role": "user"})), "invalid_value", "messages"),
        (with("messages", json!(["hello"])), "invalid_value", "messages[0]"),
        (with_message(json!({"content": "x"})), "missing_field", "messages[0].role"),
        (with_message(json!({"role": "king", "content": "x"})), "invalid_value", "messages[0].role"),
        (with_message(json!({"role": "user"})), "missing_field", "messages[0].content"),
        (user(json!(17)), "invalid_value", "messages[0].content"),
        (user(json!([{"text": "x"}])), "missing_field", "messages[0].content[0].type"),
        (user(json!([{"type": "text"}])), "missing_field", "messages[0].content[0].text"),
        (user(json!([{"type": "text", "text": 5}])), "invalid_value", "messages[0].content[0].text"),
        (with("temperature", json!(3)), "invalid_value", "temperature"),
        (with("temperature", json!(-0.1)), "invalid_value", "temperature"),
        (with("temperature", json!("hot")), "invalid_value", "temperature"),
        (with("top_p", json!(1.5)), "invalid_value", "top_p"),
        (with("n", json!(0)), "invalid_value", "n"),
        (with("n", json!(1000)), "invalid_value", "n"),
        (with("n", json!(1.5)), "invalid_value", "n"),
        (with("max_tokens", json!(-1)), "invalid_value", "max_tokens"),
        (with("max_tokens", json!(0)), "invalid_value", "max_tokens"),
        (with("max_tokens", json!(1.5)), "invalid_value", "max_tokens"),
        (with("max_completion_tokens", json!("many")), "invalid_value", "max_completion_tokens"),
        (with("presence_penalty", json!(9)), "invalid_value", "presence_penalty"),
        (with("frequency_penalty", json!([])), "invalid_value", "frequency_penalty"),
        (with("seed", json!("lucky")), "invalid_value", "seed"),
        (with("stream", json!("yes")), "invalid_value", "stream"),
        (with("stream_options", json!({"include_usage": true})), "invalid_value", "stream_options"),
        (with("stop", json!(["a", "b", "c", "d", "e"])), "invalid_value", "stop"),
        (with("stop", json!({"a": 1})), "invalid_value", "stop"),
        (with("logit_bias", json!({"1": 500})), "invalid_value", "logit_bias.1"),
        (with("tools", json!({})), "invalid_value", "tools"),
        (with("tools", json!([{"type": "function"}])), "missing_field", "tools[0].function"),
        (
            with("tools", json!([{"type": "function", "function": {}}])),
            "missing_field",
            "tools[0].function.name",
        ),
        (with("tool_choice", json!("sometimes")), "invalid_value", "tool_choice"),
        (with("response_format", json!({})), "missing_field", "response_format.type"),
        (with("user", json!("a\u{0}b")), "invalid_value", "user"),
    ];
    for (body, code, param) in table {
        let reply = world.chat(&body);
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{body}: {}", reply.text());
        assert_eq!(reply.error()["param"], param, "{body}: {}", reply.text());
    }
    assert_eq!(world.upstream_calls(), 0);
}

/// Rows: C09, C10, C11, C12.
#[test]
fn what_is_not_clean_json_is_refused() {
    let world = World::start();
    let wrap =
        |inner: &str| format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":{inner}}}]}}"#);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let opened = "[".repeat(100_000);
    let objects = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    let valid = wrap("\"x\"");
    let numbers = |number: &str| format!(r#"{{"temperature":{number},{}"#, &valid[1..]);
    let table: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "invalid_json"),
        (b"   ".to_vec(), "invalid_json"),
        (b"{".to_vec(), "invalid_json"),
        (b"null".to_vec(), "invalid_value"),
        (b"[]".to_vec(), "invalid_value"),
        (b"\"x\"".to_vec(), "invalid_value"),
        (format!("{valid}x").into_bytes(), "invalid_json"),
        (format!("{valid}{valid}").into_bytes(), "invalid_json"),
        (format!("\u{feff}{valid}").into_bytes(), "invalid_json"),
        (wrap("\"\\ud800\"").into_bytes(), "invalid_json"),
        (wrap("\"\\udc00\\ud800\"").into_bytes(), "invalid_json"),
        (wrap("\"\\x\"").into_bytes(), "invalid_json"),
        (wrap("\"a\u{0}b\"").into_bytes(), "invalid_json"),
        (wrap("\"a\nb\"").into_bytes(), "invalid_json"),
        (wrap("'x'").into_bytes(), "invalid_json"),
        ([&valid.as_bytes()[..20], b"\xff\xfe", &valid.as_bytes()[20..]].concat(), "invalid_json"),
        ([b"{\"model\":\"\xc3\x28\",".as_slice(), &valid.as_bytes()[1..]].concat(), "invalid_json"),
        (numbers("NaN").into_bytes(), "invalid_json"),
        (numbers("Infinity").into_bytes(), "invalid_json"),
        (numbers("1e400").into_bytes(), "invalid_value"),
        (numbers("+1").into_bytes(), "invalid_json"),
        (numbers("01").into_bytes(), "invalid_json"),
        (numbers("0x10").into_bytes(), "invalid_json"),
        (format!(r#"{{"model":"gpt-4o","x":{deep},{}"#, &valid[1..]).into_bytes(), "invalid_json"),
        (deep.clone().into_bytes(), "invalid_json"),
        (opened.into_bytes(), "invalid_json"),
        (objects.into_bytes(), "invalid_json"),
        (format!(r#"{{"model":"gpt-4o",{}"#, &valid[1..]).into_bytes(), "duplicate_field"),
        (wrap(r#""x","content":"y""#).into_bytes(), "duplicate_field"),
        (format!(r#"{{"x":{{"a":1,"\u0061":2}},{}"#, &valid[1..]).into_bytes(), "duplicate_field"),
    ];
    for (body, code) in table {
        let reply = world.post(&[], &body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{shown}: {}", reply.text());
    }
    assert_eq!(world.upstream_calls(), 0);
    assert_eq!(world.get("/health/live").status, 200);
}

/// Rows: C08, C13.
#[test]
fn sizes_beyond_the_limits_are_named() {
    let world = Setup::new().toml("[server]\nmax_messages = 10\nmax_message_chars = 100").start();
    let many = json!({"model": "gpt-4o", "messages": vec![json!({"role": "user", "content": "x"}); 11]});
    let reply = world.chat(&many);
    assert_eq!((reply.status, reply.code().as_str()), (400, "too_many_messages"), "{}", reply.text());
    // 101 characters are too many, 100 of four bytes are not.
    let reply = world.ask("gpt-4o", &"x".repeat(101));
    assert_eq!((reply.status, reply.code().as_str()), (400, "message_too_long"), "{}", reply.text());
    assert_eq!(world.ask("gpt-4o", &"😀".repeat(100)).status, 200);
    let ten = json!({"model": "gpt-4o", "messages": vec![json!({"role": "user", "content": "x"}); 10]});
    assert_eq!(world.chat(&ten).status, 200);
    assert_eq!(world.upstream_calls(), 2);
}

/// Rows: C13.
#[test]
fn a_hundred_thousand_messages_are_refused_fast() {
    let world = World::start();
    let body = json!({"model": "gpt-4o", "messages": vec![json!({"role": "user", "content": "x"}); 100_000]});
    let reply = world.chat(&body);
    assert_eq!((reply.status, reply.code().as_str()), (400, "too_many_messages"), "{}", reply.text());
}

/// Rows: C22.
#[test]
fn model_names_that_look_like_addresses_or_paths_lead_nowhere() {
    let world = World::start();
    let long = "m".repeat(10_240);
    for model in [
        "../../etc/passwd",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "//evil.example/v1",
        "nonsense",
        "evil/gpt-4o",
        "anthropic/",
        "/gpt-4o",
        &long,
        "gpt-4o\u{7}",
        "gpt-4o\r\nx: y",
        "gpt\u{0}4o",
    ] {
        let reply = world.ask(model, "hello");
        assert!(matches!(reply.status, 400 | 404), "{model:.60}: {} {}", reply.status, reply.text());
        assert_eq!(reply.error()["param"], "model", "{model:.60}: {}", reply.text());
        assert!(reply.text().len() < 2048, "the answer repeats the whole name");
    }
    assert_eq!(world.upstream_calls(), 0);
    assert!(world.log().lines().all(|line| !line.contains('\u{7}') && line.len() < 4096));
}

/// Rows: C23.
#[test]
fn a_client_cannot_choose_where_its_request_goes() {
    let world = World::start();
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let address = format!("http://{}/v1", canary.local_addr().unwrap());
    for model in ["gpt-4o", "claude-sonnet-4-5"] {
        for field in
            ["api_base", "base_url", "api_key", "user_config", "extra_headers", "custom_llm_provider"]
        {
            let mut body = question(model, "hello");
            body[field] = json!(address);
            let reply = world.chat(&body);
            assert!(matches!(reply.status, 200 | 400), "{field}: {}", reply.text());
            assert!(canary.accept().is_err(), "{field} opened a connection");
        }
        for header in
            ["x-openai-custom-host", "x-portkey-custom-host", "x-forwarded-host", "x-base-url", "x-api-base"]
        {
            let reply = world.chat_with(&[(header, &address)], &question(model, "hello"));
            assert_eq!(reply.status, 200, "{header}: {}", reply.text());
            assert!(canary.accept().is_err(), "{header} opened a connection");
        }
    }
    let sent = world.openai.last_any().unwrap();
    assert!(!String::from_utf8_lossy(&sent.head).contains("custom-host"));
}

/// Rows: C27.
#[test]
fn junk_names_do_not_grow_the_metrics() {
    let world = World::start();
    world.ask("junk-first", "hello");
    world.get("/junk-first");
    let series =
        || world.get("/metrics/prometheus").text().lines().filter(|line| !line.starts_with('#')).count();
    series();
    let before = series();
    for index in 0..200 {
        assert_eq!(world.ask(&format!("junk-{index}"), "hello").status, 404);
        assert_eq!(world.get(&format!("/junk/{index}")).status, 404);
    }
    let after = series();
    assert!(after <= before + 3, "{before} series became {after}");
    let text = world.get("/metrics/prometheus").text();
    assert!(!text.contains("junk"), "a client's bytes became a label");
    // Names that a rule sends on to a provider are the client's bytes just as well.
    for index in 0..50 {
        assert_eq!(world.ask(&format!("gpt-junk-{index}"), "hello").status, 200);
    }
    let text = world.get("/metrics/prometheus").text();
    assert!(!text.contains("gpt-junk"), "a client's model name became a label");
    // What the catalogue knows is a closed set and has its name.
    assert_eq!(world.ask("gpt-4o-mini", "hello").status, 200);
    let known = "sentinel_requests_by_provider{model=\"gpt-4o-mini\",outcome=\"ok\",provider=\"openai\"}";
    assert_eq!(world.metric(known), 1.0);
}

/// Rows: C24.
#[test]
fn hostile_texts_stay_on_one_log_line() {
    let world = Setup::new().toml("[telemetry]\nlog_level = \"debug\"").start();
    let hostile = "gpt-4o\u{1b}[2J\nERROR forged line";
    world.ask(hostile, "hello");
    world.get("/%0aERROR%20forged%20line%1b%5b2J");
    world.get_with("/health", &[("x-request-id", "a\u{1b}[31m"), ("user-agent", "x\u{1b}[31m")]);
    let log = world.log();
    assert!(!log.lines().any(|line| line.starts_with("ERROR forged")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}
