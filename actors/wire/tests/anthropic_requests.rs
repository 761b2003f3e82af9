//! Requests on their way to Anthropic: what is sent, what is ignored, what is refused.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use bytes::Bytes;
use sentinel_domain::policy::ProviderKind;
use sentinel_domain::{ApiError, ErrorCode, Secret};
use sentinel_wire::{ChatRequest, EncodeOptions, Encoded, Limits, dialect};
use serde_json::{Value, json};

fn encode(model: &str, body: &Value, options: &EncodeOptions) -> Result<Encoded, ApiError> {
    let request = ChatRequest::parse(Bytes::from(body.to_string()), &Limits::default()).unwrap();
    dialect::encode(ProviderKind::Anthropic, &request, model, options)
}

#[test]
fn golden_requests_are_sent_as_written() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("golden/anthropic_requests.json")).unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let model = case["model"].as_str().unwrap_or("claude-sonnet-4-5");
        let mut given = case["given"].clone();
        given["model"] = "public-name".into();
        let encoded = encode(model, &given, &EncodeOptions::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
        let mut expected = case["sent"].clone();
        expected["model"] = model.into();
        if expected.get("max_tokens").is_none() {
            expected["max_tokens"] = 64_000.into();
        }
        assert_eq!(sent, expected, "{name}:\n{sent:#}\n{expected:#}");
        let ignored = case.get("ignored").cloned().unwrap_or_else(|| json!([]));
        let mut listed = encoded.ignored.clone();
        let mut wanted: Vec<String> = serde_json::from_value(ignored).unwrap();
        listed.sort();
        wanted.sort();
        assert_eq!(listed, wanted, "{name}");
        assert_eq!(encoded.path, "/messages");
    }
}

#[test]
fn what_cannot_be_expressed_is_refused_by_name() {
    use ErrorCode::{InvalidValue, UnsupportedParameter};
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let call = json!({"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let user = json!({"role": "user", "content": "Hi"});
    let with = |fields: Value| {
        let mut body = json!({"messages": [user]});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (mut body, code, param) in [
        (with(json!({"n": 2})), UnsupportedParameter, "n"),
        (with(json!({"logprobs": true})), UnsupportedParameter, "logprobs"),
        (with(json!({"modalities": ["text", "audio"]})), UnsupportedParameter, "modalities"),
        (with(json!({"reasoning_effort": "heroic"})), InvalidValue, "reasoning_effort"),
        (
            with(json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]})),
            UnsupportedParameter,
            "tools[0].type",
        ),
        (with(json!({"tools": [{"type": "other:search"}]})), UnsupportedParameter, "tools[0].type"),
        (
            with(
                json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "custom"}}),
            ),
            UnsupportedParameter,
            "tool_choice.type",
        ),
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}})),
            UnsupportedParameter,
            "messages[0].content[0].type",
        ),
        (
            part(json!({"type": "video_url", "video_url": {}})),
            UnsupportedParameter,
            "messages[0].content[0].type",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}})),
            InvalidValue,
            "messages[0].content[0].image_url.url",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}})),
            InvalidValue,
            "messages[0].content[0].image_url.url",
        ),
        (part(json!({"type": "file", "file": {}})), InvalidValue, "messages[0].content[0].file.file_data"),
        (
            json!({"messages": [user, {"role": "tool", "tool_call_id": "a", "content": "x"}]}),
            InvalidValue,
            "messages[1].tool_call_id",
        ),
        (json!({"messages": [user, call, user]}), InvalidValue, "messages[1].tool_calls"),
        (json!({"messages": [user, call]}), InvalidValue, "messages[1].tool_calls"),
        (
            json!({"messages": [user, call, {"role": "tool", "tool_call_id": "b", "content": "x"}]}),
            InvalidValue,
            "messages[2].tool_call_id",
        ),
    ] {
        body["model"] = "m".into();
        let error = encode("claude-sonnet-4-5", &body, &EncodeOptions::default()).expect_err(param);
        assert_eq!((error.code, error.param.as_deref()), (code, Some(param)), "{body}");
    }
}

#[test]
fn headers_carry_version_betas_and_the_right_kind_of_credential() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}]});
    let options = EncodeOptions {
        anthropic_beta: Some("a-1, b-2,a-1,bad name\r\n".to_owned()),
        ..EncodeOptions::default()
    };
    let encoded = encode("claude-sonnet-4-5", &body, &options).unwrap();
    let header =
        |name: &str| encoded.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(header("anthropic-beta"), Some("a-1,b-2,files-api-2025-04-14"));
    assert_eq!(header("content-type"), Some("application/json"));
    let credential = |kind, key: &str| dialect::auth_headers(kind, &Secret::new(key));
    assert_eq!(
        credential(ProviderKind::Anthropic, "sk-ant-api03-x"),
        [("x-api-key", "sk-ant-api03-x".to_owned())]
    );
    assert_eq!(
        credential(ProviderKind::Anthropic, "sk-ant-oat01-x"),
        [("authorization", "Bearer sk-ant-oat01-x".to_owned())]
    );
    assert_eq!(credential(ProviderKind::OpenAi, "sk-x"), [("authorization", "Bearer sk-x".to_owned())]);
    assert!(credential(ProviderKind::OpenAi, "").is_empty());
}

#[test]
fn the_token_limit_comes_from_the_client_then_the_options_then_the_model() {
    let limit = |fields: Value, options: &EncodeOptions| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let sent: Value =
            serde_json::from_slice(&encode("some-alias", &body, options).unwrap().body).unwrap();
        sent["max_tokens"].as_u64().unwrap()
    };
    let configured = EncodeOptions { default_max_tokens: Some(77), ..EncodeOptions::default() };
    assert_eq!(limit(json!({"max_tokens": 5}), &configured), 5);
    assert_eq!(limit(json!({}), &configured), 77);
    assert_eq!(limit(json!({}), &EncodeOptions::default()), 8192);
}
