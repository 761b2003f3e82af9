//! Tests of the Messages validation.

use serde_json::json;

use super::*;

#[test]
fn wrong_requests_are_refused_by_name() {
    let user = json!([{"role": "user", "content": "hi"}]);
    let with = |extra: Value| {
        let mut body = json!({"max_tokens": 2000, "messages": user});
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let call =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]});
    let cases = [
        (json!({"messages": user}), "max_tokens: Field required"),
        (with(json!({"n": 2})), "n: Extra inputs"),
        (with(json!({"messages": []})), "messages: at least one"),
        (with(json!({"messages": [{"role": "system", "content": "x"}]})), "messages.0.role"),
        (
            with(json!({"messages": [{"role": "user", "content": ""}]})),
            "text content blocks must be non-empty",
        ),
        (with(json!({"messages": [call, {"role": "user", "content": "x"}]})), "without `tool_result`"),
        (
            with(
                json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t9"}]}]}),
            ),
            "unexpected `tool_use_id`",
        ),
        (
            with(
                json!({"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "b"}]}]}),
            ),
            "Invalid `signature`",
        ),
        (with(json!({"temperature": 1.5})), "temperature"),
        (with(json!({"stop_sequences": ["\n"]})), "stop_sequences"),
        (with(json!({"tool_choice": {"type": "any"}})), "tool_choice may only"),
        (with(json!({"tools": [{"name": "f", "input_schema": {}}]})), "input_schema.type"),
        (with(json!({"thinking": {"type": "enabled", "budget_tokens": 5}})), "1024"),
        (with(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})), "must be greater than"),
    ];
    for (body, expected) in cases {
        let message = parse(&body, "m").unwrap_err().message;
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[test]
fn a_request_becomes_an_ask() {
    let body = json!({
        "max_tokens": 2000, "stream": true,
        "system": [{"type": "text", "text": "a long system prompt that is worth the cache".repeat(4), "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": signature("hm")},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "42"}]},
        ],
    });
    let ask = parse(&body, "m").unwrap();
    assert!(ask.stream && ask.thinking && !ask.parallel);
    assert_eq!((ask.last_user.as_str(), ask.tool_results.as_slice()), ("go", &["42".to_owned()][..]));
    assert!(ask.cache_write_tokens > 0 && ask.cache_write_tokens < ask.prompt_tokens);
}
